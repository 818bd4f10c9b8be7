//! How far one host carries a cluster: `cargo xtask bench scale`.
//!
//! The store, the registry, the engine and the agents are the real ones; the machines are not: each agent has a systemd in
//! memory, which starts units at once. Every role has a thread of its own, so that the kernel tells what it uses.
#![allow(clippy::expect_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use agent::systemd::Memory;
use agent::{Agent, Directories};
use fleet::{Cluster, DesiredState, Machine, MachineId, Resources};
use registry::{Expected, Membership, Mirror, Registry, UnitWrite};
use store::Store;
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use unitfile::{UnitFile, UnitName};

/// How long a silent machine counts as alive.
const TTL: Duration = Duration::from_secs(30);
/// Machines that share a connection to the store.
const SHARING: usize = 25;
/// How many units are submitted at a time.
const BATCH: usize = 1000;
/// How many machines join at a time.
const JOINING: usize = 50;

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
        status("VmHWM:") / 1024
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

/// The roles' threads.
struct World {
    store: Store,
    engine: Handle,
    agents: Handle,
    registries: std::sync::Mutex<Vec<Registry>>,
}

impl World {
    async fn new() -> World {
        let (storage, engine, agents) = (role("store"), role("engine"), role("agents"));
        let store = storage.spawn(async { Store::in_memory().await.expect("a store") });
        World {
            store: store.await.expect("a store"),
            engine,
            agents,
            registries: std::sync::Mutex::default(),
        }
    }

    /// One more connection.
    async fn registry(&self) -> Registry {
        let channel = self.store.channel();
        let registry = Registry::from_channel(channel, "/fleet/", Duration::from_secs(60)).await;
        let registry = registry.expect("a connection");
        self.registries
            .lock()
            .expect("nobody panicked")
            .push(registry.clone());
        registry
    }

    async fn join(&self, machines: usize, dir: &Path) -> Vec<Member> {
        let mut members = Vec::new();
        let mut registry = self.registry().await;
        for first in (0..machines).step_by(JOINING) {
            let mut joining = Vec::new();
            for at in first..machines.min(first + JOINING) {
                if at % SHARING == 0 {
                    registry = self.registry().await;
                }
                let join = Member::join(registry.clone(), at, dir.join(at.to_string()));
                joining.push(self.agents.spawn(join));
            }
            for member in joining {
                members.push(member.await.expect("a member"));
            }
        }
        members
    }

    async fn lead(&self, member: &Member) -> JoinHandle<()> {
        let (registry, membership) = (self.registry().await, member.membership.clone());
        self.engine.spawn(async move {
            let status = watch::Sender::default();
            let (options, shutdown) = (engine::Options::default(), CancellationToken::new());
            let ended = engine::run(&registry, &membership, &options, &status, &shutdown).await;
            panic!("the engine ended: {ended:?}");
        })
    }

    /// Services of ten kinds, every tenth with an instance of each.
    async fn submit(&self, units: usize) {
        let registry = self.registry().await;
        let files: Vec<UnitFile> = (0..10)
            .map(|kind| {
                let text = format!("[Service]\nExecStart=/bin/sleep infinity\nNice={kind}\n");
                UnitFile::parse(text.as_bytes()).expect("a unit file")
            })
            .collect();
        for first in (0..units).step_by(BATCH) {
            let writes: Vec<UnitWrite<'_>> = (first..units.min(first + BATCH))
                .map(|at| UnitWrite {
                    name: UnitName::parse(&format!("job{}@{}.service", at / 10, at % 10))
                        .expect("a name"),
                    hash: files[at % 10].hash(),
                    file: Some(&files[at % 10]),
                    desired: DesiredState::Launched,
                    expected: Expected::Absent,
                })
                .collect();
            registry
                .put_units(&writes)
                .await
                .expect("units are written");
        }
    }

    fn operations(&self) -> BTreeMap<&'static str, u64> {
        let mut all = BTreeMap::new();
        for registry in self.registries.lock().expect("nobody panicked").iter() {
            for (what, operation) in registry.operations() {
                *all.entry(what).or_default() += operation.count;
            }
        }
        all
    }
}

/// A thread of that name with a runtime.
fn role(name: &str) -> Handle {
    let (send, receive) = channel();
    let run = move || {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        send.send(runtime.handle().clone()).expect("somebody waits");
        runtime.block_on(std::future::pending::<()>());
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .expect("a thread");
    receive.recv().expect("a runtime")
}

/// One machine.
struct Member {
    membership: Membership,
    tasks: Vec<JoinHandle<()>>,
}

impl Member {
    async fn join(registry: Registry, at: usize, root: PathBuf) -> Member {
        let machine = Machine {
            id: MachineId::parse(&format!("{at:032x}")).expect("a machine id"),
            address: format!("10.{}.{}.{}", at >> 16, at >> 8 & 255, at & 255),
            metadata: BTreeMap::new(),
            version: String::new(),
            boot_id: "boot".to_owned(),
            member_since: 0,
            leaving: false,
            capacity: Resources::default(),
        };
        let membership = registry.join(&machine, TTL).await.expect("a membership");
        let directories = Directories {
            units: root.join("units"),
            records: root.join("records"),
            marks: root.join("marks"),
        };
        let systemd = Memory::boot(&directories.units);
        let agent = Agent::new(registry, systemd, directories)
            .await
            .expect("an agent");
        let lease = membership.clone();
        let (_, memberships) = watch::channel(membership.clone());
        let works = tokio::spawn(async move {
            agent.run(memberships).await.expect("the agent works");
        });
        let stays = tokio::spawn(async move {
            lease.keep_alive().await;
        });
        Member {
            membership,
            tasks: vec![works, stays],
        }
    }

    /// Power loss.
    fn crash(self) -> MachineId {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.membership.machine.id.clone()
    }
}

/// Processor time by thread, in hundredths of a second, when it was last told.
struct Usage(BTreeMap<String, u64>);

impl Usage {
    fn now() -> Self {
        Usage(ticks())
    }

    fn tell(&mut self, what: &str, took: Duration) {
        let now = ticks();
        let used = now
            .iter()
            .filter(|(role, _)| ["store", "engine", "agents"].contains(&role.as_str()));
        let used = used.map(|(role, ticks)| {
            let before = self.0.get(role).copied().unwrap_or(0);
            format!(
                "{role} {:.2} s",
                ticks.saturating_sub(before) as f64 / 100.0
            )
        });
        let used: Vec<String> = used.collect();
        println!(
            "{:>9.2} s  {what}  (processor time: {})",
            took.as_secs_f64(),
            used.join(", ")
        );
        self.0 = now;
    }
}

/// Of each thread's name, as in proc(5).
fn ticks() -> BTreeMap<String, u64> {
    let mut all: BTreeMap<String, u64> = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
    {
        let Ok(stat) = std::fs::read_to_string(task.path().join("stat")) else {
            continue;
        };
        if let Some((name, ticks)) = name_and_ticks(&stat) {
            *all.entry(name).or_default() += ticks;
        }
    }
    all
}

fn name_and_ticks(stat: &str) -> Option<(String, u64)> {
    let (start, end) = (stat.find('(')?, stat.rfind(')')?);
    let fields: Vec<&str> = stat.get(end + 1..)?.split_whitespace().collect();
    let ticks: Option<u64> = [11, 12]
        .iter()
        .map(|at| fields.get(*at)?.parse::<u64>().ok())
        .sum();
    Some((stat.get(start + 1..end)?.to_owned(), ticks?))
}

/// A line of /proc/self/status, in KiB.
fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.trim().split(' ').next()?.parse().ok())
        .unwrap_or(0)
}
