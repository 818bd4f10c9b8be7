//! The etcd v3 API over gRPC.

mod absent;
mod cluster;
mod kv;
mod lease;
mod maintenance;
mod status;
mod watch;

pub(crate) use absent::Absent;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tonic::service::{Routes, RoutesBuilder};

use crate::node::Node;
use crate::proto::etcdserverpb::cluster_server::ClusterServer;
use crate::proto::etcdserverpb::kv_server::KvServer;
use crate::proto::etcdserverpb::lease_server::LeaseServer;
use crate::proto::etcdserverpb::maintenance_server::MaintenanceServer;
use crate::proto::etcdserverpb::watch_server::WatchServer;

/// The largest message that is read, in bytes: etcd's request limit and its 512 KiB for the frame.
const MAX_MESSAGE_BYTES: usize = 2 << 20;

/// All services of one member.
#[derive(Clone)]
struct Api {
    node: Arc<Node>,
    /// Cancelled when the server is to stop: its streams would never end by themselves.
    closing: CancellationToken,
}

/// The services as routes for a server.
pub(crate) fn routes(node: Arc<Node>, closing: CancellationToken) -> Routes {
    let api = Api { node, closing };
    let mut routes = RoutesBuilder::default();
    routes
        .add_service(KvServer::new(api.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(WatchServer::new(api.clone()))
        .add_service(LeaseServer::new(api.clone()))
        .add_service(ClusterServer::new(api.clone()))
        .add_service(MaintenanceServer::new(api));
    routes.routes()
}
