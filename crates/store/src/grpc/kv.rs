//! The KV service: reads from the state, writes through the log.

use tonic::{Request, Response, Status};

use super::Api;
use crate::proto::etcdserverpb::kv_server::Kv;
use crate::proto::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest,
    PutResponse, RangeRequest, RangeResponse, ResponseHeader, TxnRequest, TxnResponse,
};
use crate::proto::storepb::command::Op;
use crate::state::{Reply, check_range, check_txn, is_read_only};

#[tonic::async_trait]
impl Kv for Api {
    async fn range(
        &self,
        request: Request<RangeRequest>,
    ) -> Result<Response<RangeResponse>, Status> {
        let request = request.into_inner();
        check_range(&request)?;
        let mut response = self.node.state().range(&request)?;
        self.sign(&mut response.header);
        Ok(Response::new(response))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let Reply::Put(mut response) = self.node.propose(Op::Put(request.into_inner())).await?
        else {
            return Err(mismatch());
        };
        self.sign(&mut response.header);
        Ok(Response::new(response))
    }

    async fn delete_range(
        &self,
        request: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        let op = Op::DeleteRange(request.into_inner());
        let Reply::DeleteRange(mut response) = self.node.propose(op).await? else {
            return Err(mismatch());
        };
        self.sign(&mut response.header);
        Ok(Response::new(response))
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        let mut response = self.run_txn(request.into_inner()).await?;
        self.sign(&mut response.header);
        Ok(Response::new(response))
    }

    async fn compact(
        &self,
        request: Request<CompactionRequest>,
    ) -> Result<Response<CompactionResponse>, Status> {
        let op = Op::Compact(request.into_inner());
        let Reply::Compact(mut response) = self.node.propose(op).await? else {
            return Err(mismatch());
        };
        self.sign(&mut response.header);
        Ok(Response::new(response))
    }
}

impl Api {
    /// A transaction that only reads needs no place in the log.
    async fn run_txn(&self, txn: TxnRequest) -> Result<TxnResponse, Status> {
        check_txn(&txn)?;
        if is_read_only(&txn) {
            return Ok(self.node.state().read_txn(&txn)?);
        }
        match self.node.propose(Op::Txn(txn)).await? {
            Reply::Txn(response) => Ok(response),
            _ => Err(mismatch()),
        }
    }

    /// Adds to a header, which has a revision, who answers.
    pub(super) fn sign(&self, header: &mut Option<ResponseHeader>) {
        *header = header
            .as_ref()
            .and_then(|header| self.node.header(header.revision));
    }
}

/// A reply of another kind than the command: a defect, told instead of hidden.
pub(super) fn mismatch() -> Status {
    Status::internal("the reply does not fit the request")
}
