//! The Maintenance service: how the member is.

use tonic::{Request, Response, Status};

use super::Api;
use crate::proto::etcdserverpb::alarm_request::AlarmAction;
use crate::proto::etcdserverpb::maintenance_server::Maintenance;
use crate::proto::etcdserverpb::{AlarmRequest, AlarmResponse, StatusRequest, StatusResponse};

/// The version of etcd whose API this is. Clients read it to learn what they may ask for.
const ETCD_VERSION: &str = "3.4.0";

#[tonic::async_trait]
impl Maintenance for Api {
    /// There are no alarms here: a disk that fails stops the store. So the list is empty.
    async fn alarm(
        &self,
        request: Request<AlarmRequest>,
    ) -> Result<Response<AlarmResponse>, Status> {
        if request.into_inner().action() == AlarmAction::Activate {
            return Err(Status::unimplemented(
                "the embedded store has no alarms to raise",
            ));
        }
        let header = self.node.header_now();
        Ok(Response::new(AlarmResponse {
            header,
            alarms: Vec::new(),
        }))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let (raft_term, raft_index) = self.node.raft_position();
        let size = self.file_size();
        Ok(Response::new(StatusResponse {
            header: self.node.header_now(),
            version: ETCD_VERSION.to_owned(),
            db_size: size,
            leader: self.node.member.identity.member_id,
            raft_index,
            raft_term,
            raft_applied_index: raft_index,
            errors: Vec::new(),
            db_size_in_use: size,
            is_learner: false,
        }))
    }
}

impl Api {
    /// The size of the member's file, in bytes.
    fn file_size(&self) -> i64 {
        let metadata = self
            .node
            .member
            .file
            .as_ref()
            .and_then(|file| file.metadata().ok());
        metadata.map_or(0, |metadata| metadata.len().cast_signed())
    }
}
