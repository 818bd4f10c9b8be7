//! systemd over D-Bus (org.freedesktop.systemd1(5)).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use unitfile::UnitName;
use zbus::wire::Type;
use zbus::{DBusError, Message, OwnedObjectPath, OwnedVariant};

use super::link::{self, Bus, Link, MANAGER, MANAGER_PATH, SYSTEMD};
use super::{Changes, Job, JobResult, Status, Systemd, SystemdError};

/// Start and stop calls under way at one time: enough to keep PID 1 busy, few enough that it still hears
/// others in between.
const CALLS_IN_FLIGHT: usize = 64;

/// Calls of all kinds under way at one time. dbus-daemon refuses what would be the 129th that waits for its reply
/// (`max_replies_per_connection` in dbus-daemon(1)).
const REPLIES_PENDING: usize = 100;

const UNIT: &str = "org.freedesktop.systemd1.Unit";
const JOB: &str = "org.freedesktop.systemd1.Job";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// "Replace" a contrary job that is queued, as systemctl does.
pub(super) const MODE: &str = "replace";

/// A systemd on its bus. The connection is made again when it is lost.
#[derive(Debug)]
pub struct Dbus {
    link: Arc<Link>,
    listener: tokio::task::JoinHandle<()>,
    job_calls: Semaphore,
    calls: Semaphore,
}

/// What systemd is about to do with this very process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnJob {
    /// Its unit is being restarted.
    Restart,
    /// Its unit is being stopped.
    Stop,
    /// The whole machine goes down.
    Shutdown,
}

impl Systemd for Dbus {
    async fn states(&self, names: &[UnitName]) -> Result<BTreeMap<UnitName, Status>, SystemdError> {
        let rows: Vec<UnitRow> = self.manager("ListUnitsByNames", &words(names)).await?;
        Ok(rows.into_iter().filter_map(UnitRow::status).collect())
    }

    async fn start(&self, name: &UnitName) -> Result<Job, SystemdError> {
        match self.job("StartUnit", name).await {
            // systemd 252 cannot load a unit whose file is back while it remembers that the unit failed
            Err(SystemdError::Refused { name: error, .. }) if error == "System.Error.EBUSY" => {
                self.reset_failed(name).await?;
                self.job("StartUnit", name).await
            }
            job => job,
        }
    }

    async fn stop(&self, name: &UnitName) -> Result<Job, SystemdError> {
        match self.job("StopUnit", name).await {
            Err(error) if error.is_no_such_unit() => Ok(Job::ended(JobResult::Done)),
            other => other,
        }
    }

    async fn reset_failed(&self, name: &UnitName) -> Result<(), SystemdError> {
        match self.manager("ResetFailedUnit", &name.as_str()).await {
            Err(error) if error.is_no_such_unit() => Ok(()),
            other => other,
        }
    }

    async fn reload(&self) -> Result<(), SystemdError> {
        self.manager("Reload", &()).await
    }

    async fn stale(&self, names: &[UnitName]) -> Result<BTreeSet<UnitName>, SystemdError> {
        let stale = names.iter().cloned().map(|name| async move {
            let stale = self.is_stale(&name).await?;
            Ok(stale.then_some(name))
        });
        side_by_side(stale).await
    }

    async fn in_memory(&self, names: &[UnitName]) -> Result<BTreeSet<UnitName>, SystemdError> {
        let there = names.iter().cloned().map(|name| async move {
            let path = self.unit_path_of(&name).await?;
            Ok(path.map(|_| name))
        });
        side_by_side(there).await
    }

    async fn enable(&self, names: &[UnitName]) -> Result<Vec<PathBuf>, SystemdError> {
        let (_, links): (bool, Vec<LinkRow>) = self
            .manager("EnableUnitFiles", &(words(names), true, true))
            .await?;
        Ok(links.into_iter().filter_map(LinkRow::made).collect())
    }

    async fn disable(&self, names: &[UnitName]) -> Result<(), SystemdError> {
        let _: Vec<LinkRow> = self
            .manager("DisableUnitFiles", &(words(names), true))
            .await?;
        Ok(())
    }

    async fn link(&self, files: &[PathBuf]) -> Result<(), SystemdError> {
        let files: Vec<_> = files.iter().map(|file| file.to_string_lossy()).collect();
        let _: Vec<LinkRow> = self.manager("LinkUnitFiles", &(files, true, false)).await?;
        Ok(())
    }

    async fn arm(&self, until: Instant) -> Result<bool, SystemdError> {
        self.arm_timer(until).await
    }

    async fn unit_path(&self) -> Result<Vec<PathBuf>, SystemdError> {
        let path: Vec<String> = self.property(MANAGER_PATH, MANAGER, "UnitPath").await?;
        Ok(path.into_iter().map(PathBuf::from).collect())
    }

    fn changes(&self) -> Arc<Changes> {
        Arc::clone(&self.link.changes)
    }
}

impl Dbus {
    /// Connects to the machine's systemd, or to the user's. Fails when it or its bus cannot be reached now; later
    /// losses are healed in the background.
    pub async fn connect(bus: Bus) -> Result<Dbus, SystemdError> {
        let operation = "Subscribe";
        let (link, listener) = link::open(bus)
            .await
            .map_err(|source| SystemdError::Away { operation, source })?;
        Ok(Dbus {
            link,
            listener,
            job_calls: Semaphore::new(CALLS_IN_FLIGHT),
            calls: Semaphore::new(REPLIES_PENDING),
        })
    }

    /// What systemd is about to do with this process, so that it can tell a restart from its end: while a
    /// service gets SIGTERM, its job tells what for. None if it does nothing, or this is no service.
    pub async fn own_job(&self) -> Result<Option<OwnJob>, SystemdError> {
        let system: String = self.property(MANAGER_PATH, MANAGER, "SystemState").await?;
        if system == "stopping" {
            return Ok(Some(OwnJob::Shutdown));
        }
        let (id, job): (u32, OwnedObjectPath) = match self.own_unit().await? {
            Some(unit) => self.property(&unit, UNIT, "Job").await?,
            None => return Ok(None),
        };
        if id == 0 {
            return Ok(None);
        }
        let kind: String = self.property(&job, JOB, "JobType").await?;
        Ok(OwnJob::of(&kind))
    }

    async fn own_unit(&self) -> Result<Option<OwnedObjectPath>, SystemdError> {
        match self.manager("GetUnitByPID", &std::process::id()).await {
            Err(SystemdError::Refused { .. }) => Ok(None),
            unit => unit.map(Some),
        }
    }

    async fn job(&self, method: &'static str, name: &UnitName) -> Result<Job, SystemdError> {
        // the semaphore is never closed
        let _turn = self.job_calls.acquire().await.ok();
        let call = JobCall::open(&self.link);
        let path: OwnedObjectPath = self.manager(method, &(name.as_str(), MODE)).await?;
        Ok(call.named(&path))
    }

    async fn is_stale(&self, name: &UnitName) -> Result<bool, SystemdError> {
        let Some(unit) = self.unit_path_of(name).await? else {
            return Ok(false);
        };
        match self.property(&unit, UNIT, "NeedDaemonReload").await {
            // gone between the two questions
            Err(SystemdError::Refused { .. }) => Ok(false),
            stale => stale,
        }
    }

    /// The object path of a unit that systemd has in memory.
    async fn unit_path_of(&self, name: &UnitName) -> Result<Option<OwnedObjectPath>, SystemdError> {
        match self.manager("GetUnit", &name.as_str()).await {
            Err(error) if error.is_no_such_unit() => Ok(None),
            unit => unit.map(Some),
        }
    }

    pub(super) async fn property<T>(
        &self,
        path: &str,
        interface: &str,
        name: &'static str,
    ) -> Result<T, SystemdError>
    where
        T: TryFrom<OwnedVariant, Error: Into<zbus::Error>>,
    {
        let value: OwnedVariant = self
            .call(path, PROPERTIES, "Get", &(interface, name))
            .await?;
        T::try_from(value).map_err(|source| SystemdError::Garbled {
            operation: name,
            source: source.into(),
        })
    }

    pub(super) async fn manager<T>(
        &self,
        method: &'static str,
        arguments: &(impl Serialize + Type + Sync),
    ) -> Result<T, SystemdError>
    where
        T: DeserializeOwned + Type,
    {
        self.call(MANAGER_PATH, MANAGER, method, arguments).await
    }

    async fn call<T>(
        &self,
        path: &str,
        interface: &str,
        method: &'static str,
        arguments: &(impl Serialize + Type + Sync),
    ) -> Result<T, SystemdError>
    where
        T: DeserializeOwned + Type,
    {
        // the semaphore is never closed
        let _turn = self.calls.acquire().await.ok();
        let answer: Message = self
            .link
            .connection(method)?
            .call_method(Some(SYSTEMD), path, Some(interface), method, arguments)
            .await
            .map_err(|error| SystemdError::of(method, error))?;
        answer
            .body()
            .deserialize()
            .map_err(|source| SystemdError::Garbled {
                operation: method,
                source,
            })
    }
}

impl Drop for Dbus {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl OwnJob {
    fn of(job_type: &str) -> Option<OwnJob> {
        match job_type {
            "restart" | "try-restart" => Some(OwnJob::Restart),
            "stop" => Some(OwnJob::Stop),
            _ => None,
        }
    }
}

impl SystemdError {
    fn of(operation: &'static str, error: zbus::Error) -> SystemdError {
        match error {
            zbus::Error::MethodError(name, message, _) if !is_bus_trouble(&name) => {
                SystemdError::Refused {
                    message: message.unwrap_or_else(|| name.to_string()),
                    name: name.to_string(),
                }
            }
            // the same, for names of D-Bus itself
            zbus::Error::FDO(error) if !is_bus_trouble(&error.name()) => SystemdError::Refused {
                message: error.description().unwrap_or_default().to_owned(),
                name: error.name().to_string(),
            },
            source => SystemdError::Away { operation, source },
        }
    }
}

/// Asks many questions at once, and collects the names that are answered with.
async fn side_by_side<F>(
    questions: impl Iterator<Item = F>,
) -> Result<BTreeSet<UnitName>, SystemdError>
where
    F: Future<Output = Result<Option<UnitName>, SystemdError>>,
{
    stream::iter(questions)
        .buffer_unordered(CALLS_IN_FLIGHT)
        .try_filter_map(|name| async move { Ok(name) })
        .try_collect()
        .await
}

/// Errors that the bus gives in systemd's name while systemd is away.
fn is_bus_trouble(name: &str) -> bool {
    const TROUBLE: [&str; 6] = [
        "NoReply",
        "Disconnected",
        "Timeout",
        "ServiceUnknown",
        "NameHasNoOwner",
        "LimitsExceeded",
    ];
    name.strip_prefix("org.freedesktop.DBus.Error.")
        .is_some_and(|word| TROUBLE.contains(&word))
}

/// A call that will name a job; closes its entry in the table however it ends.
struct JobCall<'a> {
    link: &'a Link,
    open: bool,
}

impl<'a> JobCall<'a> {
    fn open(link: &'a Link) -> Self {
        link.jobs().call_opened();
        JobCall { link, open: true }
    }

    fn named(mut self, path: &str) -> Job {
        self.open = false;
        let job = self.link.jobs().call_closed(Some(path));
        job.unwrap_or_else(|| Job::ended(JobResult::Lost))
    }
}

impl Drop for JobCall<'_> {
    fn drop(&mut self) {
        if self.open {
            self.link.jobs().call_closed(None);
        }
    }
}

/// A row of `ListUnitsByNames`.
#[derive(serde::Deserialize, Type)]
pub(super) struct UnitRow {
    pub(super) name: String,
    _description: String,
    load: String,
    pub(super) active: String,
    sub: String,
    _following: String,
    _path: OwnedObjectPath,
    _job_id: u32,
    pub(super) job_type: String,
    _job_path: OwnedObjectPath,
}

impl UnitRow {
    fn status(self) -> Option<(UnitName, Status)> {
        let name = UnitName::parse(&self.name).ok()?;
        let status = Status {
            load: self.load,
            active: self.active,
            sub: self.sub,
            starting: matches!(self.job_type.as_str(), "start" | "restart"),
        };
        Some((name, status))
    }
}

/// A row of `EnableUnitFiles`: `symlink` or `unlink`, the link, where it points.
#[derive(serde::Deserialize, Type)]
struct LinkRow {
    kind: String,
    link: String,
    _destination: String,
}

impl LinkRow {
    fn made(self) -> Option<PathBuf> {
        (self.kind == "symlink").then(|| self.link.into())
    }
}

fn words(names: &[UnitName]) -> Vec<&str> {
    names.iter().map(UnitName::as_str).collect()
}
