//! The network between one machine and the store.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use store::Dialer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::Chance;

/// What is sent at once at most.
const CHUNK: usize = 16 << 10;
/// How [`registry::Options`] connects: how often a silent server is asked whether it is there, and how long it may
/// take to answer.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// What is the matter with a link. Nothing is lost on one that is held up: it comes later, if the connection
/// lives to see that.
#[derive(Debug, Clone, Default)]
pub(crate) struct Weather {
    /// Nothing reaches the store.
    pub(crate) no_requests: bool,
    /// Nothing comes back from it.
    pub(crate) no_answers: bool,
    /// The program at this end is frozen.
    pub(crate) frozen: bool,
    /// The longest that something is under way, in milliseconds.
    pub(crate) delay: u64,
    /// How likely the connection is to break with every thing sent.
    pub(crate) flaky: f64,
    /// How often all connections were broken.
    resets: u64,
}

/// The two ways of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Requests,
    Answers,
}

impl Weather {
    fn holds(&self, way: Way) -> bool {
        let cut = match way {
            Way::Requests => self.no_requests,
            Way::Answers => self.no_answers,
        };
        cut || self.frozen
    }
}

/// The network between one machine and the store. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    dialer: Dialer,
    weather: Arc<watch::Sender<Weather>>,
    chance: Arc<Mutex<Chance>>,
}

impl Link {
    pub(crate) fn new(dialer: Dialer, chance: Chance) -> Link {
        Link {
            dialer,
            weather: Arc::default(),
            chance: Arc::new(Mutex::new(chance)),
        }
    }

    /// Makes another weather.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Weather)) {
        self.weather.send_modify(change);
    }

    /// Breaks all connections.
    pub(crate) fn reset(&self) {
        self.weather.send_modify(|weather| weather.resets += 1);
    }

    /// A channel over this link, as the product makes its own.
    pub(crate) fn channel(&self, timeout: Duration) -> Channel {
        let link = self.clone();
        let connector = tower::service_fn(move |_: Uri| {
            let link = link.clone();
            async move { link.connect().await.map(TokioIo::new) }
        });
        Endpoint::from_static("http://store")
            .connect_timeout(timeout)
            .http2_keep_alive_interval(PROBE_INTERVAL)
            .keep_alive_timeout(PROBE_TIMEOUT)
            .keep_alive_while_idle(true)
            .connect_with_connector_lazy(connector)
    }

    async fn connect(&self) -> io::Result<DuplexStream> {
        let mut weather = self.weather.subscribe();
        let open =
            |weather: &Weather| !weather.holds(Way::Requests) && !weather.holds(Way::Answers);
        let gone = |_| io::Error::from(io::ErrorKind::NotConnected);
        let resets = weather.wait_for(open).await.map_err(gone)?.resets;
        let (near, far) = (tokio::io::duplex(CHUNK), self.dialer.dial()?);
        tokio::spawn(self.clone().carry(near.1, far, resets));
        Ok(near.0)
    }

    /// Carries both ways of a connection until both ends are closed, or it breaks.
    async fn carry(self, near: DuplexStream, far: DuplexStream, resets: u64) {
        let (from_near, to_near) = tokio::io::split(near);
        let (from_far, to_far) = tokio::io::split(far);
        let both = async {
            tokio::try_join!(
                self.pump(Way::Requests, from_near, to_far),
                self.pump(Way::Answers, from_far, to_near),
            )
        };
        let mut weather = self.weather.subscribe();
        tokio::select! {
            // how it ended shows at both ends
            _ = both => {}
            _ = weather.wait_for(|weather| weather.resets != resets) => {}
        }
    }

    async fn pump(
        &self,
        way: Way,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let mut weather = self.weather.subscribe();
        let mut bytes = vec![0; CHUNK];
        loop {
            let length = from.read(&mut bytes).await?;
            self.pass(way, &mut weather).await?;
            if length == 0 {
                return to.shutdown().await;
            }
            to.write_all(&bytes[..length]).await?;
        }
    }

    /// Waits for as long as the weather wants it; an error if it breaks the connection.
    async fn pass(&self, way: Way, weather: &mut watch::Receiver<Weather>) -> io::Result<()> {
        let broken = || io::Error::from(io::ErrorKind::ConnectionReset);
        let (delay, flaky) = {
            let weather = weather.borrow();
            (weather.delay, weather.flaky)
        };
        if delay > 0 {
            let delay = self.chance().millis(0..=delay);
            tokio::time::sleep(delay).await;
        }
        if flaky > 0.0 && self.chance().happens(flaky) {
            return Err(broken());
        }
        let open = weather.wait_for(|weather| !weather.holds(way)).await;
        open.map(drop).map_err(|_| broken())
    }

    fn chance(&self) -> std::sync::MutexGuard<'_, Chance> {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
