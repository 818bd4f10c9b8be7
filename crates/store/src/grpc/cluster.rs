//! The Cluster service: who the members are.

use tonic::{Request, Response, Status};

use super::Api;
use crate::proto::etcdserverpb::cluster_server::Cluster;
use crate::proto::etcdserverpb::{Member, MemberListRequest, MemberListResponse};

#[tonic::async_trait]
impl Cluster for Api {
    async fn member_list(
        &self,
        _: Request<MemberListRequest>,
    ) -> Result<Response<MemberListResponse>, Status> {
        let us = &self.node.member;
        let member = Member {
            id: us.identity.member_id,
            name: us.name.clone(),
            peer_ur_ls: Vec::new(),
            client_ur_ls: us.client_urls.clone(),
            is_learner: false,
        };
        let header = self.node.header_now();
        Ok(Response::new(MemberListResponse {
            header,
            members: vec![member],
        }))
    }
}
