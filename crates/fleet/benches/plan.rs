//! How long planning takes, with every rule in the mix: `cargo xtask bench plan`.
//!
//! One core, no I/O; each figure is the median of its rounds, beside its limit. Sizes are `UNITSxMACHINES`, as arguments.
// the clock is the point here
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::expect_used
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use fleet::cluster::{FileRecord, Touched};
use fleet::schedule::{Change, Planner, Survey, Terms};
use fleet::{Cluster, DesiredState, Event, Machine, MachineId, Resources, UnitRecord};
use unitfile::{UnitFile, UnitName};

/// Sizes without arguments, and how long planning each from nothing may take.
const SIZES: [(usize, usize, Duration); 3] = [
    (2_000, 100, Duration::from_millis(10)),
    (100_000, 5_000, Duration::from_secs(1)),
    (1_000_000, 10_000, Duration::from_secs(10)),
];
/// How often something small is changed and planned.
const CHANGES: usize = 31;
const ONE_MORE: Duration = Duration::from_millis(1);
const WHY: Duration = Duration::from_millis(100);
const ONE_LOST: Duration = Duration::from_millis(20);

/// What units ask for, by the last digit of their group. `%i` is the instance, one of ten.
const SECTIONS: [&str; 10] = [
    "Replaces=old-%p@*.service",
    "MachineMetadata=zone=%i",
    "Conflicts=%p@*.service",
    "MachineMetadata=zone=1\nMachineMetadata=zone=2",
    "Spread=zone\nMemoryReservation=64M",
    "MachineOf=u%i.service",
    "Constraint=disk=ssd\nConflicts=%p@*.service",
    "Prefer=disk=ssd\nMaxPerMachine=2\nCPUReservation=1%",
    "Conflicts=nobody-of-that-name*.service",
    "AvoidUnits=%p@*.service\nMachineMetadata=zone=%i",
];

fn main() {
    let sizes: Vec<(usize, usize, Option<Duration>)> = std::env::args()
        .skip(1)
        .filter_map(|size| asked(&size))
        .collect();
    let standard = SIZES.map(|(units, machines, limit)| (units, machines, Some(limit)));
    let sizes = if sizes.is_empty() {
        standard.to_vec()
    } else {
        sizes
    };
    for (units, machines, limit) in sizes {
        measure("all rules", SECTIONS, units, machines, limit);
        let mut unplaceable = SECTIONS;
        unplaceable[4] = "MachineMetadata=zone=none";
        measure(
            "a tenth fits nowhere",
            unplaceable,
            units,
            machines,
            limit.map(|limit| limit * 2),
        );
    }
    println!("memory at its highest: {} MiB", highest_memory() / 1024);
}

/// `100000x5000`; flags of `cargo bench` are none.
fn asked(size: &str) -> Option<(usize, usize, Option<Duration>)> {
    let (units, machines) = size.split_once('x')?;
    let (units, machines) = (units.parse().ok()?, machines.parse().ok()?);
    let known = SIZES.iter().find(|(u, m, _)| (*u, *m) == (units, machines));
    Some((units, machines, known.map(|(_, _, limit)| *limit)))
}

fn measure(
    what: &str,
    sections: [&str; 10],
    units: usize,
    machines: usize,
    limit: Option<Duration>,
) {
    println!("{units} units on {machines} machines, {what}");
    let rounds = (500_000 / units).clamp(1, 9);
    let mut first = Vec::new();
    let mut settled = Cluster::default();
    for _ in 0..rounds {
        settled = cluster(sections, units, machines);
        first.push(timed(&mut settled));
    }
    tell("from nothing", first, limit);
    let start = Instant::now();
    let survey = Survey::of(&settled, &Terms::default());
    tell("the first why", vec![start.elapsed()], None);
    let why = settled.units.keys().take(CHANGES).map(|unit| {
        let start = Instant::now();
        assert_eq!(survey.obstacles(unit).len(), machines);
        start.elapsed()
    });
    tell("another why", why.collect(), Some(WHY));
    let mut planner = Planner::default();
    timed_again(&mut planner, &mut settled, &mut Touched::Everything);
    let mut touched = Touched::default();
    let hash = settled.units.values().next().expect("a unit").hash;
    let more = (0..CHANGES).map(|round| {
        let name = UnitName::parse(&format!("more{round}.service")).expect("a name");
        let desired = DesiredState::Launched;
        let event = Event::Unit(name, Some(UnitRecord { hash, desired }));
        settled.apply_noting(event, &mut touched);
        timed_again(&mut planner, &mut settled, &mut touched)
    });
    tell("one unit more", more.collect(), Some(ONE_MORE));
    let lost = (0..CHANGES).map(|_| {
        let lost = settled
            .machines
            .keys()
            .nth(settled.machines.len() / 2)
            .cloned();
        let event = Event::Machine(lost.expect("a machine"), None);
        settled.apply_noting(event, &mut touched);
        timed_again(&mut planner, &mut settled, &mut touched)
    });
    tell("one machine lost", lost.collect(), Some(ONE_LOST));
}

fn tell(what: &str, mut rounds: Vec<Duration>, limit: Option<Duration>) {
    rounds.sort_unstable();
    let median = rounds[rounds.len() / 2];
    let limit = limit.map_or(String::new(), |limit| format!("   (at most {limit:?})"));
    println!("  {what:<20}{:>12.2} ms{limit}", median.as_secs_f64() * 1e3);
}

/// Plans from nothing, writes the plan, and returns how long planning took.
fn timed(cluster: &mut Cluster) -> Duration {
    timed_again(&mut Planner::default(), cluster, &mut Touched::Everything)
}

/// The same of what is new; then what the plan itself has changed is.
fn timed_again(planner: &mut Planner, cluster: &mut Cluster, touched: &mut Touched) -> Duration {
    let start = Instant::now();
    let planned = planner.plan(cluster, touched, &Terms::default());
    let took = start.elapsed();
    *touched = Touched::default();
    let events = planned.changes.iter().flat_map(Change::events);
    events.for_each(|event| cluster.apply_noting(event, touched));
    took
}

/// Units `u<group>@<instance>`, ten to a group; ten single ones that others follow.
fn cluster(sections: [&str; 10], units: usize, machines: usize) -> Cluster {
    let mut cluster = Cluster::default();
    let files = sections.map(|section| {
        let text = format!("[Service]\nExecStart=/bin/true\n[X-Fleet]\n{section}\n");
        let file = UnitFile::parse(text.trim_end().as_bytes()).expect("a unit file");
        let (hash, file) = (file.hash(), Arc::new(file));
        cluster.apply(Event::File(hash, Some(FileRecord { file, revision: 1 })));
        hash
    });
    for at in 0..machines {
        let id = MachineId::parse(&format!("m{at:06}")).expect("a machine id");
        cluster.apply(Event::Machine(id.clone(), Some(machine(id, at))));
    }
    let mut launch = |name: String, hash| {
        let name = UnitName::parse(&name).expect("a name");
        let desired = DesiredState::Launched;
        cluster.apply(Event::Unit(name, Some(UnitRecord { hash, desired })));
    };
    for at in 0..10 {
        launch(format!("u{at}.service"), files[0]);
    }
    for at in 10..units {
        let group = at / 10;
        launch(
            format!("u{group:06}@{}.service", at % 10),
            files[group % 10],
        );
    }
    cluster
}

fn machine(id: MachineId, at: usize) -> Machine {
    let disk = if at.is_multiple_of(2) { "ssd" } else { "hdd" };
    Machine {
        id,
        address: String::new(),
        metadata: [("zone", (at % 10).to_string()), ("disk", disk.to_owned())]
            .map(|(key, value)| (key.to_owned(), value))
            .into(),
        version: String::new(),
        boot_id: String::new(),
        member_since: 1,
        leaving: false,
        capacity: Resources {
            memory: 64 << 30,
            cpu: 32_000,
        },
    }
}

/// In KiB, as the kernel has it (VmHWM in proc(5)).
fn highest_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse().ok())
        .unwrap_or(0)
}
