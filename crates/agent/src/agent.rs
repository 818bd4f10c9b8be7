//! One machine's agent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use fleet::UnitState;
use registry::Registry;
use unitfile::UnitName;

use crate::failure::chain;
use crate::fence::Fence;
use crate::files::{Directories, FileError, UnitFiles};
use crate::outbox::Outbox;
use crate::systemd::{Status, Systemd, SystemdError};

/// The role that makes one machine's systemd match its part of the schedule.
#[derive(Debug)]
pub struct Agent<S> {
    pub(crate) registry: Registry,
    pub(crate) systemd: S,
    pub(crate) files: UnitFiles,
    /// Whether systemd looks for unit files where we write them.
    pub(crate) in_unit_path: bool,
    /// The other directories in which it looks.
    elsewhere: Vec<PathBuf>,
    pub(crate) outbox: Outbox,
    pub(crate) fence: Fence,
    pub(crate) counters: Counters,
}

/// What the agent has done since it was made.
#[derive(Debug, Default)]
pub struct Counters {
    /// Start jobs ordered.
    pub starts: AtomicU64,
    /// Stop jobs ordered.
    pub stops: AtomicU64,
    /// daemon-reloads ordered.
    pub reloads: AtomicU64,
    /// Orders that failed.
    pub failures: AtomicU64,
}

/// Why an agent cannot begin its work.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Its directories cannot be used.
    #[error("preparing the agent's directories")]
    Files(#[from] FileError),
    /// systemd cannot be asked.
    #[error("asking systemd for its unit path")]
    Systemd(#[from] SystemdError),
}

impl<S: Systemd> Agent<S> {
    /// Makes the directories where they are missing, and touches nothing else.
    ///
    /// # Errors
    /// The directories cannot be made, or systemd cannot be asked.
    pub async fn new(
        registry: Registry,
        systemd: S,
        directories: Directories,
    ) -> Result<Arc<Self>, AgentError> {
        let mut elsewhere = systemd.unit_path().await?;
        let in_unit_path = elsewhere.contains(&directories.units);
        elsewhere.retain(|path| *path != directories.units);
        Ok(Arc::new(Agent {
            registry,
            systemd,
            files: UnitFiles::open(directories)?,
            in_unit_path,
            elsewhere,
            outbox: Outbox::default(),
            fence: Fence::default(),
            counters: Counters::default(),
        }))
    }

    /// Whether the machine has a unit file of that name, or its template, that is not in our directory.
    pub(crate) fn is_elsewhere(&self, name: &UnitName) -> bool {
        let has = |name: &UnitName| {
            let mut paths = self.elsewhere.iter().map(|path| path.join(name.as_str()));
            paths.any(|path| path.symlink_metadata().is_ok())
        };
        has(name) || name.template().is_some_and(|template| has(&template))
    }

    /// The state of each unit as the cluster should know it.
    pub fn states(&self) -> BTreeMap<UnitName, UnitState> {
        self.outbox.states()
    }

    /// The units whose newest state has not been published yet.
    pub fn unpublished(&self) -> BTreeSet<UnitName> {
        self.outbox.waiting()
    }

    /// What the agent has done so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// systemd, as the agent reaches it.
    pub fn systemd(&self) -> &S {
        &self.systemd
    }

    /// The state of `names`, asked for until systemd answers. One that it will not speak of is left out.
    pub(crate) async fn look(&self, names: &[UnitName]) -> BTreeMap<UnitName, Status> {
        loop {
            match self.systemd.states(names).await {
                Ok(states) => return states,
                Err(error) if !error.is_transient() => return self.look_one_by_one(names).await,
                Err(error) => tracing::warn!(error = %chain(&error), "asking for unit states"),
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn look_one_by_one(&self, names: &[UnitName]) -> BTreeMap<UnitName, Status> {
        let mut states = BTreeMap::new();
        for name in names {
            match self.systemd.states(std::slice::from_ref(name)).await {
                Ok(state) => states.extend(state),
                Err(error) => {
                    tracing::warn!(unit = %name, error = %chain(&error), "asking for its state");
                }
            }
        }
        states
    }
}

/// The pause after systemd did not answer.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
