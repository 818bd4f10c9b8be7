//! The connection to systemd over its bus: kept up, and listened to.
//!
//! (systemctl's private socket would spare a hop, but there systemd signs its messages with a well-known name,
//! and zbus refuses any sender that is not a unique one.)
//!
//! Signals only wake: a unit's signal puts its name into [`Changes`], whoever takes it out asks for the
//! state. The bus is told to pass on no more than that needs, since a start alone brings a dozen signals.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::watch;
use unitfile::UnitName;
use zbus::{Connection, Message, MessageStream};

use super::job::{JobResult, Jobs};
use super::{Changes, SystemdError, label};

/// systemd's name on the bus.
pub(crate) const SYSTEMD: &str = "org.freedesktop.systemd1";
/// The object path of its manager.
pub(crate) const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
/// The interface of its manager.
pub(crate) const MANAGER: &str = "org.freedesktop.systemd1.Manager";

const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";

/// What the bus shall pass on: ends of jobs, changed units, and whatever makes all that unreliable.
const SIGNALS: [&str; 4] = [
    "type='signal',sender='org.freedesktop.systemd1',member='JobRemoved'",
    "type='signal',sender='org.freedesktop.systemd1',member='PropertiesChanged',\
     path_namespace='/org/freedesktop/systemd1/unit',arg0='org.freedesktop.systemd1.Unit'",
    "type='signal',sender='org.freedesktop.systemd1',member='Reloading'",
    "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',\
     arg0='org.freedesktop.systemd1'",
];

/// A reload of many thousand units makes systemd deaf for tens of seconds; a call waits that out.
const CALL_TIMEOUT: Duration = Duration::from_secs(90);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Signals that may wait for the listener, which only ever takes them apart.
const QUEUE: usize = 4096;

/// Which systemd is meant, by the bus that it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bus {
    /// The system bus: the machine's own, PID 1.
    #[default]
    System,
    /// The session bus: the systemd of the user who runs this.
    User,
}

/// What the callers and the listener share.
#[derive(Debug)]
pub(crate) struct Link {
    bus: Bus,
    connection: watch::Sender<Option<Connection>>,
    jobs: Mutex<Jobs>,
    pub(crate) changes: Arc<Changes>,
}

/// Connects, and keeps a task alive that listens and connects again when the connection is lost.
pub(crate) async fn open(
    bus: Bus,
) -> Result<(Arc<Link>, tokio::task::JoinHandle<()>), zbus::Error> {
    let (connection, signals) = connect(bus).await?;
    let link = Arc::new(Link {
        bus,
        connection: watch::Sender::new(Some(connection)),
        jobs: Mutex::default(),
        changes: Arc::default(),
    });
    let task = tokio::spawn(keep_up(Arc::clone(&link), signals));
    Ok((link, task))
}

async fn keep_up(link: Arc<Link>, mut signals: MessageStream) {
    loop {
        while let Some(Ok(message)) = signals.next().await {
            link.take(&message);
        }
        tracing::warn!("lost the connection to systemd");
        link.connection.send_replace(None);
        link.signals_lost();
        signals = link.reconnect().await;
        tracing::info!("connected to systemd again");
    }
}

async fn connect(bus: Bus) -> Result<(Connection, MessageStream), zbus::Error> {
    let builder = match bus {
        Bus::System => zbus::connection::Builder::system(),
        Bus::User => zbus::connection::Builder::session(),
    };
    let connection = builder
        .method_timeout(CALL_TIMEOUT)
        .max_queued(NonZeroUsize::new(QUEUE).unwrap_or(NonZeroUsize::MIN))
        .build()
        .await?;
    let signals = MessageStream::from(&connection);
    for rule in SIGNALS {
        connection
            .call_method(Some(BUS), BUS_PATH, Some(BUS), "AddMatch", &rule)
            .await?;
    }
    connection
        .call_method(Some(SYSTEMD), MANAGER_PATH, Some(MANAGER), "Subscribe", &())
        .await?;
    Ok((connection, signals))
}

impl Link {
    /// The connection, if there is one now.
    pub(crate) fn connection(&self, operation: &'static str) -> Result<Connection, SystemdError> {
        let source = zbus::Error::Failure("not connected to the bus".to_owned());
        let connection = self.connection.borrow().clone();
        connection.ok_or(SystemdError::Away { operation, source })
    }

    /// The table of jobs.
    pub(crate) fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn reconnect(&self) -> MessageStream {
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::time::sleep(pause).await;
            match connect(self.bus).await {
                Ok((connection, signals)) => {
                    self.connection.send_replace(Some(connection));
                    self.changes.note_everything();
                    return signals;
                }
                Err(error) => tracing::debug!(%error, "systemd is still away"),
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn take(&self, message: &Message) {
        let header = message.header();
        let Some(member) = header.member() else {
            return;
        };
        match member.as_str() {
            "PropertiesChanged" => self.unit_changed(header.path().map(|path| path.as_str())),
            "JobRemoved" => self.job_removed(message),
            "Reloading" => self.changes.note_everything(),
            "NameOwnerChanged" => self.signals_lost(),
            _ => {}
        }
    }

    fn unit_changed(&self, path: Option<&str>) {
        let name = path.and_then(label::unit_of_path);
        if let Some(Ok(name)) = name.map(|name| UnitName::parse(&name)) {
            self.changes.note(name);
        }
    }

    fn job_removed(&self, message: &Message) {
        let body = message.body();
        match body.deserialize::<(u32, zbus::ObjectPath<'_>, &str, &str)>() {
            Ok((_, path, unit, result)) => {
                self.jobs().ended(&path, JobResult::of(result));
                if let Ok(name) = UnitName::parse(unit) {
                    self.changes.note(name);
                }
            }
            Err(error) => tracing::debug!(%error, "a JobRemoved signal that cannot be read"),
        }
    }

    fn signals_lost(&self) {
        self.jobs().lose_all();
        self.changes.note_everything();
    }
}
