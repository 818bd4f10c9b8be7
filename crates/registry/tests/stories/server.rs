//! The servers that the stories are told on.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use registry::{Options, Registry};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::{JoinHandle, JoinSet};

const ETCD: &str = "/usr/bin/etcd";
/// Calls in tests may take long on a busy machine; what must be quick is measured where it matters.
const PATIENCE: Duration = Duration::from_secs(10);
/// Runs a program for as long as our end of its standard input is open: even a test that is killed leaves none behind.
const LEASHED: &str = r#""$0" "$@" & read -r end; kill -9 $!; wait $!"#;
pub(crate) const PREFIX: &str = "/fleet/";

/// A server with nothing in it, gone with the value.
pub(crate) enum Server {
    Etcd(Box<Etcd>),
    Store(Box<store::Store>),
}

impl Server {
    /// A real etcd; none where it is not installed, which is an error where everything must be tested.
    pub(crate) async fn etcd() -> Option<Self> {
        Some(Server::Etcd(Box::new(Etcd::start(&[]).await?)))
    }

    /// The embedded store, in memory.
    pub(crate) async fn store() -> Self {
        Server::Store(Box::new(store::Store::in_memory().await.unwrap()))
    }

    /// One more connection.
    pub(crate) async fn registry(&self) -> Registry {
        match self {
            Server::Etcd(etcd) => etcd.registry().await,
            Server::Store(store) => {
                Registry::from_channel(registry::Channel::Tonic(store.channel()), PREFIX, PATIENCE)
                    .await
                    .unwrap()
            }
        }
    }

    /// A plain client, for what the registry itself never does.
    pub(crate) async fn client(&self) -> etcd_client::Client {
        match self {
            Server::Etcd(etcd) => etcd.client().await,
            Server::Store(store) => {
                let channel = etcd_client::Channel::Tonic(store.channel());
                etcd_client::Client::from_channel(channel, None)
                    .await
                    .unwrap()
            }
        }
    }

    /// Writes anything under a key.
    pub(crate) async fn put(&self, key: &str, value: &str) {
        self.put_on(key, value, 0).await;
    }

    /// The same, on a lease, or none if that is 0.
    pub(crate) async fn put_on(&self, key: &str, value: &str, lease: i64) {
        let options = etcd_client::PutOptions::new().with_lease(lease);
        self.client()
            .await
            .put(format!("{PREFIX}{key}"), value, Some(options))
            .await
            .unwrap();
    }

    /// Deletes a key.
    pub(crate) async fn delete(&self, key: &str) {
        self.client()
            .await
            .delete(format!("{PREFIX}{key}"), None)
            .await
            .unwrap();
    }

    /// Forgets the history up to now.
    pub(crate) async fn compact(&self) {
        let mut client = self.client().await;
        let now = client
            .get("x", None)
            .await
            .unwrap()
            .header()
            .unwrap()
            .revision();
        client.compact(now, None).await.unwrap();
    }
}

/// A process of its own in a directory of its own, on ports of its own.
pub(crate) struct Etcd {
    child: Child,
    dir: TempDir,
    port: u16,
    args: Vec<String>,
}

impl Etcd {
    /// Starts one with further arguments and waits until it answers.
    pub(crate) async fn start(args: &[&str]) -> Option<Self> {
        let etcd = Self::spawn(args)?;
        etcd.registry().await.ping().await.expect("etcd comes up");
        Some(etcd)
    }

    /// Starts one without waiting for it.
    pub(crate) fn spawn(args: &[&str]) -> Option<Self> {
        if !std::path::Path::new(ETCD).exists() {
            assert!(
                std::env::var("CI").is_err(),
                "{ETCD} is missing: install etcd-server"
            );
            eprintln!("{ETCD} is missing: this story is not told on a real etcd");
            return None;
        }
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let (dir, port) = (TempDir::new().unwrap(), free_port());
        Some(Etcd {
            child: run(&dir, port, &args),
            dir,
            port,
            args,
        })
    }

    /// Kills it as a power loss would, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }

    /// Starts it again on the same data and the same port.
    pub(crate) fn restart(&mut self) {
        self.child = run(&self.dir, self.port, &self.args);
    }

    /// Starts it again on the same port, with all data lost.
    pub(crate) fn restart_empty(&mut self) {
        self.dir = TempDir::new().unwrap();
        self.restart();
    }

    /// A copy of its data, to be made while it is down.
    pub(crate) fn back_up(&self) -> TempDir {
        let copy = TempDir::new().unwrap();
        let from = self.dir.path().join(".");
        let copied = Command::new("cp")
            .arg("-a")
            .arg(from)
            .arg(copy.path())
            .status();
        assert!(copied.unwrap().success());
        copy
    }

    /// Starts it again on the same port, with the data of a copy.
    pub(crate) fn restore(&mut self, copy: TempDir) {
        self.dir = copy;
        self.restart();
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.args.iter().any(|arg| arg == "--cert-file") {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            endpoints: vec![self.url()],
            prefix: PREFIX.to_owned(),
            request_timeout: PATIENCE,
            ..Options::default()
        }
    }

    pub(crate) async fn registry(&self) -> Registry {
        Registry::connect(&self.options()).await.unwrap()
    }

    pub(crate) async fn registry_through(&self, proxy: &Proxy) -> Registry {
        let options = Options {
            endpoints: vec![proxy.url()],
            ..self.options()
        };
        Registry::connect(&options).await.unwrap()
    }

    pub(crate) async fn client(&self) -> etcd_client::Client {
        etcd_client::Client::connect([self.url()], None)
            .await
            .unwrap()
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}

fn run(dir: &TempDir, port: u16, args: &[String]) -> Child {
    let tls = args.iter().any(|arg| arg == "--cert-file");
    let client = format!("{}://127.0.0.1:{port}", if tls { "https" } else { "http" });
    let peer = format!("http://127.0.0.1:{}", free_port());
    Command::new("sh")
        .args(["-c", LEASHED, ETCD])
        .args(["--data-dir", dir.path().to_str().unwrap()])
        .args([
            "--listen-client-urls",
            &client,
            "--advertise-client-urls",
            &client,
        ])
        .args([
            "--listen-peer-urls",
            &peer,
            "--initial-advertise-peer-urls",
            &peer,
        ])
        .args(["--initial-cluster", &format!("default={peer}")])
        // short elections, so that leases of one second are possible
        .args(["--heartbeat-interval", "20", "--election-timeout", "200"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// A port that nobody else takes: below those that the kernel hands out, and no two alike in one process.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + (std::process::id() % 80) as u16 * 250;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::SeqCst) % 250;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A way to a server that can be cut, and that can lose answers.
pub(crate) struct Proxy {
    port: u16,
    target: String,
    /// The next answer is lost, and its connection with it.
    lossy: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(url: &str) -> Self {
        let target = url.rsplit('/').next().unwrap().to_owned();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let lossy = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(forward(listener, target.clone(), lossy.clone()));
        Proxy {
            port,
            target,
            lossy,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Lets the next request through, and breaks the connection instead of passing the answer on.
    pub(crate) fn lose_next_answer(&self) {
        self.lossy.store(true, Ordering::SeqCst);
    }

    /// Whether the answer has been lost.
    pub(crate) fn has_lost(&self) -> bool {
        !self.lossy.load(Ordering::SeqCst)
    }

    /// Breaks all connections and refuses new ones.
    pub(crate) async fn cut(&mut self) {
        self.task.abort();
        (&mut self.task).await.unwrap_err();
    }

    pub(crate) async fn heal(&mut self) {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", self.port))
            .await
            .unwrap();
        self.task = tokio::spawn(forward(listener, self.target.clone(), self.lossy.clone()));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(listener: tokio::net::TcpListener, target: String, lossy: Arc<AtomicBool>) {
    let mut connections = JoinSet::new();
    loop {
        let (near, _) = listener.accept().await.unwrap();
        let far = TcpStream::connect(&target).await.unwrap();
        connections.spawn(connect(near, far, lossy.clone()));
    }
}

async fn connect(near: TcpStream, far: TcpStream, lossy: Arc<AtomicBool>) {
    let (mut from_client, mut to_client) = near.into_split();
    let (mut from_server, mut to_server) = far.into_split();
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
        _ = answers(&mut from_server, &mut to_client, &lossy) => {}
    }
}

/// Passes answers on, except one that is to be lost. What carries an answer is longer than the few bytes of HTTP/2's
/// own talk.
async fn answers(
    server: &mut OwnedReadHalf,
    client: &mut OwnedWriteHalf,
    lossy: &AtomicBool,
) -> std::io::Result<()> {
    const OWN_TALK: usize = 60;
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let length = server.read(&mut bytes).await?;
        if length > OWN_TALK && lossy.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        if length == 0 {
            return Ok(());
        }
        client.write_all(&bytes[..length]).await?;
    }
}
