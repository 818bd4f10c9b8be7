//! HTTP/1.1 with keep-alive over a unix socket, TCP or TLS.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::Command;
use tokio_rustls::TlsConnector;

use crate::endpoint::{Address, Endpoint, Transport};
use crate::ssh::{Connection, Ssh, quote};

type Sender = SendRequest<Full<Bytes>>;

/// Connections to one endpoint; idle ones are used again.
pub(crate) struct Http {
    endpoint: Endpoint,
    tls: Option<TlsConnector>,
    timeout: Duration,
    /// Whose bastion connections go through, if it has one.
    ssh: Arc<Ssh>,
    idle: Mutex<Vec<Sender>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// No connection; [`HttpError::cure`] tells what to do about it.
    #[error("cannot reach fleetd at {endpoint}")]
    Unreachable {
        /// The endpoint as it was given.
        endpoint: String,
        /// What the system says.
        source: io::Error,
    },
    /// Connected, but silent.
    #[error("fleetd at {endpoint} gave no answer within {}s (--request-timeout)", within.as_secs_f64())]
    Silent {
        /// The endpoint as it was given.
        endpoint: String,
        /// How long we waited.
        within: Duration,
    },
    /// The connection broke, or what came is not HTTP.
    #[error("talking to fleetd at {endpoint}")]
    Broken {
        /// The endpoint as it was given.
        endpoint: String,
        /// What hyper says.
        source: hyper::Error,
    },
}

impl HttpError {
    /// What to do about an endpoint that cannot be reached; none for other errors.
    pub(crate) fn cure(&self) -> Option<&'static str> {
        let HttpError::Unreachable { source, .. } = self else {
            return None;
        };
        Some(match source.kind() {
            io::ErrorKind::PermissionDenied => {
                "run fleetctl as root, or as a user who may open that socket"
            }
            io::ErrorKind::InvalidData => "see --ca-file, --cert-file and --key-file",
            _ => {
                "start fleetd there (systemctl start fleet), or name another with --endpoint or FLEETCTL_ENDPOINT"
            }
        })
    }
}

impl Http {
    /// Nothing is opened before the first request. `timeout` is for connecting and for the head of an answer.
    pub(crate) fn new(
        endpoint: Endpoint,
        tls: Option<TlsConnector>,
        timeout: Duration,
        ssh: Arc<Ssh>,
    ) -> Self {
        Http {
            endpoint,
            tls,
            timeout,
            ssh,
            idle: Mutex::default(),
        }
    }

    /// Sends one request and reads the whole answer. `patience` is added to the time allowed for the answer.
    ///
    /// # Errors
    /// When the endpoint cannot be reached, is silent, or breaks off.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        patience: Duration,
    ) -> Result<(StatusCode, Bytes), HttpError> {
        let (sender, answer) = self
            .send(method, path, body, self.timeout + patience)
            .await?;
        let status = answer.status();
        let bytes = answer
            .into_body()
            .collect()
            .await
            .map_err(|e| self.broken(e))?
            .to_bytes();
        self.keep(sender);
        Ok((status, bytes))
    }

    /// Sends one request and gives the answer's head and the stream of its body.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub(crate) async fn stream(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Response<Incoming>, HttpError> {
        self.send(method, path, body, self.timeout)
            .await
            .map(|(_, answer)| answer)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        within: Duration,
    ) -> Result<(Sender, Response<Incoming>), HttpError> {
        tracing::debug!("HTTP {method} {path}");
        let request = self.request(method, path, body);
        let mut sender = self.sender().await?;
        let answer = tokio::time::timeout(within, sender.send_request(request)).await;
        let answer = answer
            .map_err(|_| HttpError::Silent {
                endpoint: self.endpoint.to_string(),
                within,
            })?
            .map_err(|source| self.broken(source))?;
        tracing::debug!("HTTP {path} {}", answer.status());
        Ok((sender, answer))
    }

    fn request(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::default());
        *request.method_mut() = method;
        // a path that is no URI cannot come from `client`, which encodes every name
        *request.uri_mut() = format!("{}{path}", self.endpoint.base)
            .parse()
            .unwrap_or_default();
        let headers = request.headers_mut();
        let host = self.endpoint.host_header().parse();
        headers.insert(
            header::HOST,
            host.unwrap_or(header::HeaderValue::from_static("fleetd")),
        );
        headers.insert(
            header::USER_AGENT,
            header::HeaderValue::from_static(concat!("fleetctl/", env!("CARGO_PKG_VERSION"))),
        );
        if let Some(body) = body {
            headers.insert(
                header::CONTENT_TYPE,
                header::HeaderValue::from_static("application/json"),
            );
            *request.body_mut() = Full::from(body);
        }
        request
    }

    /// An idle connection that is still good, or a new one.
    async fn sender(&self) -> Result<Sender, HttpError> {
        while let Some(mut sender) = self.take_idle() {
            if sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let opened = tokio::time::timeout(self.timeout, self.connect()).await;
        opened
            .unwrap_or_else(|_| {
                let said = format!(
                    "no connection within {}s (--request-timeout)",
                    self.timeout.as_secs_f64()
                );
                Err(io::Error::new(io::ErrorKind::TimedOut, said))
            })
            .map_err(|source| HttpError::Unreachable {
                endpoint: self.endpoint.to_string(),
                source,
            })
    }

    async fn connect(&self) -> io::Result<Sender> {
        match &self.endpoint.transport {
            Transport::Unix(path) => match self.bastion().await? {
                Some(bastion) => {
                    speak(pipe(bastion.command(Some(&fd_forward(path)), false))?).await
                }
                None => speak(UnixStream::connect(path).await?).await,
            },
            Transport::Tcp(address) => speak(self.dial(address).await?).await,
            Transport::Tls(address) => {
                let tls = self
                    .tls
                    .as_ref()
                    .ok_or_else(|| io::Error::other("TLS is not set up"))?;
                let name = ServerName::try_from(address.host.clone()).map_err(io::Error::other)?;
                speak(tls.connect(name, self.dial(address).await?).await?).await
            }
        }
    }

    async fn dial(&self, address: &Address) -> io::Result<Box<dyn Stream>> {
        if let Some(bastion) = self.bastion().await? {
            return Ok(Box::new(pipe(
                bastion.forward(&address.host, address.port),
            )?));
        }
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }

    async fn bastion(&self) -> io::Result<Option<&Connection>> {
        self.ssh.tunnel().await.map_err(io::Error::other)
    }

    fn take_idle(&self) -> Option<Sender> {
        self.idle.lock().ok()?.pop()
    }

    fn keep(&self, sender: Sender) {
        if let Ok(mut idle) = self.idle.lock() {
            idle.push(sender);
        }
    }

    fn broken(&self, source: hyper::Error) -> HttpError {
        HttpError::Broken {
            endpoint: self.endpoint.to_string(),
            source,
        }
    }
}

/// Bytes both ways.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// What every fleetctl does on a bastion for those who come over SSH.
fn fd_forward(socket: &Path) -> String {
    quote::line(["fleetctl", "fd-forward", &socket.to_string_lossy()])
}

/// A program's stdin and stdout; it ends when they are closed.
fn pipe(mut program: Command) -> io::Result<impl Stream + 'static> {
    let mut child = program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let missing = || io::Error::other("the program has no pipes");
    let (input, output) = (child.stdin.take(), child.stdout.take());
    Ok(tokio::io::join(
        output.ok_or_else(missing)?,
        input.ok_or_else(missing)?,
    ))
}

/// HTTP over `stream`; a task of its own moves the bytes.
async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> io::Result<Sender> {
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    // its errors come out of the requests, too
    tokio::spawn(connection);
    Ok(sender)
}
