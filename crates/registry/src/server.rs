//! One etcd server: the client for it, our right to use it, and what its errors mean.

use std::error::Error as _;

use etcd_client::{Client, Error as EtcdError, KvClient, LeaseClient, WatchClient};
use tokio::sync::OnceCell;
use tonic::Code;

/// A server, connected to when it is first asked.
pub(crate) struct Server {
    client: Client,
    credentials: Option<(String, String)>,
    signed_in: OnceCell<()>,
}

impl Server {
    /// `credentials` are user and password, for an etcd that asks for them.
    pub(crate) fn new(client: Client, credentials: Option<(String, String)>) -> Self {
        Server {
            client,
            credentials,
            signed_in: OnceCell::new(),
        }
    }

    /// Reads and writes; answers may be of any size.
    pub(crate) fn kv(&self) -> KvClient {
        self.client
            .kv_client()
            .max_decoding_message_size(usize::MAX)
    }

    /// Leases.
    pub(crate) fn lease(&self) -> LeaseClient {
        self.client.lease_client()
    }

    /// Watches; events may be of any size.
    pub(crate) fn watch(&self) -> WatchClient {
        self.client
            .watch_client()
            .max_decoding_message_size(usize::MAX)
    }

    /// Makes one call, signed in.
    pub(crate) async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, EtcdError>>,
    ) -> Result<T, EtcdError> {
        if self.credentials.is_some() && !self.signed_in.initialized() {
            Box::pin(self.sign_in()).await?;
        }
        let answer = call.await;
        match &answer {
            Err(error) if wants_new_token(error) => Box::pin(self.sign_in_again()).await?,
            _ => {}
        }
        answer
    }

    /// Gets a new token: the one we have is not accepted any more.
    pub(crate) async fn sign_in_again(&self) -> Result<(), EtcdError> {
        match &self.credentials {
            Some(credentials) => {
                self.client
                    .clone()
                    .update_user(Some(credentials.clone()))
                    .await
            }
            None => Ok(()),
        }
    }

    /// Gets the first token. A server that asks for none is served without.
    async fn sign_in(&self) -> Result<(), EtcdError> {
        let sign_in = || async {
            match self.sign_in_again().await {
                Err(error) if says(&error, "authentication is not enabled") => {
                    tracing::warn!(
                        "an etcd user is configured, but etcd asks for no authentication"
                    );
                    Ok(())
                }
                other => other,
            }
        };
        self.signed_in.get_or_try_init(sign_in).await.map(|_| ())
    }

    /// Whether another attempt, perhaps at another server or with a new token, may succeed.
    pub(crate) fn is_transient(&self, error: &EtcdError) -> bool {
        is_transient(error) || (self.credentials.is_some() && wants_new_token(error))
    }
}

/// Whether the way to the server failed, or the server for the moment.
pub(crate) fn is_transient(error: &EtcdError) -> bool {
    match error {
        EtcdError::TransportError(_) | EtcdError::IoError(_) => true,
        EtcdError::GRpcStatus(status) => {
            // what a server says has no source; what has one happened on the way
            let on_the_way = status.source().is_some();
            let busy = status.message().contains("too many requests");
            let passing = matches!(
                status.code(),
                Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded
            );
            on_the_way || busy || passing
        }
        _ => false,
    }
}

/// Whether the server no longer accepts our token: it expired, the server restarted, or users were changed.
fn wants_new_token(error: &EtcdError) -> bool {
    [
        "invalid auth token",
        "auth store is old",
        "user name is empty",
    ]
    .iter()
    .any(|words| says(error, words))
}

fn says(error: &EtcdError, words: &str) -> bool {
    matches!(error, EtcdError::GRpcStatus(status) if status.message().contains(words))
}

/// Whether the server speaks no v3 API. One of HTTP/1 only, such as etcd 2, answers in text where HTTP/2
/// expects a frame.
pub(crate) fn is_not_v3(error: &EtcdError) -> bool {
    let EtcdError::GRpcStatus(status) = error else {
        return false;
    };
    let mut causes = std::iter::successors(status.source(), |cause| (*cause).source());
    status.code() == Code::Unimplemented
        || causes.any(|cause| cause.to_string().contains("frame with invalid size"))
}
