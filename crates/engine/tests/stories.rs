//! Engines at work on the embedded store: who leads, what they decide, and how they hand over.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::time::Duration;

use engine::{Options, Status};
use fleet::history::{Entry, What};
use fleet::{Cluster, DesiredState, Machine, MachineId, UnitState};
use registry::{Expected, MemberError, Membership, Mirror, Registry, Table, UnitWrite};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use unitfile::{UnitFile, UnitName};

const TTL: Duration = Duration::from_secs(60);

#[tokio::test]
async fn units_are_placed_and_leave_again() {
    let store = Server::start().await;
    let registry = store.registry().await;
    let engine = Engine::start(&registry, &join(&registry, "m1").await);
    join(&registry, "m2").await;
    let mut mirror = registry.mirror().await;

    launch(&registry, &["a.service", "b.service"]).await;
    until(&mut mirror, "both units to have a place", |cluster| {
        cluster.targets.len() == 2
    })
    .await;
    let cluster = mirror.cluster();
    assert_ne!(
        cluster.targets["a.service"], cluster.targets["b.service"],
        "the load is spread"
    );
    assert_eq!(cluster.schedule.len(), 2);

    registry.delete_unit(&unit("a.service")).await.unwrap();
    until(&mut mirror, "the unit to leave, and its file", |cluster| {
        !cluster.targets.contains_key("a.service") && cluster.files.len() == 1
    })
    .await;
    assert!(engine.status.borrow().leader_since.is_some());
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn a_unit_that_fits_nowhere_waits_until_it_does() {
    let store = Server::start().await;
    let registry = store.registry().await;
    let mut engine = Engine::start(&registry, &join(&registry, "m1").await);
    let picky =
        UnitFile::parse(b"[Service]\nExecStart=/bin/true\n[X-Fleet]\nMachineID=m2\n").unwrap();
    put(&registry, "picky.service", &picky).await;
    engine
        .until("the unit to wait", |status| {
            *status.waiting == [unit("picky.service")]
        })
        .await;
    let waits = soon("it to be told", until_told(&registry, What::Waits)).await;
    assert_eq!(waits.unit, Some(unit("picky.service")));
    assert_eq!(
        waits.reason,
        "no machine fits: 1 machine is not MachineID=m2"
    );

    join(&registry, "m2").await;
    let mut mirror = registry.mirror().await;
    until(&mut mirror, "its machine", |cluster| {
        cluster.targets.get("picky.service") == Some(&id("m2"))
    })
    .await;
    engine
        .until("nobody to wait", |status| status.waiting.is_empty())
        .await;
}

#[tokio::test]
async fn the_next_leader_tells_who_waits_if_nobody_has() {
    let store = Server::start().await;
    let registry = store.registry().await;
    let machine = join(&registry, "m1").await;
    let text = "[Service]\nExecStart=/bin/true\n[X-Fleet]\nMachineID=m2\n";
    let picky = UnitFile::parse(text.as_bytes()).unwrap();
    for name in ["a.service", "b.service"] {
        put(&registry, name, &picky).await;
        let engine = Engine::start(&registry, &machine);
        let is_told = async {
            while waits_told(&registry).await.last() != Some(&unit(name)) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        soon("it to be told", is_told).await;
        engine.stop().await.unwrap();
    }
    let both = [unit("a.service"), unit("b.service")];
    assert_eq!(waits_told(&registry).await, both);
}

#[tokio::test]
async fn when_the_leader_leaves_the_next_takes_over_at_once() {
    let store = Server::start().await;
    let registry = store.registry().await;
    let one = join(&registry, "m1").await;
    let mut first = Engine::start(&registry, &one);
    first
        .until("the first to lead", |status| status.leader_since.is_some())
        .await;
    let mut second = Engine::start(&registry, &join(&registry, "m2").await);
    launch(&registry, &["a.service", "b.service"]).await;
    let mut mirror = registry.mirror().await;
    until(&mut mirror, "both to be placed", |cluster| {
        cluster.targets.len() == 2
    })
    .await;

    one.leave().await.unwrap();
    second
        .until("the second to lead", |status| status.leader_since.is_some())
        .await;
    until(
        &mut mirror,
        "all to be on the machine that is left",
        |cluster| {
            cluster.targets.values().all(|machine| *machine == id("m2"))
                && !cluster.schedule.contains_key("m1")
        },
    )
    .await;
    let over = first.ended().await.unwrap_err();
    assert!(matches!(over, MemberError::NotMember(_)), "{over}");
}

#[tokio::test(start_paused = true)]
async fn units_of_a_machine_whose_lease_ends_move_and_no_others_do() {
    let store = Server::start().await;
    let registry = store.registry().await;
    let leader = join(&registry, "m1").await;
    let kept = tokio::spawn({
        let leader = leader.clone();
        async move { leader.keep_alive().await }
    });
    let engine = Engine::start(&registry, &leader);
    let dying = registry
        .join(&machine("m2"), Duration::from_secs(5))
        .await
        .unwrap();
    let units = ["a.service", "b.service", "c.service", "d.service"];
    launch(&registry, &units).await;
    let mut mirror = registry.mirror().await;
    until(&mut mirror, "all to be placed", |cluster| {
        cluster.targets.len() == 4
    })
    .await;
    let before = mirror.cluster().targets.clone();
    assert!(before.values().any(|machine| *machine == dying.machine.id));

    until(
        &mut mirror,
        "all to be on the machine that lives",
        |cluster| cluster.targets.values().all(|machine| *machine == id("m1")),
    )
    .await;
    assert_eq!(mirror.cluster().schedule[&id("m1")].len(), 4);
    assert!(!mirror.cluster().machines.contains_key("m2"));
    drop((engine, kept));
}

#[tokio::test]
async fn a_deposed_leader_stands_for_election_again() {
    let store = Server::start().await;
    let registry = store.registry().await;
    let mut engine = Engine::start(&registry, &join(&registry, "m1").await);
    engine
        .until("it to lead", |status| status.leader_since.is_some())
        .await;

    store.delete("leader").await;
    engine
        .until("a second election", |status| status.elections == 2)
        .await;
    launch(&registry, &["a.service"]).await;
    let mut mirror = registry.mirror().await;
    until(&mut mirror, "it to work", |cluster| {
        cluster.targets.len() == 1
    })
    .await;
}

#[tokio::test]
async fn a_foreign_commit_ends_the_leadership_and_nothing_is_assigned_twice() {
    let store = Server::start().await;
    let registry = store.registry().await;
    let mut engine = Engine::start(&registry, &join(&registry, "m1").await);
    launch(&registry, &["a.service"]).await;
    engine
        .until("its first commit", |status| status.changes > 0)
        .await;

    // as if an attempt of an earlier process of this machine had arrived late
    store.put("commit", r#"{"leader":1,"nonce":1}"#).await;
    launch(&registry, &["b.service"]).await;
    let mut mirror = registry.mirror().await;
    until(
        &mut mirror,
        "the unit to be placed all the same",
        |cluster| cluster.targets.len() == 2,
    )
    .await;
    engine
        .until("a second election", |status| status.elections == 2)
        .await;
    assert_eq!(
        mirror
            .cluster()
            .schedule
            .values()
            .map(BTreeMap::len)
            .sum::<usize>(),
        2
    );
}

#[tokio::test]
async fn what_it_wrote_itself_and_what_units_do_keep_the_engine_asleep() {
    let store = Server::start().await;
    let registry = store.registry().await;
    let member = join(&registry, "m1").await;
    let mut engine = Engine::start(&registry, &member);
    let mut mirror = registry.mirror().await;
    launch(&registry, &["a.service"]).await;
    until(&mut mirror, "the unit to be placed", |cluster| {
        cluster.targets.len() == 1
    })
    .await;
    let file = mirror.cluster().units["a.service"].hash;
    let changes = engine
        .until("its commit", |status| status.changes > 0)
        .await
        .changes;

    for sub in ["start-pre", "start", "running"] {
        member
            .publish(&[(unit("a.service"), Some(state(sub, file)))])
            .await
            .unwrap();
    }
    // the engine sees events in order: once it has planned for this one, it has seen the states
    let plans = engine.status.borrow().plans;
    launch(&registry, &["b.service"]).await;
    let status = engine
        .until("the next commit", |status| status.changes > changes)
        .await;
    assert!(
        status.plans - plans <= 2,
        "{} plans for one new unit",
        status.plans - plans
    );
    assert_eq!(status.elections, 1);
}

#[tokio::test]
async fn a_shutdown_gives_the_leadership_up() {
    let store = Server::start().await;
    let registry = store.registry().await;
    let mut engine = Engine::start(&registry, &join(&registry, "m1").await);
    engine
        .until("it to lead", |status| status.leader_since.is_some())
        .await;
    let status = engine.status.clone();
    engine.stop().await.unwrap();
    assert_eq!(
        registry.picture(&[Table::Leader]).await.unwrap().leader,
        None
    );
    assert!(status.borrow().leader_since.is_none());
}

#[tokio::test]
async fn the_oldest_events_go_when_there_are_too_many() {
    let store = Server::start().await;
    let registry = store.registry().await;
    let member = join(&registry, "m1").await;
    store.put_events(0..registry::KEPT + 50).await;
    let _engine = Engine::start(&registry, &member);
    soon(
        "what there was before to be trimmed",
        Box::pin(store.until_kept()),
    )
    .await;
    store.put_events(10_000..10_150).await;
    soon(
        "what there is now to be trimmed",
        Box::pin(store.until_kept()),
    )
    .await;
}

/// A store in memory, with a client for what an engine never does.
struct Server(store::Store);

impl Server {
    async fn start() -> Self {
        Server(store::Store::in_memory().await.unwrap())
    }

    async fn registry(&self) -> Registry {
        Registry::from_channel(
            registry::Channel::Tonic(self.0.channel()),
            "/fleet/",
            Duration::from_secs(10),
        )
        .await
        .unwrap()
    }

    async fn client(&self) -> etcd_client::Client {
        let channel = etcd_client::Channel::Tonic(self.0.channel());
        etcd_client::Client::from_channel(channel, None)
            .await
            .unwrap()
    }

    async fn put(&self, key: &str, value: &str) {
        self.client()
            .await
            .put(format!("/fleet/{key}"), value, None)
            .await
            .unwrap();
    }

    /// Somebody tells of so many things.
    async fn put_events(&self, numbers: std::ops::Range<usize>) {
        let mut client = self.client().await;
        for number in numbers {
            let key = format!("/fleet/event/{:014}-m2-000000", 1_795_752_503_123 + number);
            let told = r#"[{"what":"stopped"}]"#;
            client.put(key, told, None).await.unwrap();
        }
    }

    /// Waits until there are no more events than shall be kept, give or take what is not worth an order.
    async fn until_kept(&self) {
        let mut client = self.client().await;
        let count = etcd_client::GetOptions::new()
            .with_prefix()
            .with_count_only();
        loop {
            let found = client.get("/fleet/event/", Some(count.clone())).await;
            let count = usize::try_from(found.unwrap().count()).unwrap();
            if (registry::KEPT..registry::KEPT + 100).contains(&count) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn delete(&self, key: &str) {
        self.client()
            .await
            .delete(format!("/fleet/{key}"), None)
            .await
            .unwrap();
    }
}

/// A running engine.
struct Engine {
    status: watch::Receiver<Status>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), MemberError>>,
}

impl Engine {
    fn start(registry: &Registry, membership: &Membership) -> Self {
        let (registry, membership) = (registry.clone(), membership.clone());
        let (sender, status) = watch::channel(Status::default());
        let shutdown = CancellationToken::new();
        let token = shutdown.clone();
        let task = tokio::spawn(async move {
            engine::run(&registry, &membership, &Options::default(), &sender, &token).await
        });
        Engine {
            status,
            shutdown,
            task,
        }
    }

    async fn until(&mut self, what: &str, so: impl FnMut(&Status) -> bool) -> Status {
        soon(what, self.status.wait_for(so))
            .await
            .expect("the engine runs")
            .clone()
    }

    async fn stop(self) -> Result<(), MemberError> {
        self.shutdown.cancel();
        self.ended().await
    }

    async fn ended(self) -> Result<(), MemberError> {
        soon("the engine to end", self.task).await.unwrap()
    }
}

async fn until(mirror: &mut Mirror, what: &str, so: impl Fn(&Cluster) -> bool) {
    soon(what, async {
        while !so(mirror.cluster()) {
            mirror.changed().await;
        }
    })
    .await;
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(30), future).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// The first event of that kind.
async fn until_told(registry: &Registry, what: What) -> Entry {
    let mut told = registry.events_after(0);
    loop {
        let records = told.next().await;
        let mut entries = records.into_iter().flat_map(|record| record.entries);
        if let Some(found) = entries.find(|entry| entry.what == what) {
            return found;
        }
    }
}

/// The units that are told to wait, in the order in which that was told.
async fn waits_told(registry: &Registry) -> Vec<UnitName> {
    let records = registry.events().await.unwrap().older().await.unwrap();
    let entries = records.into_iter().flatten();
    let entries = entries.flat_map(|record| record.entries);
    let waits = entries.filter(|entry| entry.what == What::Waits);
    waits.filter_map(|entry| entry.unit).collect()
}

async fn join(registry: &Registry, name: &str) -> Membership {
    registry.join(&machine(name), TTL).await.unwrap()
}

async fn launch(registry: &Registry, names: &[&str]) {
    for name in names {
        let text = format!("[Service]\nExecStart=/bin/echo {name}\n");
        put(registry, name, &UnitFile::parse(text.as_bytes()).unwrap()).await;
    }
}

async fn put(registry: &Registry, name: &str, file: &UnitFile) {
    let write = UnitWrite {
        name: unit(name),
        hash: file.hash(),
        file: Some(file),
        desired: DesiredState::Launched,
        expected: Expected::Absent,
    };
    registry.put_units(&[write]).await.unwrap();
}

fn machine(name: &str) -> Machine {
    Machine {
        id: id(name),
        address: String::new(),
        metadata: BTreeMap::new(),
        version: "1.0.0".to_owned(),
        boot_id: "boot-1".to_owned(),
        member_since: 0,
        leaving: false,
        capacity: fleet::Resources::default(),
    }
}

fn state(sub: &str, hash: unitfile::Hash) -> UnitState {
    UnitState {
        load: "loaded".to_owned(),
        active: "active".to_owned(),
        sub: sub.to_owned(),
        hash,
        current: DesiredState::Launched,
        starting: false,
        problem: String::new(),
        failures: 0,
        unwritable: false,
    }
}

fn id(id: &str) -> MachineId {
    MachineId::parse(id).unwrap()
}

fn unit(name: &str) -> UnitName {
    UnitName::parse(name).unwrap()
}
