//! Servers on listeners, and the ways in from the same process.

use std::convert::Infallible;
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
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::transport::server::Connected;
use tonic::transport::{Channel, Endpoint, Server, Uri};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Layer as _, ServiceExt as _};

use crate::grpc::{Absent, routes};
use crate::node::Node;
use crate::{Error, Store};

/// Bytes that either side of a connection within the process may be ahead of the other.
const DUPLEX_BYTES: usize = 64 << 10;
/// How long a connection may be silent before its client is asked whether it is there.
const PING_INTERVAL: Duration = Duration::from_secs(120);
/// How long the client has to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Answers the calls of an etcd client within the process, without a connection in between: what `etcd_client` takes
/// for a custom channel.
pub type Service = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

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

    /// A channel to the store without a socket, for `etcd_client::Client::from_channel`: HTTP/2, as others speak it. Needs a
    /// tokio runtime. After the store has ended its calls fail with `Unavailable`.
    pub fn channel(&self) -> Channel {
        let (dial, dialled) = mpsc::unbounded_channel();
        let incoming = UnboundedReceiverStream::new(dialled);
        let (node, never) = (Arc::clone(&self.node), std::future::pending());
        tokio::spawn(serve(Server::builder(), node, incoming, never));
        let connector = tower::service_fn(move |_: Uri| {
            let connection = connect(&dial).map(TokioIo::new);
            async move { connection }
        });
        Endpoint::from_static("http://in-process").connect_with_connector_lazy(connector)
    }

    /// The store itself, as an etcd client calls it. Whoever drops a call's future ends the call there. After the store
    /// has ended its calls fail.
    pub fn service(&self) -> Service {
        let closing = self.node.closing.child_token();
        let routes = routes(Arc::clone(&self.node), closing.clone());
        let answering = Absent.layer(routes.prepare());
        BoxCloneSyncService::new(tower::service_fn(move |request: Request<Body>| {
            let (answering, ended) = (answering.clone(), closing.is_cancelled());
            async move {
                if ended {
                    return Err(refused().into());
                }
                let answer = answering.oneshot(request).await;
                answer.map_err(|never: Infallible| match never {})
            }
        }))
    }
}

type Dialled = io::Result<DuplexStream>;

/// Opens a connection to the server at the other end.
fn connect(dial: &mpsc::UnboundedSender<Dialled>) -> Dialled {
    let (ours, theirs) = tokio::io::duplex(DUPLEX_BYTES);
    dial.send(Ok(theirs)).map_err(|_| refused())?;
    Ok(ours)
}

fn refused() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, "the store has ended")
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
