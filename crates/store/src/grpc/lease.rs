//! The Lease service.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _};
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};

use super::Api;
use super::kv::mismatch;
use crate::proto::etcdserverpb::lease_server::Lease;
use crate::proto::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse,
    LeaseLeasesRequest, LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseStatus,
    LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
};
use crate::proto::storepb::command::Op;
use crate::state::Reply;

#[tonic::async_trait]
impl Lease for Api {
    type LeaseKeepAliveStream =
        Pin<Box<dyn Stream<Item = Result<LeaseKeepAliveResponse, Status>> + Send>>;

    async fn lease_grant(
        &self,
        request: Request<LeaseGrantRequest>,
    ) -> Result<Response<LeaseGrantResponse>, Status> {
        let Reply::Grant(mut response) = self.node.grant(request.into_inner()).await? else {
            return Err(mismatch());
        };
        self.sign(&mut response.header);
        Ok(Response::new(response))
    }

    async fn lease_revoke(
        &self,
        request: Request<LeaseRevokeRequest>,
    ) -> Result<Response<LeaseRevokeResponse>, Status> {
        let op = Op::Revoke(request.into_inner());
        let Reply::Revoke(mut response) = self.node.propose(op).await? else {
            return Err(mismatch());
        };
        self.sign(&mut response.header);
        Ok(Response::new(response))
    }

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let api = self.clone();
        let closing = self.closing.clone().cancelled_owned();
        let answers = request
            .into_inner()
            .map(move |asked| asked.map(|asked| api.renew(asked.id)));
        Ok(Response::new(Box::pin(answers.take_until(closing))))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<LeaseTimeToLiveRequest>,
    ) -> Result<Response<LeaseTimeToLiveResponse>, Status> {
        Ok(Response::new(self.time_to_live(&request.into_inner())))
    }

    async fn lease_leases(
        &self,
        _: Request<LeaseLeasesRequest>,
    ) -> Result<Response<LeaseLeasesResponse>, Status> {
        let leases = self
            .node
            .state()
            .leases()
            .map(|(id, _)| LeaseStatus { id })
            .collect();
        Ok(Response::new(LeaseLeasesResponse {
            header: self.node.header_now(),
            leases,
        }))
    }
}

impl Api {
    /// A lease that is gone is not an error in the stream of others: its TTL is 0.
    fn renew(&self, id: i64) -> LeaseKeepAliveResponse {
        let ttl = self.node.keep_alive(id);
        LeaseKeepAliveResponse {
            header: self.node.header_now(),
            id,
            ttl,
        }
    }

    /// A lease that is gone has a TTL of -1.
    fn time_to_live(&self, request: &LeaseTimeToLiveRequest) -> LeaseTimeToLiveResponse {
        let id = request.id;
        let header = self.node.header_now();
        let state = self.node.state();
        let Some(lease) = state.lease(id) else {
            return LeaseTimeToLiveResponse {
                header,
                id,
                ttl: -1,
                ..Default::default()
            };
        };
        LeaseTimeToLiveResponse {
            header,
            id,
            ttl: self.node.expiry().left(id, Instant::now()).unwrap_or(0),
            granted_ttl: lease.ttl(),
            keys: lease.keys().filter(|_| request.keys).cloned().collect(),
        }
    }
}
