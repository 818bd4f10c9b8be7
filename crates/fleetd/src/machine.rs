//! What this machine is: its identity, its boot, its address.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use fleet::machine::MachineIdError;
use fleet::{Machine, MachineId, Resources};
use nix::ifaddrs::getifaddrs;

/// What a release of fleetd calls itself.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where this machine's facts are read; another root serves tests.
#[derive(Debug, Clone)]
pub struct Facts {
    /// systemd's identity of the machine.
    pub machine_id: PathBuf,
    /// The kernel's identity of its boot.
    pub boot_id: PathBuf,
    /// What the kernel tells of the first process, as in proc_pid_stat(5).
    pub init: PathBuf,
    /// The kernel's IPv4 routing table.
    pub routes: PathBuf,
    /// How much memory there is, as in proc(5).
    pub memory: PathBuf,
}

impl Default for Facts {
    fn default() -> Self {
        Facts {
            machine_id: "/etc/machine-id".into(),
            boot_id: "/proc/sys/kernel/random/boot_id".into(),
            init: "/proc/1/stat".into(),
            routes: "/proc/net/route".into(),
            memory: "/proc/meminfo".into(),
        }
    }
}

/// Why this machine does not know who it is.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read.
    #[error("reading {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The machine id is empty, as in an image that has not been booted yet.
    #[error("{} is empty: run systemd-machine-id-setup", .0.display())]
    NoMachineId(PathBuf),
    /// The machine id is not one.
    #[error("reading {}", .path.display())]
    BadMachineId {
        /// The file.
        path: PathBuf,
        /// What is wrong with its content.
        source: MachineIdError,
    },
}

impl Facts {
    /// This machine's record as it will be registered; `public_ip` overrules the address found.
    ///
    /// # Errors
    /// The machine has no usable id, or the kernel does not tell its boot.
    pub fn describe(
        &self,
        public_ip: &str,
        metadata: BTreeMap<String, String>,
    ) -> Result<Machine, IdentityError> {
        let address = match public_ip {
            "" => self.address().unwrap_or_default(),
            given => given.to_owned(),
        };
        Ok(Machine {
            id: self.machine_id()?,
            address,
            metadata,
            version: VERSION.into(),
            boot_id: self.boot()?,
            member_since: 0,
            leaving: false,
            capacity: self.capacity(),
        })
    }

    /// What nothing outlives: the kernel's boot, and the first process with its beginning. Machines that share a kernel boot
    /// without it.
    fn boot(&self) -> Result<String, IdentityError> {
        let kernel = read(&self.boot_id)?;
        let init = read(&self.init).ok();
        Ok(match init.as_deref().and_then(start_time) {
            Some(begun) => format!("{kernel}/{begun}"),
            None => kernel,
        })
    }

    /// What there is for units; 0 of what the kernel does not tell.
    fn capacity(&self) -> Resources {
        let memory = read(&self.memory).ok();
        let processors = std::thread::available_parallelism().map_or(0, NonZero::get);
        Resources {
            memory: memory.as_deref().and_then(total_memory).unwrap_or(0),
            cpu: processors as u64 * 1000,
        }
    }

    fn machine_id(&self) -> Result<MachineId, IdentityError> {
        let path = self.machine_id.clone();
        let id = read(&path)?;
        if id.is_empty() {
            return Err(IdentityError::NoMachineId(path));
        }
        MachineId::parse(&id).map_err(|source| IdentityError::BadMachineId { path, source })
    }

    /// The first global-unicast IPv4 address on the interface of the default route.
    fn address(&self) -> Option<String> {
        let routes = read(&self.routes).ok()?;
        let interface = default_interface(&routes)?;
        let found = addresses_of(interface)
            .into_iter()
            .find(is_global_unicast)?;
        Some(found.to_string())
    }
}

/// When a process began: the 22nd field of its stat. The second one is a name in parentheses, which may hold anything.
fn start_time(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

fn read(path: &Path) -> Result<String, IdentityError> {
    let text = std::fs::read_to_string(path).map_err(|source| IdentityError::Unreadable {
        path: path.into(),
        source,
    })?;
    Ok(text.trim().to_owned())
}

/// The interface of the first route to everywhere. Columns as in proc(5): interface, destination, …, mask.
fn default_interface(routes: &str) -> Option<&str> {
    let rows = routes
        .lines()
        .skip(1)
        .map(|row| row.split_whitespace().collect::<Vec<_>>());
    let everywhere = "00000000";
    rows.filter(|row| row.get(1) == Some(&everywhere) && row.get(7) == Some(&everywhere))
        .find_map(|row| row.first().copied())
}

/// In bytes; the table has it in KiB.
fn total_memory(table: &str) -> Option<u64> {
    let line = table
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

fn addresses_of(interface: &str) -> Vec<Ipv4Addr> {
    let Ok(all) = getifaddrs() else {
        return Vec::new();
    };
    all.filter(|entry| entry.interface_name == interface)
        .filter_map(|entry| Some(entry.address?.as_sockaddr_in()?.ip()))
        .collect()
}

/// Go's notion: private addresses count, link-local ones do not.
fn is_global_unicast(address: &Ipv4Addr) -> bool {
    !(address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || address.is_link_local()
        || address.is_broadcast())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const ROUTES: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
eth1\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth2\t00000000\t0100000A\t0003\t0\t0\t200\t00000000\t0\t0\t0
";

    fn facts(machine_id: &str) -> (tempfile::TempDir, Facts) {
        let dir = tempfile::tempdir().unwrap();
        let facts = Facts {
            machine_id: dir.path().join("machine-id"),
            boot_id: dir.path().join("boot-id"),
            init: dir.path().join("stat"),
            routes: dir.path().join("route"),
            memory: dir.path().join("meminfo"),
        };
        std::fs::write(&facts.machine_id, machine_id).unwrap();
        std::fs::write(&facts.boot_id, "b0\n").unwrap();
        std::fs::write(&facts.memory, "MemTotal:        2048 kB\nMemFree: 1 kB\n").unwrap();
        (dir, facts)
    }

    #[test]
    fn the_first_default_route_names_the_interface() {
        assert_eq!(default_interface(ROUTES), Some("eth1"));
        assert_eq!(default_interface("Iface\tDestination\n"), None);
    }

    #[test]
    fn private_addresses_count_and_link_local_ones_do_not() {
        let counts = |text: &str| is_global_unicast(&text.parse().unwrap());
        assert!(counts("10.0.0.7") && counts("192.0.2.1"));
        assert!(!counts("169.254.1.1") && !counts("127.0.0.1") && !counts("224.0.0.1"));
    }

    #[test]
    fn the_record_holds_what_the_files_and_the_configuration_say() {
        let (_dir, facts) = facts("7797fd21236bf3d877cbab4575900b3c\n");
        let metadata = BTreeMap::from([("disk".to_owned(), "ssd".to_owned())]);
        let machine = facts.describe("203.0.113.9", metadata.clone()).unwrap();
        assert_eq!(machine.id.as_str(), "7797fd21236bf3d877cbab4575900b3c");
        assert_eq!(
            (machine.address.as_str(), machine.boot_id.as_str()),
            ("203.0.113.9", "b0")
        );
        assert_eq!(machine.metadata, metadata);
        assert_eq!(machine.capacity.memory, 2 << 20);
        assert!(machine.capacity.cpu >= 1000);
    }

    #[test]
    fn machines_that_share_a_kernel_boot_by_themselves() {
        let (_dir, facts) = facts("m1");
        let boot = || facts.describe("", BTreeMap::new()).unwrap().boot_id;
        let init = |begun: u64| {
            format!("1 (a) b) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 {begun} 9 9\n")
        };
        std::fs::write(&facts.init, init(5)).unwrap();
        assert_eq!(boot(), "b0/5");
        std::fs::write(&facts.init, init(7007)).unwrap();
        assert_eq!(boot(), "b0/7007");
        std::fs::write(&facts.init, "?").unwrap();
        assert_eq!(boot(), "b0");
    }

    #[test]
    fn without_a_routing_table_the_address_is_empty() {
        let (_dir, facts) = facts("m1");
        assert_eq!(facts.describe("", BTreeMap::new()).unwrap().address, "");
    }

    #[test]
    fn a_machine_without_an_id_is_told_what_to_do() {
        let (_dir, facts) = facts("\n");
        let error = facts.describe("", BTreeMap::new()).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("is empty: run systemd-machine-id-setup"),
            "{error}"
        );
    }
}
