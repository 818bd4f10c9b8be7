//! How far one host carries a cluster: `cargo xtask bench scale`.
//!
//! The store, the registry, the engine and the agents are the real ones; the machines are not: each agent has a systemd in
//! memory, which starts units at once. Every role has a thread of its own, so that the kernel tells what it uses.
#![allow(clippy::expect_used, clippy::indexing_slicing)]

mod asked;
mod memory;
mod role;
mod threads;
mod usage;
mod world;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use fleet::{Cluster, MachineId};
use registry::Mirror;
use tokio::runtime::Builder;

use usage::Usage;
use world::World;

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|word| word.parse().ok());
    let machines: usize = numbers.next().unwrap_or(1000);
    let units: usize = numbers.next().unwrap_or(20_000);
    let lost: usize = numbers.next().unwrap_or(100).min(machines / 3);
    let here = Builder::new_current_thread().enable_all().build();
    here.expect("a runtime")
        .block_on(measure(machines, units, lost));
}

async fn measure(machines: usize, units: usize, lost: usize) {
    let dir = tempfile::tempdir_in(shared_memory()).expect("a folder");
    let world = World::new().await;
    println!(
        "{machines} machines, {units} units, one store, on {} cores",
        thread::available_parallelism().map_or(1, usize::from)
    );
    let mut usage = Usage::now();

    let begun = Instant::now();
    let mut members = world.join(machines, dir.path()).await;
    let engine = world.lead(&members[0]).await;
    usage.tell("all machines have joined", begun.elapsed());

    let mut mirror = world.registry().await.mirror().await;
    let begun = Instant::now();
    world.submit(units).await;
    usage.tell("all units are submitted", begun.elapsed());
    until(&mut mirror, |cluster| active(cluster) >= units).await;
    usage.tell(
        "all units are active, since the first was submitted",
        begun.elapsed(),
    );

    let begun = Instant::now();
    tokio::time::sleep(Duration::from_secs(10)).await;
    usage.tell("ten seconds at rest", begun.elapsed());
    usage.tell_memory();

    asked::measure(&world, dir.path()).await;
    usage.skip();

    // the first one leads
    let gone: BTreeSet<MachineId> = members
        .drain(1..=lost)
        .map(|member| member.crash())
        .collect();
    let on_them = mirror
        .cluster()
        .targets
        .values()
        .filter(|id| gone.contains(*id))
        .count();
    until(&mut mirror, |cluster| {
        !gone.iter().any(|id| cluster.machines.contains_key(id))
    })
    .await;
    let begun = Instant::now();
    until(&mut mirror, |cluster| active(cluster) >= units).await;
    let what =
        format!("{on_them} units of {lost} machines run elsewhere, since the last lease ended");
    usage.tell(&what, begun.elapsed());

    println!("etcd operations, all machines together:");
    for (what, count) in world.operations() {
        println!("  {count:>9}  {what}");
    }
    println!(
        "memory of it all at its highest: {} MiB",
        usage::status("VmHWM:") / 1024
    );
    println!(
        "What limits it: here all agents share one thread, on which they write files, give orders and publish states."
    );
    engine.abort();
}

/// Where files cost no disk.
fn shared_memory() -> PathBuf {
    let shared = PathBuf::from("/dev/shm");
    if shared.is_dir() {
        shared
    } else {
        std::env::temp_dir()
    }
}

/// Units whose machine says that they run.
fn active(cluster: &Cluster) -> usize {
    let targets = cluster.targets.iter();
    let active = targets.filter(|(unit, id)| {
        let states = cluster.states.get(*unit);
        states
            .and_then(|states| states.get(*id))
            .is_some_and(|state| state.active == "active")
    });
    active.count()
}

async fn until(mirror: &mut Mirror, holds: impl Fn(&Cluster) -> bool) {
    while !holds(mirror.cluster()) {
        mirror.changed().await;
        // to look costs as much as there is: not at every event
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
