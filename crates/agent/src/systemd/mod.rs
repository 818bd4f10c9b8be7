//! What the agent asks of systemd, and what it hears back.
//!
//! [`Systemd`] has two implementations: [`Dbus`] speaks to PID 1, [`Memory`] keeps units in memory for
//! tests. `tests/conformance.rs` holds both to the same promises.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::time::Instant;
use unitfile::UnitName;

mod changes;
mod dbus;
mod job;
mod label;
mod lease;
mod link;
mod memory;

pub use changes::{Changed, Changes};
pub use dbus::{Dbus, OwnJob};
pub use job::{Job, JobResult};
pub use lease::{LEASE_END, LEASE_TARGET};
pub use link::Bus;
pub use memory::{Memory, Process, Run};

/// The orders that the agent gives to systemd. Calls may be made side by side; systemd takes them in
/// the order in which they were first polled.
///
/// Every call fails with [`SystemdError::Away`] when systemd cannot be reached and with
/// [`SystemdError::Refused`] when it says no.
pub trait Systemd: Send + Sync + 'static {
    /// The state of each of `names`, as systemd sees it now. systemd loads what it has not loaded yet, so
    /// every name is in the answer, if only as `not-found`.
    fn states(&self, names: &[UnitName]) -> impl Answer<BTreeMap<UnitName, Status>>;

    /// Queues a start job, replacing a contrary one. The answer comes when the job is queued.
    fn start(&self, name: &UnitName) -> impl Answer<Job>;

    /// Queues a stop job, replacing a contrary one. A unit that systemd does not know counts as stopped.
    fn stop(&self, name: &UnitName) -> impl Answer<Job>;

    /// Forgets that a unit failed, so that systemd can forget the unit.
    fn reset_failed(&self, name: &UnitName) -> impl Answer<()>;

    /// Reads all unit files again: the dear step, during which systemd answers nobody.
    fn reload(&self) -> impl Answer<()>;

    /// Those of `names` that systemd has in memory with another text than the unit file now has.
    /// Loads nothing.
    fn stale(&self, names: &[UnitName]) -> impl Answer<BTreeSet<UnitName>>;

    /// Those of `names` that systemd has in memory. Loads nothing.
    fn in_memory(&self, names: &[UnitName]) -> impl Answer<BTreeSet<UnitName>>;

    /// Makes the links that the `[Install]` sections of `names` ask for, until the machine reboots.
    /// Gives the links that were not there before.
    fn enable(&self, names: &[UnitName]) -> impl Answer<Vec<PathBuf>>;

    /// Takes away the links that [`Systemd::enable`] and [`Systemd::link`] made.
    fn disable(&self, names: &[UnitName]) -> impl Answer<()>;

    /// Makes unit files outside of systemd's unit path known to it, until the machine reboots.
    fn link(&self, files: &[PathBuf]) -> impl Answer<()>;

    /// Has systemd stop all units that require [`LEASE_TARGET`] at `until`, by itself, unless it is armed again before. Makes
    /// that target be there. Tells whether an earlier time has passed, so that they have been stopped, or none was set.
    fn arm(&self, until: Instant) -> impl Answer<bool>;

    /// The directories in which systemd looks for unit files.
    fn unit_path(&self) -> impl Answer<Vec<PathBuf>>;

    /// Which units changed. There is one consumer: what it took is gone for others.
    fn changes(&self) -> Arc<Changes>;
}

/// A call's future: can be spawned, gives `T` or why systemd did not do it.
pub trait Answer<T>: Future<Output = Result<T, SystemdError>> + Send {}

impl<T, F: Future<Output = Result<T, SystemdError>> + Send> Answer<T> for F {}

/// What systemd says of one unit, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// LoadState, such as `loaded` or `not-found`.
    pub load: String,
    /// ActiveState, such as `active` or `failed`.
    pub active: String,
    /// SubState, such as `running`.
    pub sub: String,
    /// It has a job that will start it, or is just doing so.
    pub starting: bool,
}

impl Status {
    /// Whether the unit runs, is on its way up or down, or waits for its turn to start.
    pub fn is_up(&self) -> bool {
        self.starting || !matches!(self.active.as_str(), "inactive" | "failed")
    }
}

/// Why systemd did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SystemdError {
    /// systemd, or the way to it, is away for the moment; asking again later may help.
    #[error("{operation}: systemd cannot be reached")]
    Away {
        /// The D-Bus method.
        operation: &'static str,
        /// What the connection says.
        #[source]
        source: zbus::Error,
    },
    /// systemd said no.
    #[error("{message}")]
    Refused {
        /// The D-Bus error's name, such as `org.freedesktop.systemd1.NoSuchUnit`.
        name: String,
        /// systemd's own words.
        message: String,
    },
    /// The answer is not what systemd documents.
    #[error("{operation}: systemd's answer cannot be read")]
    Garbled {
        /// The D-Bus method.
        operation: &'static str,
        /// What does not fit.
        #[source]
        source: zbus::Error,
    },
}

impl SystemdError {
    /// Whether systemd refused because it has no such unit in memory.
    pub fn is_no_such_unit(&self) -> bool {
        matches!(self, SystemdError::Refused { name, .. } if name.ends_with(".NoSuchUnit"))
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        !matches!(self, SystemdError::Refused { .. })
    }
}
