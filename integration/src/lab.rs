//! A lab: machines, the network between them, and the programs beside them.

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::cgroup::Cgroup;
use crate::guard::{self, Guard};
use crate::machine::{Booting, Machine};
use crate::network::LabNetwork;
use crate::record::{self, Record};
use crate::{Etcd, root};

/// More at once boot no faster and make the slowest of them miss systemd's own time limits.
const WAVE: usize = 8;

/// The control group of what runs beside the machines.
pub(crate) const PROGRAMS: &str = "programs";

/// Machines of one network, living in one folder; taken down when dropped, unless kept.
///
/// Several labs live side by side: each has namespaces, control groups and a folder of its own, so that all of
/// them use the same addresses.
#[derive(Debug)]
pub struct Lab {
    record: Record,
    folder: PathBuf,
    machines: Vec<Machine>,
    guard: Option<Guard>,
}

impl Lab {
    /// Makes a lab without machines that belongs to this process and ends with it.
    ///
    /// Labs whose owners are gone are swept first. A name is 1 to 32 of `a-z`, `0-9` and `-`.
    ///
    /// # Errors
    /// Not root, a bad name, a living lab of that name, or a host that lacks what a lab needs.
    pub fn create(name: &str) -> Result<Lab> {
        Self::create_seeded(name, name)
    }

    /// Like [`create`](Self::create), under a name that no other process uses: `stem-PID`.
    ///
    /// The machine ids depend on the stem alone, so they are the same in every run.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn unique(stem: &str) -> Result<Lab> {
        Self::create_seeded(&format!("{stem}-{}", std::process::id()), stem)
    }

    fn create_seeded(name: &str, seed: &str) -> Result<Lab> {
        ensure!(
            nix::unistd::geteuid().is_root(),
            "a lab needs root: network namespaces, control groups, systemd-nspawn"
        );
        guard::sweep()?;
        let record = Record::claim(name, seed)?;
        let mut lab = Self::from_record(record);
        lab.guard = Some(Guard::watch(name, &lab.folder)?);
        root::raise_limits()?;
        Cgroup::create_for_lab(name)?;
        Cgroup::of(name, PROGRAMS).create()?;
        lab.network().create()?;
        Ok(lab)
    }

    /// The lab of that name, which another process made. Dropping the result leaves the lab alone.
    ///
    /// # Errors
    /// There is no such lab, or its record cannot be read.
    pub fn open(name: &str) -> Result<Lab> {
        let record = Record::read(name)?.with_context(|| format!("there is no lab {name:?}"))?;
        Ok(Self::from_record(record))
    }

    /// All labs on this host, by name.
    ///
    /// # Errors
    /// The folder of labs or a record in it cannot be read.
    pub fn list() -> Result<Vec<Lab>> {
        Ok(record::all()?.into_iter().map(Self::from_record).collect())
    }

    fn from_record(record: Record) -> Lab {
        let mut lab = Lab {
            folder: record.folder(),
            machines: Vec::new(),
            guard: None,
            record,
        };
        lab.machines = (1..=lab.record.machines)
            .map(|number| Machine::new(&lab.record, number))
            .collect();
        lab
    }

    /// Adds machines until there are `count`, boots the new ones, and returns when systemd has started everything in them.
    ///
    /// # Errors
    /// A root cannot be made or a machine does not come up; the message carries the end of its console.
    pub fn boot(&mut self, count: usize) -> Result<()> {
        self.boot_with(count, |_| Ok(()))
    }

    /// Like [`boot`](Self::boot), with a last word on each new machine's root before it boots.
    ///
    /// # Errors
    /// As [`boot`](Self::boot), and those of `prepare`.
    pub fn boot_with(
        &mut self,
        count: usize,
        prepare: impl Fn(&Machine) -> Result<()>,
    ) -> Result<()> {
        let new: Vec<_> = (self.machines.len() + 1..=count)
            .map(|number| Machine::new(&self.record, number))
            .collect();
        for machine in &new {
            machine.make_root(count)?;
            prepare(machine).with_context(|| format!("preparing {}", machine.name()))?;
        }
        self.add(&new)?;
        boot_in_waves(&new)
    }

    fn add(&mut self, new: &[Machine]) -> Result<()> {
        self.machines.extend_from_slice(new);
        self.record.machines = self.machines.len();
        self.record.write()
    }

    /// The machine of that name: `m1` and up.
    ///
    /// # Errors
    /// The lab has no such machine.
    pub fn machine(&self, name: &str) -> Result<&Machine> {
        match self.machines.iter().find(|machine| machine.name() == name) {
            Some(machine) => Ok(machine),
            None => bail!(
                "lab {} has no machine {name:?}: it has {}",
                self.name(),
                self.names()
            ),
        }
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.machines.iter().map(Machine::name).collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    }

    /// All its machines, in order.
    pub fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// The folder that holds its record, the machines' roots and consoles, and etcd's data.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The address of the lab's own namespace, where [`command`](Self::command) runs.
    pub fn address(&self) -> Ipv4Addr {
        LabNetwork::ADDRESS
    }

    /// Whether it outlives the process that made it.
    pub fn is_kept(&self) -> bool {
        self.record.owner.is_none()
    }

    /// A command that runs on this host, with its files, but in the lab's network. It ends with the lab.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.network()
            .command(&Cgroup::of(self.name(), PROGRAMS), program)
    }

    /// Starts a real etcd of one member in the lab's network, on `http://10.99.0.1:2379`, and waits until it serves.
    ///
    /// # Errors
    /// etcd is not installed, runs already, or does not serve in time.
    pub fn start_etcd(&self) -> Result<Etcd> {
        let etcd = self.etcd();
        etcd.start()?;
        Ok(etcd)
    }

    /// The lab's etcd, running or not.
    pub fn etcd(&self) -> Etcd {
        Etcd::of(self)
    }

    pub(crate) fn network(&self) -> LabNetwork {
        LabNetwork::of(self.name())
    }

    /// Lets the lab outlive this process: from now on only `down` ends it.
    ///
    /// # Errors
    /// The record cannot be written, or the guard does not answer.
    pub fn keep(&mut self) -> Result<()> {
        // one that was opened is another's to keep, or is kept
        let Some(guard) = self.guard.take() else {
            return Ok(());
        };
        self.record.owner = None;
        self.record.write()?;
        guard.release()
    }

    /// Ends every process of the lab and removes its namespaces, control groups and folder.
    ///
    /// # Errors
    /// Something would not go away; the message names it.
    pub fn down(mut self) -> Result<()> {
        self.take_down()
    }

    fn take_down(&mut self) -> Result<()> {
        guard::tear_down(self.name(), &self.folder)?;
        self.guard.take().map_or(Ok(()), Guard::release)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // a lab that was opened, kept or taken down has no guard
        if self.guard.is_none() {
            return;
        }
        if let Err(error) = self.take_down() {
            eprintln!("taking lab {} down: {error:#}", self.name());
        }
    }
}

fn boot_in_waves(machines: &[Machine]) -> Result<()> {
    for wave in machines.chunks(WAVE) {
        let booting: Vec<Booting> = wave.iter().map(Machine::start).collect::<Result<_>>()?;
        booting.into_iter().try_for_each(Booting::wait)?;
    }
    Ok(())
}
