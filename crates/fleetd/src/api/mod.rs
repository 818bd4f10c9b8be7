//! The HTTP API: fleet's `/fleet/v1` to the byte, and what is new under `/fleet/v2`.

mod away;
mod cordon;
mod discovery;
mod error;
mod events;
mod go_json;
mod health;
mod machines;
mod metrics;
mod moves;
mod page;
mod put;
mod remembered;
mod request;
mod routes;
mod state;
mod status;
mod store;
mod units;
mod v2;
mod watch;
mod what_if;
mod why;
mod wire;

use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use fleet::schedule::Terms;
use fleet::{Cluster, v1};
use registry::{Registry, Table, UnitPicture};
use tokio_util::sync::CancellationToken;
use unitfile::UnitName;

use self::error::ApiError;
use self::remembered::Remembered;
use crate::metrics::{Page, Requests};
use crate::mirror::{Picture, SharedMirror};
use crate::sockets::Listener;

/// What the planner is told besides the records.
fn terms() -> Terms {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Terms {
        now: since.unwrap_or_default(),
        ..Terms::default()
    }
}

/// Everything a request's handler needs. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    registry: Registry,
    mirror: SharedMirror,
    token_limit: u16,
    connected: Arc<dyn Fn() -> bool + Send + Sync>,
    closing: CancellationToken,
    requests: Arc<Requests>,
    roles: Arc<dyn Fn(&Page) + Send + Sync>,
    machine_lists: Arc<Remembered<v1::Machine>>,
    unit_lists: Arc<Remembered<v1::Unit>>,
    state_lists: Arc<Remembered<v1::UnitState>>,
}

impl Api {
    /// An API over `registry`, `token_limit` objects a page. While not `connected` every answer is a 503;
    /// when `closing` is cancelled requests are brought to their end and watches are cut.
    pub fn new(
        registry: Registry,
        token_limit: u16,
        connected: impl Fn() -> bool + Send + Sync + 'static,
        closing: CancellationToken,
    ) -> Self {
        let mirror = SharedMirror::new(registry.clone(), closing.clone());
        Api {
            registry,
            mirror,
            token_limit,
            connected: Arc::new(connected),
            closing,
            requests: Arc::default(),
            roles: Arc::new(|_| {}),
            machine_lists: Arc::default(),
            unit_lists: Arc::default(),
            state_lists: Arc::default(),
        }
    }

    /// With `roles` to write down what the roles of this machine have done, for `/metrics`.
    pub(crate) fn with_metrics(mut self, roles: impl Fn(&Page) + Send + Sync + 'static) -> Self {
        self.roles = Arc::new(roles);
        self
    }

    /// Answers requests on one socket until the API closes.
    ///
    /// # Errors
    /// The socket fails.
    pub async fn serve(self, listener: Listener) -> io::Result<()> {
        let closing = self.closing.clone().cancelled_owned();
        let router = routes::router(Arc::new(self));
        match listener {
            Listener::Unix(socket) => {
                axum::serve(socket, router)
                    .with_graceful_shutdown(closing)
                    .await
            }
            Listener::Tcp(socket) => {
                axum::serve(socket, router)
                    .with_graceful_shutdown(closing)
                    .await
            }
        }
    }

    /// What `look` makes of the registry as it is: of the picture that somebody has had lately, if that is as new as etcd is now, else
    /// of the tables, which are read.
    async fn look<T: Send + 'static>(
        &self,
        tables: &[Table],
        look: fn(&Cluster) -> T,
    ) -> Result<T, ApiError> {
        let revision = self.reach().await?;
        if let Some(view) = self.mirror.running() {
            let look = move |picture: &mut Picture| {
                let cluster = picture.cluster();
                (cluster.revision >= revision).then(|| look(cluster))
            };
            if let Ok(Some(seen)) = view.ask(look).await {
                return Ok(seen);
            }
        }
        Ok(look(&self.read(tables).await?))
    }

    /// Whether etcd answers, and its revision. Long reads and streams have patience with it; their clients shall know early.
    async fn reach(&self) -> Result<i64, ApiError> {
        let answer = self.registry.ping().await;
        answer.map_err(|error| ApiError::registry("reaching the registry", &error))
    }

    async fn picture(&self, tables: &[Table]) -> Result<Cluster, ApiError> {
        self.reach().await?;
        self.read(tables).await
    }

    async fn read(&self, tables: &[Table]) -> Result<Cluster, ApiError> {
        let picture = self.registry.picture(tables).await;
        picture.map_err(|error| ApiError::registry("reading the registry", &error))
    }

    async fn units(&self, names: &[UnitName]) -> Result<UnitPicture, ApiError> {
        self.reach().await?;
        let picture = self.registry.unit_picture(names).await;
        picture.map_err(|error| ApiError::registry("reading units", &error))
    }
}
