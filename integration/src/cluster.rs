//! A cluster on the machines of a lab: fleet on each, and the questions that stories and benches ask of it.

use std::fmt;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::{Fleet, Lab, Machine, wait_for};

/// Where unit files lie on each machine for `fleetctl` to find.
const UNITS: &str = "/root/units";

/// How long a cluster may take to assemble, a unit to get where it should be.
const PATIENCE: Duration = Duration::from_secs(30);

/// What keeps the cluster's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// The store in the fleetd of the first machine.
    EmbeddedStore,
    /// A real etcd beside the machines.
    Etcd,
}

impl fmt::Display for Backing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Backing::EmbeddedStore => "the embedded store",
            Backing::Etcd => "etcd",
        })
    }
}

/// Machines of a lab that form a cluster.
#[derive(Debug)]
pub struct Cluster {
    /// The lab they live in.
    pub lab: Lab,
    backing: Backing,
}

/// One line of `fleetctl list-units`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Unit name.
    pub unit: String,
    /// Name of the machine in the lab, such as `m2`; its id if the lab does not know it.
    pub machine: String,
    /// systemd's ActiveState.
    pub active: String,
    /// systemd's SubState.
    pub sub: String,
}

impl Cluster {
    /// Boots `count` machines with `fleet` on them and waits until all are members.
    ///
    /// # Errors
    /// A machine does not come up or does not join in time.
    pub fn boot(lab: Lab, count: usize, backing: Backing, fleet: &Fleet) -> Result<Cluster> {
        let mut cluster = Cluster { lab, backing };
        if backing == Backing::Etcd && !cluster.lab.etcd().is_running() {
            cluster.lab.start_etcd()?;
        }
        cluster.grow(count, fleet)?;
        Ok(cluster)
    }

    /// Adds machines until there are `count`, and waits until all that are up are members. A machine's metadata
    /// holds its `name` in the lab.
    ///
    /// # Errors
    /// As [`boot`](Self::boot).
    pub fn grow(&mut self, count: usize, fleet: &Fleet) -> Result<()> {
        let (backing, servers) = (self.backing, self.store_url());
        self.lab.boot_with(count, |machine| {
            let hosts_store = backing == Backing::EmbeddedStore && machine.name() == "m1";
            let name = format!("metadata=name={}", machine.name());
            let fleet = fleet.clone().conf(name);
            machine.install(&if hosts_store {
                let listen = format!("store_listen={servers}");
                fleet.conf("embedded_store=true").conf(listen)
            } else {
                fleet.conf(format!("etcd_servers={servers}"))
            })
        })?;
        let up = self
            .lab
            .machines()
            .iter()
            .filter(|machine| machine.is_running());
        self.wait_for_members(up.count())
    }

    /// Where the records are served: `http://…:2379`, reachable from every machine and from the lab.
    pub fn store_url(&self) -> String {
        match self.backing {
            Backing::EmbeddedStore => "http://10.99.0.11:2379".to_owned(),
            Backing::Etcd => self.lab.etcd().url(),
        }
    }

    /// The machine of that name.
    ///
    /// # Errors
    /// The lab has none.
    pub fn machine(&self, name: &str) -> Result<&Machine> {
        self.lab.machine(name)
    }

    /// The machine from which commands are given: the first that runs.
    ///
    /// # Errors
    /// None runs.
    pub fn console(&self) -> Result<&Machine> {
        let running = self
            .lab
            .machines()
            .iter()
            .find(|machine| machine.is_running());
        running.context("no machine of the lab runs")
    }

    /// Puts a unit file where [`fleetctl`](Self::fleetctl) finds it by its name.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_unit(&self, name: &str, text: &str) -> Result<()> {
        self.console()?.write_file(format!("{UNITS}/{name}"), text)
    }

    /// Runs `fleetctl` among the unit files, to its end, whatever that is.
    ///
    /// # Errors
    /// No machine runs.
    pub fn try_fleetctl(&self, line: &str) -> Result<Output> {
        let script = format!("mkdir -p {UNITS} && cd {UNITS} && exec fleetctl {line}");
        self.console()?.run(["sh", "-c", &script])
    }

    /// Runs `fleetctl`, which must succeed, and returns what it printed.
    ///
    /// # Errors
    /// It fails; the message carries what it complained of.
    pub fn fleetctl(&self, line: &str) -> Result<String> {
        let output = self.try_fleetctl(line)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        ensure!(
            output.status.success(),
            "fleetctl {line}: {}\n{}{}",
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
        Ok(text(&output.stdout))
    }

    /// Writes a unit file and starts it.
    ///
    /// # Errors
    /// `fleetctl start` fails.
    pub fn start(&self, name: &str, text: &str) -> Result<String> {
        self.write_unit(name, text)?;
        self.fleetctl(&format!("start {name}"))
    }

    /// What `fleetctl list-units` shows.
    ///
    /// # Errors
    /// The command fails.
    pub fn units(&self) -> Result<Vec<Row>> {
        self.units_seen_by(self.console()?)
    }

    /// What `fleetctl list-units` shows on that machine.
    ///
    /// # Errors
    /// The command fails.
    pub fn units_seen_by(&self, machine: &Machine) -> Result<Vec<Row>> {
        let fields = "--fields=unit,machine,active,sub";
        let table = machine.read(["fleetctl", "list-units", "--no-legend", "--full", fields])?;
        table.lines().map(|line| self.row(line)).collect()
    }

    fn row(&self, line: &str) -> Result<Row> {
        let mut cells = line
            .split('\t')
            .filter(|cell| !cell.is_empty())
            .map(str::to_owned);
        let mut cell = || {
            cells
                .next()
                .with_context(|| format!("a short row of list-units: {line:?}"))
        };
        Ok(Row {
            unit: cell()?,
            machine: self.name_of(&cell()?),
            active: cell()?,
            sub: cell()?,
        })
    }

    fn name_of(&self, shown: &str) -> String {
        let id = shown.split('/').next().unwrap_or(shown);
        let known = self
            .lab
            .machines()
            .iter()
            .find(|machine| machine.id() == id);
        known.map_or(shown, Machine::name).to_owned()
    }

    /// Waits until a unit is `active` on exactly one machine, and returns that machine's name.
    ///
    /// # Errors
    /// It takes too long; the message shows what was seen last.
    pub fn wait_active(&self, unit: &str) -> Result<String> {
        self.wait_where(unit, "is active on one machine", |rows| match rows {
            [row] if row.active == "active" => Some(row.machine.clone()),
            _ => None,
        })
    }

    /// Waits until the rows of a unit are as `judge` wants them, and returns what it made of them.
    ///
    /// # Errors
    /// It takes too long; the message shows what was seen last.
    pub fn wait_where<T>(
        &self,
        unit: &str,
        what: &str,
        judge: impl Fn(&[Row]) -> Option<T>,
    ) -> Result<T> {
        wait_for(&format!("{unit} {what}"), PATIENCE, || {
            let rows = self.units().map_err(|error| format!("{error:#}"))?;
            let rows: Vec<Row> = rows.into_iter().filter(|row| row.unit == unit).collect();
            judge(&rows).ok_or_else(|| format!("{rows:?}"))
        })
    }

    /// Waits until `count` machines are members.
    ///
    /// # Errors
    /// It takes too long.
    pub fn wait_for_members(&self, count: usize) -> Result<()> {
        let joined = wait_for(&format!("{count} members"), PATIENCE, || {
            let table = self
                .fleetctl("list-machines --no-legend")
                .map_err(|error| format!("{error:#}"))?;
            if table.lines().count() == count {
                Ok(())
            } else {
                Err(table)
            }
        });
        joined.or_else(|error| bail!("{error:#}\n{}", self.logs()))
    }

    /// What every fleetd has logged: for the message of a failed story.
    pub fn logs(&self) -> String {
        let log = |machine: &Machine| {
            let journal = machine
                .journal("fleet.service")
                .unwrap_or_else(|error| format!("{error:#}"));
            format!("---- {} ----\n{journal}\n", machine.name())
        };
        self.lab.machines().iter().map(log).collect()
    }
}

impl Machine {
    /// A property of a unit, as `systemctl show` prints it.
    ///
    /// # Errors
    /// The machine is down.
    pub fn property(&self, unit: &str, property: &str) -> Result<String> {
        self.read([
            "systemctl",
            "show",
            "--value",
            "--timestamp=us",
            "--property",
            property,
            unit,
        ])
    }

    /// The main process of a service, by the machine's own numbers; `0` if it has none.
    ///
    /// # Errors
    /// The machine is down.
    pub fn main_pid(&self, unit: &str) -> Result<String> {
        self.property(unit, "MainPID")
    }
}
