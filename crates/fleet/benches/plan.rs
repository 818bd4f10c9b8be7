//! How long planning takes: `cargo bench -p fleet`.
// the clock is the point here
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::expect_used
)]

use std::sync::Arc;
use std::time::Instant;

use fleet::cluster::FileRecord;
use fleet::schedule::{Change, plan};
use fleet::{Cluster, DesiredState, Event, Machine, MachineId, UnitRecord};
use unitfile::{UnitFile, UnitName};

fn main() {
    for (units, machines) in [(2_000, 100), (10_000, 1_000), (100_000, 5_000)] {
        for (what, section) in [
            ("no requirements", ""),
            ("one of ten zones", "MachineMetadata=zone=%i"),
            ("apart from their like", "Conflicts=%p@*.service"),
            ("none that fits", "MachineMetadata=zone=none"),
        ] {
            measure(what, section, units, machines);
        }
    }
}

/// Plans all at once, then the picture at rest, then the loss of a machine.
fn measure(what: &str, section: &str, units: usize, machines: usize) {
    let mut cluster = cluster(section, units, machines);
    let first = timed(&mut cluster);
    // the best of some, since others use the machine as well
    let again = (0..5)
        .map(|_| timed(&mut cluster))
        .min()
        .unwrap_or_default();
    let lost = cluster.machines.keys().next().cloned().expect("a machine");
    cluster.apply(Event::Machine(lost, None));
    let loss = timed(&mut cluster);
    println!(
        "{units:>7} x {machines:<6}{what:<24} {first:>7} ms   at rest {again:>5} ms   a loss {loss:>5} ms"
    );
}

/// Plans, writes the plan, and returns the milliseconds that planning took.
fn timed(cluster: &mut Cluster) -> u128 {
    let start = Instant::now();
    let planned = plan(cluster);
    let took = start.elapsed().as_millis();
    planned
        .changes
        .iter()
        .flat_map(Change::events)
        .for_each(|event| cluster.apply(event));
    took
}

/// Units `u<group>@<zone>…`, ten to a group, all with one unit file.
fn cluster(section: &str, units: usize, machines: usize) -> Cluster {
    let mut cluster = Cluster::default();
    let file = UnitFile::parse(format!("[X-Fleet]\n{section}\n").trim_end().as_bytes())
        .expect("a unit file");
    let hash = file.hash();
    let file = Arc::new(file);
    cluster.apply(Event::File(hash, Some(FileRecord { file, revision: 1 })));
    for at in 0..machines {
        let id = MachineId::parse(&format!("m{at:06}")).expect("a machine id");
        cluster.apply(Event::Machine(id.clone(), Some(machine(id, at))));
    }
    for at in 0..units {
        let name =
            UnitName::parse(&format!("u{:06}@{}.service", at / 10, at % 10)).expect("a name");
        let desired = DesiredState::Launched;
        cluster.apply(Event::Unit(name, Some(UnitRecord { hash, desired })));
    }
    cluster
}

fn machine(id: MachineId, at: usize) -> Machine {
    Machine {
        id,
        address: String::new(),
        metadata: [("zone".to_owned(), (at % 10).to_string())].into(),
        version: String::new(),
        boot_id: String::new(),
        member_since: 1,
        leaving: false,
    }
}
