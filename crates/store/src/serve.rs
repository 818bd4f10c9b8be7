//! Servers on listeners, and the way in from the same process.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;
use tonic::transport::{Channel, Endpoint, Server, Uri};

use crate::grpc::{Absent, routes};
use crate::node::Node;
use crate::{Error, Store};

/// Bytes that either side of a connection within the process may be ahead of the other.
const DUPLEX_BYTES: usize = 64 << 10;
/// How long a connection may be silent before its client is asked whether it is there.
const PING_INTERVAL: Duration = Duration::from_secs(120);
/// How long the client has to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

impl Store {
    /// Serves the API on `listener` until `shutdown` completes or the store ends.
    ///
    /// Requests that are being answered are answered; watches and keep-alives are ended.
    ///
    /// # Errors
    /// The server failed.
    pub fn serve(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = Result<(), Error>> + Send + 'static {
        let incoming = TcpListenerStream::new(listener).inspect(|connection| {
            // answers are small and waited for: they must not wait for each other
            if let Ok(connection) = connection {
                _ = connection.set_nodelay(true);
            }
        });
        serve(tcp_server(), Arc::clone(&self.node), incoming, shutdown)
    }

    /// A channel to the store without a socket, for `etcd_client::Client::from_channel`. Needs a
    /// tokio runtime. After the store has ended its calls fail with `Unavailable`.
    pub fn channel(&self) -> Channel {
        let dialer = self.dialer();
        let connector = tower::service_fn(move |_: Uri| {
            let dialer = dialer.clone();
            async move { dialer.dial().map(TokioIo::new) }
        });
        Endpoint::from_static("http://in-process").connect_with_connector_lazy(connector)
    }

    /// The same one connection at a time, for those who put something of their own in between.
    pub fn dialer(&self) -> Dialer {
        let (dial, dialled) = mpsc::unbounded_channel();
        let incoming = UnboundedReceiverStream::new(dialled);
        let never = std::future::pending();
        tokio::spawn(serve(
            Server::builder(),
            Arc::clone(&self.node),
            incoming,
            never,
        ));
        Dialer(dial)
    }
}

/// Opens connections to a store within its process. The store serves them until the last clone has gone and they are
/// closed.
#[derive(Debug, Clone)]
pub struct Dialer(mpsc::UnboundedSender<io::Result<DuplexStream>>);

impl Dialer {
    /// Opens a connection.
    ///
    /// # Errors
    /// The store has ended.
    pub fn dial(&self) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(DUPLEX_BYTES);
        let refused = |_| io::Error::new(io::ErrorKind::ConnectionRefused, "the store has ended");
        self.0.send(Ok(theirs)).map_err(refused)?;
        Ok(ours)
    }
}

async fn serve<I, C>(
    server: Server,
    node: Arc<Node>,
    incoming: I,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error>
where
    I: Stream<Item = io::Result<C>> + Send + 'static,
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let closing = node.closing.child_token();
    let stop = stop(closing.clone(), shutdown);
    let server = server.layer(Absent).add_routes(routes(node, closing));
    Ok(server.serve_with_incoming_shutdown(incoming, stop).await?)
}

/// Waits until the store or this server is to stop, and ends the server's streams.
async fn stop(closing: CancellationToken, shutdown: impl Future<Output = ()>) {
    tokio::select! {
        () = closing.cancelled() => {}
        () = shutdown => closing.cancel(),
    }
}

/// A server that notices when a client's machine has died.
fn tcp_server() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
}
