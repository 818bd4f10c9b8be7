//! One machine: its systemd, its disk, its way to the store, and the fleetd that runs on it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent::Directories;
use agent::systemd::{Memory, Process, Run};
use anyhow::{Context as _, Result};
use fleet::{Machine, MachineId};
use fleetd::config::Config;
use fleetd::daemon::{Daemon, Farewell, Parts};
use registry::Registry;
use tokio::time::Instant;
use unitfile::UnitName;

use crate::gate::Gate;
use crate::link::Link;

/// All records are under this.
pub(crate) const PREFIX: &str = "/fleet/";
/// fleetd's default.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

/// A machine.
pub(crate) struct Host {
    pub(crate) id: MachineId,
    pub(crate) link: Link,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) frozen: bool,
    /// When something happened to it last.
    pub(crate) struck: Instant,
    /// Whether fleetd is started again where it does not run.
    kept_up: bool,
    ttl: Duration,
    /// How long a second by the machine's clock is, in seconds.
    second: f64,
    boots: u32,
    disk: PathBuf,
    systemd: Gate,
    /// Runs that ended with the machine's power.
    lost: Vec<Run>,
    fleetd: Option<Program>,
}

/// A fleetd that runs.
struct Program {
    daemon: Daemon<Gate>,
    /// What its API writes with.
    registry: Registry,
}

impl Host {
    /// A machine that has just booted and runs no fleetd yet.
    pub(crate) fn boot(
        id: MachineId,
        link: Link,
        ttl: Duration,
        second: f64,
        folder: &Path,
    ) -> Host {
        let disk = folder.join(id.as_str());
        Host {
            systemd: Gate::new(Memory::boot(&disk.join("units")).with_second(second)),
            second,
            lost: Vec::new(),
            id,
            link,
            metadata: BTreeMap::new(),
            frozen: false,
            struck: Instant::now(),
            kept_up: false,
            ttl,
            boots: 1,
            disk,
            fleetd: None,
        }
    }

    /// Starts fleetd, unless it runs, and has it started again until it is stopped or killed.
    pub(crate) async fn keep_up(&mut self) {
        self.kept_up = true;
        self.start_if_wanted().await;
    }

    /// Starts fleetd if that is due. One that cannot start, as without systemd, is started again later.
    pub(crate) async fn start_if_wanted(&mut self) {
        if self.kept_up && !self.runs_fleetd() {
            self.fleetd = self.start().await.ok();
        }
    }

    async fn start(&self) -> Result<Program> {
        let channel = self.link.channel(REQUEST_TIMEOUT);
        let registry = Registry::from_channel(channel, PREFIX, REQUEST_TIMEOUT).await?;
        let parts = Parts {
            config: Config {
                agent_ttl: self.ttl,
                ..Config::default()
            },
            machine: self.machine(),
            registry: registry.clone(),
            systemd: self.systemd.clone(),
            directories: self.directories(),
            listeners: Vec::new(),
        };
        let daemon = Daemon::start(parts).await.context("starting fleetd")?;
        Ok(Program { daemon, registry })
    }

    /// Ends fleetd, if it runs. Killed is what it is with [`Farewell::Stay`]: its tasks end where they are.
    pub(crate) async fn stop(&mut self, farewell: Farewell) {
        self.kept_up = false;
        if let Some(fleetd) = self.fleetd.take() {
            // nobody is frozen who is dead
            self.freeze(false);
            fleetd.daemon.stop(farewell).await;
        }
    }

    /// The power fails: the network falls silent, and all is gone but the disk. The machine has booted again
    /// when fleetd is started.
    pub(crate) async fn lose_power(&mut self, link: Link) -> Result<()> {
        // its peers hear nothing of its end
        std::mem::replace(&mut self.link, link).change(|weather| weather.no_requests = true);
        self.stop(Farewell::Stay).await;
        self.boots += 1;
        self.systemd().lose_power();
        self.lost.extend(self.systemd().take_ended());
        let booted = Memory::boot(&self.directories().units);
        self.systemd = Gate::new(booted.with_second(self.second));
        let Directories {
            marks,
            runtime_units,
            ..
        } = self.directories();
        for volatile in [marks, runtime_units] {
            match std::fs::remove_dir_all(volatile) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                emptied => emptied.context("emptying /run")?,
            }
        }
        Ok(())
    }

    /// Stops the program without its noticing (SIGSTOP), or lets it go on. Its clock runs on, as a real one's
    /// does; nothing that it does meanwhile leaves it, and nothing reaches it.
    pub(crate) fn freeze(&mut self, frozen: bool) {
        self.frozen = frozen;
        self.systemd.freeze(frozen);
        self.link.change(|weather| weather.frozen = frozen);
    }

    /// Has fleetd read its configuration again.
    pub(crate) fn reload(&self) {
        if let Some(fleetd) = &self.fleetd {
            fleetd.daemon.reload(self.machine(), self.ttl);
        }
    }

    /// What an API client of this machine writes through; none where no fleetd answers.
    pub(crate) fn api(&self) -> Option<&Registry> {
        let answers = self.fleetd.as_ref().filter(|_| !self.frozen);
        answers.map(|fleetd| &fleetd.registry)
    }

    /// Whether fleetd runs, frozen or not.
    pub(crate) fn runs_fleetd(&self) -> bool {
        self.fleetd.is_some()
    }

    /// This machine's systemd.
    pub(crate) fn systemd(&self) -> &Memory {
        &self.systemd.memory
    }

    /// What runs here.
    pub(crate) fn processes(&self) -> BTreeMap<UnitName, Process> {
        self.systemd().processes()
    }

    /// The runs that have ended here since this was asked last.
    pub(crate) fn take_ended(&mut self) -> Vec<Run> {
        let mut ended = std::mem::take(&mut self.lost);
        ended.append(&mut self.systemd().take_ended());
        ended
    }

    fn directories(&self) -> Directories {
        Directories {
            units: self.disk.join("units"),
            records: self.disk.join("records"),
            marks: self.disk.join("marks"),
            runtime_units: self.disk.join("runtime"),
        }
    }

    fn machine(&self) -> Machine {
        Machine {
            id: self.id.clone(),
            address: String::new(),
            metadata: self.metadata.clone(),
            version: "1.0.0".to_owned(),
            boot_id: format!("boot-{}", self.boots),
            member_since: 0,
            leaving: false,
            capacity: fleet::Resources::default(),
        }
    }
}
