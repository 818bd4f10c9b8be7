//! The lab's network: a namespace with a bridge, and a namespace a machine with a cable into it.

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::cgroup::Cgroup;
use crate::shell;

/// The namespace of a lab: its bridge, and whatever runs beside the machines.
#[derive(Debug, Clone)]
pub(crate) struct LabNetwork {
    namespace: String,
}

impl LabNetwork {
    /// The lab's own address on its bridge.
    pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);

    /// The network of that lab, existing or not.
    pub(crate) fn of(lab: &str) -> LabNetwork {
        LabNetwork {
            namespace: format!("flotilla.{lab}"),
        }
    }

    /// Makes the namespace and the bridge in it.
    pub(crate) fn create(&self) -> Result<()> {
        ip(&format!("netns add {}", self.namespace))?;
        self.ip("link set lo up")?;
        // left to itself a bridge takes the lowest address of its ports, so it changes as machines come and go
        self.ip("link add bridge address 02:99:00:00:00:01 type bridge forward_delay 0")?;
        self.ip(&format!("address add {}/16 dev bridge", Self::ADDRESS))?;
        self.ip("link set bridge up")
    }

    /// A command that runs in the namespace, its process in that control group.
    pub(crate) fn command(&self, cgroup: &Cgroup, program: impl AsRef<OsStr>) -> Command {
        let mut command = cgroup.command("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.namespace))
            .arg("--")
            .arg(program);
        command
    }

    fn ip(&self, words: &str) -> Result<()> {
        ip(&format!("-netns {} {words}", self.namespace))
    }
}

/// A machine's network card and the cable to the bridge.
#[derive(Debug, Clone)]
pub(crate) struct Cable {
    lab: LabNetwork,
    port: String,
    namespace: String,
    address: Ipv4Addr,
}

impl Cable {
    /// The cable of that machine, plugged in or not.
    pub(crate) fn of(lab: &str, machine: &str, address: Ipv4Addr) -> Cable {
        let lab = LabNetwork::of(lab);
        let namespace = format!("{}.{machine}", lab.namespace);
        Cable {
            lab,
            port: machine.to_owned(),
            namespace,
            address,
        }
    }

    /// Gives the machine a new card with its old addresses.
    pub(crate) fn plug(&self) -> Result<()> {
        self.unplug()?;
        let Self {
            namespace,
            port,
            address,
            lab,
        } = self;
        let [_, _, high, low] = address.octets();
        ip(&format!("netns add {namespace}"))?;
        lab.ip(&format!("link add {port} type veth peer name host0 address 02:99:00:01:{high:02x}:{low:02x} netns {namespace}"))?;
        lab.ip(&format!("link set {port} master bridge up"))?;
        self.ip("link set lo up")?;
        self.ip(&format!("address add {address}/16 dev host0"))?;
        self.ip("link set host0 up")?;
        self.ip(&format!("route add default via {}", LabNetwork::ADDRESS))
    }

    /// Takes the card away with all that the kernel would still say for dead programs.
    pub(crate) fn unplug(&self) -> Result<()> {
        if !self.path().exists() {
            return Ok(());
        }
        // the namespace lives on until its last process is gone, the card does not; it may be gone already
        let _ = self.lab.ip(&format!("link delete {}", self.port));
        ip(&format!("netns delete {}", self.namespace))
    }

    /// Pulls the cable out of the switch, or puts it back.
    pub(crate) fn connect(&self, connected: bool) -> Result<()> {
        let way = if connected { "up" } else { "down" };
        self.lab.ip(&format!("link set {} {way}", self.port))
    }

    /// The file that stands for the machine's namespace.
    pub(crate) fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.namespace)
    }

    fn ip(&self, words: &str) -> Result<()> {
        ip(&format!("-netns {} {words}", self.namespace))
    }
}

fn ip(words: &str) -> Result<()> {
    let mut command = Command::new("ip");
    shell::read(command.args(words.split_ascii_whitespace())).map(drop)
}
