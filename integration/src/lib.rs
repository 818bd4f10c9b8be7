//! The lab: real systemd machines on this host, for tests, the demo, benches and by hand.
//!
//! A machine is a `systemd-nspawn` container that boots the host's own systemd on a root of its own, with a
//! network namespace for a network card; the lab is the namespace with the switch between them. Nothing leaves
//! the host, nothing is downloaded, three machines are up in about a second. It wants root.
//!
//! ```no_run
//! use integration::{Fleet, Lab};
//!
//! # fn main() -> anyhow::Result<()> {
//! let mut lab = Lab::unique("power-loss")?;
//! let fleet = Fleet::built()?.conf("etcd_servers=[\"http://10.99.0.11:2379\"]");
//! lab.boot_with(3, |machine| machine.install(&fleet))?;
//! lab.machine("m2")?.kill()?;
//! println!("{}", lab.machine("m1")?.read(["fleetctl", "list-machines"])?);
//! # Ok(())
//! # }
//! ```
//!
//! Whatever happens to the process that made a lab (an error, a panic, SIGKILL), the lab goes with it: see [`guard`].

mod cgroup;
mod cluster;
pub mod conformance;
mod disk;
mod etcd;
mod faults;
mod fleet;
pub mod guard;
mod lab;
mod machine;
mod network;
mod nspawn;
mod process;
mod record;
mod root;
mod shell;
mod ssh;
mod wait;

pub use cluster::{Backing, Cluster, Row};
pub use etcd::Etcd;
pub use fleet::Fleet;
pub use lab::Lab;
pub use machine::Machine;
pub use process::Process;
pub use record::home;
pub use ssh::Operator;
pub use wait::wait_for;
