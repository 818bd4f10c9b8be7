//! A systemd that a program reaches only while it is not frozen.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use agent::systemd::{Answer, Changes, Job, Memory, Status, Systemd, SystemdError};
use tokio::sync::watch;
use tokio::time::Instant;
use unitfile::UnitName;

/// Passes every call on, once the program is not frozen.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    pub(crate) memory: Memory,
    frozen: Arc<watch::Sender<bool>>,
}

impl Gate {
    pub(crate) fn new(memory: Memory) -> Gate {
        Gate {
            memory,
            frozen: Arc::default(),
        }
    }

    pub(crate) fn freeze(&self, frozen: bool) {
        self.frozen.send_replace(frozen);
    }

    async fn pass<T>(&self, call: impl Answer<T>) -> Result<T, SystemdError> {
        let mut frozen = self.frozen.subscribe();
        // its sender is ours
        let _ = frozen.wait_for(|frozen| !frozen).await;
        call.await
    }
}

impl Systemd for Gate {
    async fn states(&self, names: &[UnitName]) -> Result<BTreeMap<UnitName, Status>, SystemdError> {
        self.pass(self.memory.states(names)).await
    }

    async fn start(&self, name: &UnitName) -> Result<Job, SystemdError> {
        self.pass(self.memory.start(name)).await
    }

    async fn stop(&self, name: &UnitName) -> Result<Job, SystemdError> {
        self.pass(self.memory.stop(name)).await
    }

    async fn reset_failed(&self, name: &UnitName) -> Result<(), SystemdError> {
        self.pass(self.memory.reset_failed(name)).await
    }

    async fn reload(&self) -> Result<(), SystemdError> {
        self.pass(self.memory.reload()).await
    }

    async fn stale(&self, names: &[UnitName]) -> Result<BTreeSet<UnitName>, SystemdError> {
        self.pass(self.memory.stale(names)).await
    }

    async fn in_memory(&self, names: &[UnitName]) -> Result<BTreeSet<UnitName>, SystemdError> {
        self.pass(self.memory.in_memory(names)).await
    }

    async fn enable(&self, names: &[UnitName]) -> Result<Vec<PathBuf>, SystemdError> {
        self.pass(self.memory.enable(names)).await
    }

    async fn disable(&self, names: &[UnitName]) -> Result<(), SystemdError> {
        self.pass(self.memory.disable(names)).await
    }

    async fn link(&self, files: &[PathBuf]) -> Result<(), SystemdError> {
        self.pass(self.memory.link(files)).await
    }

    async fn arm(&self, until: Instant) -> Result<bool, SystemdError> {
        self.pass(self.memory.arm(until)).await
    }

    async fn unit_path(&self) -> Result<Vec<PathBuf>, SystemdError> {
        self.pass(self.memory.unit_path()).await
    }

    fn changes(&self) -> Arc<Changes> {
        self.memory.changes()
    }
}
