//! One machine of a lab: run programs in it, read and write its files, switch it on.

use std::ffi::OsStr;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};
use sha1::{Digest, Sha1};

use crate::cgroup::Cgroup;
use crate::network::Cable;
use crate::record::{Record, replace};
use crate::{Fleet, Process, nspawn, root, shell};

pub(crate) use crate::nspawn::Booting;

/// A real systemd on a root, a network card and a machine id of its own.
///
/// What it is doing is asked of the kernel each time, so several processes may handle the same machine.
#[derive(Debug, Clone)]
pub struct Machine {
    name: String,
    pub(crate) full_name: String,
    id: String,
    address: Ipv4Addr,
    folder: PathBuf,
    pub(crate) cgroup: Cgroup,
    pub(crate) cable: Cable,
}

impl Machine {
    pub(crate) fn new(lab: &Record, number: usize) -> Machine {
        let name = format!("m{number}");
        let address = address(number);
        Machine {
            full_name: format!("flotilla.{}.{name}", lab.name),
            id: machine_id(&lab.seed, &name),
            folder: lab.folder().join(&name),
            cgroup: Cgroup::of(&lab.name, &name),
            cable: Cable::of(&lab.name, &name, address),
            address,
            name,
        }
    }

    /// Its name in the lab, and its host name: `m1`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its machine-id, 32 hexadecimal digits; the same in every run of a lab of that name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its address on the lab's network.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Runs a command line in the machine, as root, to its end, whatever that is.
    ///
    /// # Errors
    /// The machine is down.
    pub fn run<Word: AsRef<OsStr>>(&self, line: impl IntoIterator<Item = Word>) -> Result<Output> {
        shell::run(&mut self.command(line)?)
    }

    /// Runs a command line that must succeed, and returns what it printed, without the last line break.
    ///
    /// # Errors
    /// The machine is down or the command fails; the message carries what it complained of.
    pub fn read<Word: AsRef<OsStr>>(&self, line: impl IntoIterator<Item = Word>) -> Result<String> {
        shell::read(&mut self.command(line)?).with_context(|| format!("on {}", self.name))
    }

    /// A command line to be run in the machine, as root, with a login's environment. Its exit status is the program's.
    ///
    /// # Errors
    /// The machine is down.
    pub fn command<Word: AsRef<OsStr>>(
        &self,
        line: impl IntoIterator<Item = Word>,
    ) -> Result<Command> {
        let mut command = Command::new("nsenter");
        command.args([
            "-t",
            &self.leader()?.pid.to_string(),
            "-m",
            "-u",
            "-i",
            "-n",
            "-p",
            "-C",
            "--",
        ]);
        command.args(line).env_clear();
        command.envs([
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"),
            ("HOME", "/root"),
            ("USER", "root"),
            ("LANG", "C.UTF-8"),
        ]);
        command.envs(std::env::var_os("TERM").map(|terminal| ("TERM", terminal)));
        Ok(command)
    }

    /// What its journal holds on a unit, oldest first, of all its boots.
    ///
    /// # Errors
    /// The machine is down.
    pub fn journal(&self, unit: &str) -> Result<String> {
        self.read([
            "journalctl",
            "--no-pager",
            "--output=short-iso-precise",
            "--unit",
            unit,
        ])
    }

    /// Writes a file of the machine in one step, running or not, with the folders above it. The path is as the machine sees it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_file(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> Result<()> {
        let path = self.on_host(path.as_ref())?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        replace(&path, content.as_ref())
    }

    /// Reads a file of the machine, running or not. The path is as the machine sees it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read_file(&self, path: impl AsRef<Path>) -> Result<Vec<u8>> {
        let path = self.on_host(path.as_ref())?;
        fs::read(&path).with_context(|| format!("reading {}", path.display()))
    }

    fn on_host(&self, path: &Path) -> Result<PathBuf> {
        let inside = path
            .strip_prefix("/")
            .with_context(|| format!("{} is no absolute path", path.display()))?;
        Ok(self.root().join(inside))
    }

    /// Where this host finds the machine's files. While it runs that is through its own eyes: `/run` and all.
    pub fn root(&self) -> PathBuf {
        match self.leader() {
            Ok(leader) => format!("/proc/{}/root", leader.pid).into(),
            Err(_) => self.root_folder(),
        }
    }

    /// The folder its root is made from; the host's `/usr` lies under its `usr`.
    pub(crate) fn root_folder(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// The layer between the host's `/usr` and the machine's that hides what is not Debian's.
    pub(crate) fn veil(&self) -> PathBuf {
        self.folder.join("veil")
    }

    /// Where its console is written to.
    pub fn console(&self) -> PathBuf {
        self.folder.join("console")
    }

    pub(crate) fn make_root(&self, machines: usize) -> Result<()> {
        let hosts: String = (1..=machines)
            .map(|number| format!("{} m{number}\n", address(number)))
            .collect();
        // of an attempt that was broken off
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)
                .with_context(|| format!("removing {}", self.folder.display()))?;
        }
        root::make_veil(&self.veil())?;
        root::make(&self.root_folder(), &self.name, &self.id, &hosts)
            .with_context(|| format!("making the root of {}", self.name))
    }

    /// Installs fleet with the script that sets up any other Debian machine; it starts with the next boot.
    ///
    /// # Errors
    /// The programs are not built, or the script fails.
    pub fn install(&self, fleet: &Fleet) -> Result<()> {
        fleet.install(&self.root(), self.address)
    }

    /// Switches a machine on that is off, on the root it has, and returns when systemd has started everything in it.
    ///
    /// # Errors
    /// It runs already or does not come up; the message carries the end of its console.
    pub fn boot(&self) -> Result<()> {
        self.start()?.wait()
    }

    pub(crate) fn start(&self) -> Result<Booting> {
        ensure!(!self.is_running(), "{} runs already", self.name);
        self.cable.plug()?;
        nspawn::start(self)
    }

    /// Whether it is switched on.
    pub fn is_running(&self) -> bool {
        !self.cgroup.is_empty()
    }

    /// Its process 1, which has all its namespaces.
    fn leader(&self) -> Result<Process> {
        let noted = fs::read(self.leader_file())
            .ok()
            .and_then(|text| serde_json::from_slice::<Process>(&text).ok());
        match noted {
            Some(leader) if leader.is_alive() => Ok(leader),
            _ => bail!("{} is down", self.name),
        }
    }

    pub(crate) fn note_leader(&self, leader: Process) -> Result<()> {
        replace(&self.leader_file(), &serde_json::to_vec(&leader)?)
    }

    fn leader_file(&self) -> PathBuf {
        self.folder.join("leader.json")
    }

    /// Where nspawn says that it is up.
    pub(crate) fn notify_socket(&self) -> PathBuf {
        self.folder.join("notify")
    }
}

/// 10.99.0.11 for the first.
fn address(number: usize) -> Ipv4Addr {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    Ipv4Addr::from_bits(
        Ipv4Addr::new(10, 99, 0, 10)
            .to_bits()
            .saturating_add(number),
    )
}

fn machine_id(seed: &str, name: &str) -> String {
    let digest = Sha1::digest(format!("{seed}/{name}"));
    digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
