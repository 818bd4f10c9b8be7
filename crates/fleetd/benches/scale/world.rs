//! The cluster: the real store, registry, engine and agents, each role on a thread of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent::systemd::Memory;
use agent::{Agent, Directories};
use fleet::{DesiredState, Machine, MachineId, Resources};
use registry::{Expected, Membership, Registry, UnitWrite};
use store::Store;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use unitfile::{UnitFile, UnitName};

use crate::role::Role;
use crate::threads::thread_of;

/// How long a silent machine counts as alive.
const TTL: Duration = Duration::from_secs(30);
/// Machines that share a connection to the store.
const SHARING: usize = 25;
/// How many units are submitted at a time.
const BATCH: usize = 1000;
/// How many machines join at a time.
const JOINING: usize = 50;

/// The roles' threads.
pub(crate) struct World {
    store: Store,
    engine: Handle,
    agents: Handle,
    registries: std::sync::Mutex<Vec<Registry>>,
}

impl World {
    pub(crate) async fn new() -> World {
        let (storage, engine, agents) = (
            thread_of(Role::Store),
            thread_of(Role::Engine),
            thread_of(Role::Agents),
        );
        let store = storage.spawn(async { Store::in_memory().await.expect("a store") });
        World {
            store: store.await.expect("a store"),
            engine,
            agents,
            registries: std::sync::Mutex::default(),
        }
    }

    /// One more connection.
    pub(crate) async fn registry(&self) -> Registry {
        let channel = registry::Channel::Tonic(self.store.channel());
        let registry = Registry::from_channel(channel, "/fleet/", Duration::from_secs(60)).await;
        let registry = registry.expect("a connection");
        self.registries
            .lock()
            .expect("nobody panicked")
            .push(registry.clone());
        registry
    }

    pub(crate) async fn join(&self, machines: usize, dir: &Path) -> Vec<Member> {
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

    pub(crate) async fn lead(&self, member: &Member) -> JoinHandle<()> {
        let (registry, membership) = (self.registry().await, member.membership.clone());
        self.engine.spawn(async move {
            let status = watch::Sender::default();
            let (options, shutdown) = (engine::Options::default(), CancellationToken::new());
            let ended = engine::run(&registry, &membership, &options, &status, &shutdown).await;
            panic!("the engine ended: {ended:?}");
        })
    }

    /// Services of ten kinds, every tenth with an instance of each.
    pub(crate) async fn submit(&self, units: usize) {
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

    pub(crate) fn operations(&self) -> BTreeMap<&'static str, u64> {
        let mut all = BTreeMap::new();
        for registry in self.registries.lock().expect("nobody panicked").iter() {
            for (what, operation) in registry.operations() {
                *all.entry(what).or_default() += operation.count;
            }
        }
        all
    }
}

/// One machine.
pub(crate) struct Member {
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
            runtime_units: root.join("runtime"),
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
    pub(crate) fn crash(self) -> MachineId {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.membership.machine.id.clone()
    }
}
