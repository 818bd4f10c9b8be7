//! How each fault is made, and unmade.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use integration::{Backing, Cluster, Machine, wait_for};
use nix::sys::signal::Signal;

use super::fault::{Directory, Fault};
use super::judge::Victim;
use super::settle::settle;
use super::units::Unit;
use super::{TTL, probe};

/// Longer than it takes until everybody knows that a lease has ended.
const BEYOND: Duration = Duration::from_secs(TTL.as_secs() + 3);

/// Far more than it takes to start what a machine has handed over before it was off, and less than a lease.
const HANDED_OVER: Duration = Duration::from_secs(2);

/// The machine whose fleetd has the records in it, where no etcd has them.
const STORE: &str = "m1";

/// The cluster that is played with.
pub(super) struct Stage<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) backing: Backing,
    pub(super) units: &'a [Unit],
}

/// A fault that has been made and unmade.
pub(super) struct Played {
    /// Whose units it may have touched.
    pub(super) victim: Victim,
    /// What was seen meanwhile.
    pub(super) note: String,
    /// What was not as promised.
    pub(super) violations: Vec<String>,
}

impl Played {
    fn by(victim: Victim, note: String) -> Played {
        Played {
            victim,
            note,
            violations: Vec::new(),
        }
    }

    fn by_nobody() -> Played {
        Played::by(Victim::None, String::new())
    }
}

impl Stage<'_> {
    /// Makes a fault and unmakes it.
    ///
    /// # Errors
    /// It cannot be done, or the cluster did not do meanwhile what it should.
    pub(super) fn play(&self, fault: &Fault) -> Result<Played> {
        match fault {
            Fault::StoreFrozen(time) => self.freeze_store(*time),
            Fault::StoreKilled(time) => self.kill_store(*time),
            Fault::CutBriefly(machine, time) => {
                let machine = self.machine(machine)?;
                self.for_a_while(*time, || machine.cut(), || machine.heal())
            }
            Fault::CutOff(machine) => {
                let machine = self.machine(machine)?;
                self.until_moved(machine, || machine.cut(), || machine.heal())
            }
            Fault::Killed(machine) => self.kill_fleetd(machine),
            Fault::FrozenBriefly(machine, time) => {
                let (stop, go_on) = self.freezing(machine)?;
                self.for_a_while(*time, stop, go_on)
            }
            Fault::Frozen(machine) => {
                let (stop, go_on) = self.freezing(machine)?;
                self.until_moved(self.machine(machine)?, stop, go_on)
            }
            Fault::Restarted(machine) => {
                let restart = ["systemctl", "restart", "fleet.service"];
                self.machine(machine)?.read(restart)?;
                Ok(Played::by_nobody())
            }
            Fault::PowerBlink(machine) => self.blink(machine),
            Fault::PowerLost(machine) => self.lose_power(machine),
            Fault::Rebooted(machine) => self.reboot(machine),
            Fault::DiskFull(machine, directory) => self.fill_disk(machine, *directory),
            Fault::LeaderKilled => {
                let leader = self.leader()?;
                let played = self.kill_fleetd(leader.name())?;
                let note = format!("it was {}", leader.name());
                Ok(Played { note, ..played })
            }
        }
    }

    fn machine(&self, name: &str) -> Result<&Machine> {
        self.cluster.machine(name)
    }

    fn has_store(&self, machine: &str) -> bool {
        self.backing == Backing::EmbeddedStore && machine == STORE
    }

    fn for_a_while(
        &self,
        time: Duration,
        make: impl FnOnce() -> Result<()>,
        unmake: impl FnOnce() -> Result<()>,
    ) -> Result<Played> {
        make()?;
        sleep(time);
        unmake()?;
        Ok(Played::by_nobody())
    }

    /// Makes a fault of one machine, and unmakes it when its units run elsewhere. If it takes the records with it they
    /// cannot: then it lasts until the leases of all others have ended, and nobody may be touched.
    fn until_moved(
        &self,
        machine: &Machine,
        make: impl FnOnce() -> Result<()>,
        unmake: impl FnOnce() -> Result<()>,
    ) -> Result<Played> {
        if self.has_store(machine.name()) {
            return self.for_a_while(BEYOND, make, unmake);
        }
        make()?;
        let note = self.run_elsewhere(machine);
        unmake()?;
        Ok(Played::by(Victim::Away(machine.name().to_owned()), note?))
    }

    fn run_elsewhere(&self, machine: &Machine) -> Result<String> {
        let (_, took) = settle(self.cluster, self.units, Some(machine.name()))?;
        Ok(elsewhere(took))
    }

    fn freezing(
        &self,
        machine: &str,
    ) -> Result<(impl FnOnce() -> Result<()>, impl FnOnce() -> Result<()>)> {
        let machine = self.machine(machine)?;
        let stop = || machine.freeze("fleetd").map(drop);
        let go_on = || machine.thaw("fleetd").map(drop);
        Ok((stop, go_on))
    }

    fn freeze_store(&self, time: Duration) -> Result<Played> {
        let etcd = self.cluster.lab.etcd();
        if self.backing == Backing::Etcd {
            return self.for_a_while(time, || etcd.freeze(), || etcd.thaw());
        }
        let (stop, go_on) = self.freezing(STORE)?;
        self.for_a_while(time, stop, go_on)
    }

    fn kill_store(&self, time: Duration) -> Result<Played> {
        let etcd = self.cluster.lab.etcd();
        if self.backing == Backing::Etcd {
            return self.for_a_while(time, || etcd.kill(), || etcd.start());
        }
        let machine = self.machine(STORE)?;
        let dead = fleetd_pid(machine)?;
        delay_restart(machine, Some(time))?;
        machine.signal("fleetd", Signal::SIGKILL)?;
        wait_for_another(machine, &dead, time + BEYOND)?;
        delay_restart(machine, None)?;
        Ok(Played::by_nobody())
    }

    fn kill_fleetd(&self, machine: &str) -> Result<Played> {
        let machine = self.machine(machine)?;
        let dead = fleetd_pid(machine)?;
        machine.signal("fleetd", Signal::SIGKILL)?;
        wait_for_another(machine, &dead, BEYOND)?;
        Ok(Played::by_nobody())
    }

    fn blink(&self, name: &str) -> Result<Played> {
        let machine = self.machine(name)?;
        machine.kill()?;
        machine.boot()?;
        Ok(Played::by(Victim::Off(name.to_owned()), String::new()))
    }

    fn lose_power(&self, name: &str) -> Result<Played> {
        let machine = self.machine(name)?;
        let played = self.until_moved(machine, || machine.kill(), || machine.boot())?;
        let victim = Victim::Off(name.to_owned());
        Ok(Played { victim, ..played })
    }

    fn reboot(&self, name: &str) -> Result<Played> {
        let machine = self.machine(name)?;
        let start = Instant::now();
        machine.poweroff()?;
        let off = format!("off after {:.1} s", start.elapsed().as_secs_f32());
        let settled = match self.has_store(name) {
            true => Ok(None),
            false => settle(self.cluster, self.units, Some(name)).map(Some),
        };
        machine.boot()?;
        let mut played = Played::by(Victim::Off(name.to_owned()), off);
        if let Some((_, took)) = settled? {
            played.note += &format!(", {}", elsewhere(took));
            if took > HANDED_OVER {
                let late = format!("{name} left in good order, {}", elsewhere(took));
                played.violations.push(late);
            }
        }
        Ok(played)
    }

    fn fill_disk(&self, name: &str, directory: Directory) -> Result<Played> {
        const UNIT: &str = "disk.service";
        let machine = self.machine(name)?;
        let told = || no_space_told(machine);
        let before = told()?;
        machine.fill_disk(directory.path())?;
        let seen = probe::order(self.cluster, UNIT, machine).and_then(|()| {
            wait_for("fleetd to find the disk full", BEYOND, || match told() {
                Ok(times) if times > before => Ok(()),
                Ok(_) => Err("nothing of the kind in its journal".to_owned()),
                Err(error) => Err(format!("{error:#}")),
            })
        });
        machine.clear_disk(directory.path())?;
        seen?;
        let start = Instant::now();
        probe::wait_active(machine, UNIT)?;
        let note = format!(
            "its new unit runs {:.1} s after there is room",
            start.elapsed().as_secs_f32()
        );
        probe::take_away(self.cluster, UNIT, self.cluster.lab.machines())?;
        Ok(Played::by(Victim::None, note))
    }

    /// The machine that leads; a lease may pass until there is one.
    fn leader(&self) -> Result<&Machine> {
        let machines = self.cluster.lab.machines();
        wait_for("a leader", BEYOND, || {
            let leading = machines
                .iter()
                .find(|machine| leads(machine).unwrap_or(false));
            leading.ok_or("no fleetd says that it leads")
        })
    }
}

fn elsewhere(took: Duration) -> String {
    format!("its units elsewhere after {:.1} s", took.as_secs_f32())
}

fn leads(machine: &Machine) -> Result<bool> {
    let metrics = machine.read([
        "curl",
        "--silent",
        "--fail",
        "--unix-socket",
        "/run/fleet.sock",
        "http://fleet/metrics",
    ])?;
    let since = metrics
        .lines()
        .find_map(|line| line.strip_prefix("fleet_engine_leader_start_time "));
    Ok(since.context("no such metric")? != "0")
}

fn no_space_told(machine: &Machine) -> Result<usize> {
    let journal = machine.journal("fleet.service")?;
    Ok(journal.matches("No space left on device").count())
}

fn fleetd_pid(machine: &Machine) -> Result<String> {
    let pid = machine.main_pid("fleet.service")?;
    ensure!(pid != "0", "fleetd is down on {}", machine.name());
    Ok(pid)
}

/// Waits until systemd has started another fleetd.
fn wait_for_another(machine: &Machine, dead: &str, limit: Duration) -> Result<()> {
    let what = format!("fleetd to be started again on {}", machine.name());
    wait_for(&what, limit, || match machine.main_pid("fleet.service") {
        Ok(pid) if pid != "0" && pid != dead => Ok(()),
        Ok(pid) => Err(format!("MainPID={pid}")),
        Err(error) => Err(format!("{error:#}")),
    })
}

/// Has systemd wait for so long before it starts a dead fleetd again; or as long as usual.
fn delay_restart(machine: &Machine, time: Option<Duration>) -> Result<()> {
    const CONF: &str = "/run/systemd/system/fleet.service.d/chaos.conf";
    match time {
        Some(time) => {
            let line = format!("[Service]\nRestartSec={}ms\n", time.as_millis());
            machine.write_file(CONF, line)?;
        }
        None => drop(machine.read(["rm", CONF])?),
    }
    machine.read(["systemctl", "daemon-reload"]).map(drop)
}
