//! What the registry promises, told on a real etcd and on the embedded store alike.
#![allow(clippy::unwrap_used, missing_docs)]

/// Tells each story on both servers.
macro_rules! on_both {
    ($($story:ident),+ $(,)?) => {
        mod on_etcd {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                if let Some(server) = $crate::server::Server::etcd().await {
                    super::$story(server).await;
                }
            })+
        }
        mod on_store {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                super::$story($crate::server::Server::store().await).await;
            })+
        }
    };
}

mod committing;
mod connecting;
mod fencing;
mod garbage;
mod joining;
mod leading;
mod losing;
mod members;
mod sample;
mod server;
mod telling;
mod watching;
mod writing;
