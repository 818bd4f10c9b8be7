//! The network between one machine and the store.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use registry::Channel;
use store::Service;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt as _};

use crate::Chance;
use crate::connection::{Connection, Way};
use crate::server::Server;

/// A connection that is held up for so long breaks: [`registry::Options`] asks a silent server after ten seconds whether
/// it is there, and gives it two to answer.
const PATIENCE: Duration = Duration::from_secs(12);

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

impl Weather {
    fn holds_any(&self) -> bool {
        self.holds(Way::Requests) || self.holds(Way::Answers)
    }

    fn holds(&self, way: Way) -> bool {
        let cut = match way {
            Way::Requests => self.no_requests,
            Way::Answers => self.no_answers,
        };
        cut || self.frozen
    }
}

/// The network between one machine and the store. Clones are handles of the same one.
#[derive(Clone)]
pub(crate) struct Link {
    server: Server,
    weather: Arc<watch::Sender<Weather>>,
    chance: Arc<Mutex<Chance>>,
}

impl Link {
    pub(crate) fn new(server: Server, chance: Chance) -> Link {
        Link {
            server,
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

    /// A channel over this link, of one connection at a time, which is made within `patience` when it is needed.
    pub(crate) fn channel(&self, patience: Duration) -> Channel {
        let (link, kept) = (self.clone(), Arc::new(Mutex::new(None)));
        Channel::Custom(BoxCloneSyncService::new(tower::service_fn(
            move |request| {
                let (link, kept) = (link.clone(), Arc::clone(&kept));
                async move {
                    let connected = timeout(patience, link.connected(&kept)).await;
                    let connection =
                        connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
                    link.call(connection?, request).await
                }
            },
        )))
    }

    /// The connection that there is, or else a new one.
    async fn connected(&self, kept: &Mutex<Option<Connection>>) -> io::Result<Connection> {
        let whole = |kept: &Option<Connection>| kept.clone().filter(Connection::is_whole);
        if let Some(connection) = whole(&lock(kept)) {
            return Ok(connection);
        }
        self.wait(|weather| !weather.holds_any()).await;
        let mut kept = lock(kept);
        // somebody else may have waited for the same
        let connection = whole(&kept).map_or_else(|| self.connect(), Ok)?;
        Ok(kept.insert(connection).clone())
    }

    fn connect(&self) -> io::Result<Connection> {
        self.service()?;
        let resets = self.weather.borrow().resets;
        let link = self.clone();
        Ok(Connection::open(async move {
            tokio::select! {
                () = link.wait(|weather| weather.resets != resets) => {}
                () = link.held_up() => {}
                () = link.server.killed() => {}
            }
        }))
    }

    /// Who answers at the other end.
    fn service(&self) -> io::Result<Service> {
        let service = self.server.service();
        service.ok_or_else(|| io::ErrorKind::ConnectionRefused.into())
    }

    /// Waits until something has been held up for longer than a client puts up with.
    async fn held_up(&self) {
        loop {
            self.wait(Weather::holds_any).await;
            let open = self.wait(|weather| !weather.holds_any());
            if timeout(PATIENCE, open).await.is_err() {
                return;
            }
        }
    }

    /// Makes a call. What has been sent goes its way, whether its sender still waits for an answer or not.
    async fn call(
        self,
        connection: Connection,
        request: Request<Body>,
    ) -> Result<Response<Body>, BoxError> {
        let (tell, told) = oneshot::channel();
        // boxed: a future as large as this one would be moved many times on its way to the runtime
        tokio::spawn(Box::pin(async move {
            let answer = connection.unless_broken(self.exchange(&connection, request));
            // nobody may wait for it any more
            drop(tell.send(answer.await));
        }));
        told.await??
    }

    async fn exchange(
        &self,
        connection: &Connection,
        request: Request<Body>,
    ) -> Result<Response<Body>, BoxError> {
        let request = request.map(|body| self.passing(connection, Way::Requests, body));
        let answer = self.service()?.oneshot(request).await?;
        self.pass(connection, Way::Answers).await?;
        Ok(answer.map(|body| self.passing(connection, Way::Answers, body)))
    }

    /// The same body, as it comes out at the other end.
    fn passing(&self, connection: &Connection, way: Way, body: Body) -> Body {
        let start = (self.clone(), connection.clone(), body);
        let frames = stream::try_unfold(start, move |(link, connection, mut body)| async move {
            let next = async {
                let Some(frame) = body.frame().await.transpose()? else {
                    return Ok(None);
                };
                link.pass(&connection, way).await?;
                Ok::<_, BoxError>(Some(frame))
            };
            let frame = connection.unless_broken(next).await??;
            Ok::<_, BoxError>(frame.map(|frame| (frame, (link, connection, body))))
        });
        Body::new(StreamBody::new(frames))
    }

    /// Waits for as long as the weather wants it; an error if it breaks the connection.
    async fn pass(&self, connection: &Connection, way: Way) -> io::Result<()> {
        let Weather { delay, flaky, .. } = *self.weather.borrow();
        if delay > 0 {
            let arrival = Instant::now() + lock(&self.chance).millis(0..=delay);
            sleep_until(connection.arrival(way, arrival)).await;
        }
        if flaky > 0.0 && lock(&self.chance).happens(flaky) {
            connection.tear();
        }
        self.wait(|weather| !weather.holds(way)).await;
        connection.check()
    }

    /// Waits for a weather. The sender is ours.
    async fn wait(&self, mut wanted: impl FnMut(&Weather) -> bool) {
        // which is so nearly always, and costs less
        if !wanted(&self.weather.borrow()) {
            drop(self.weather.subscribe().wait_for(wanted).await);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
