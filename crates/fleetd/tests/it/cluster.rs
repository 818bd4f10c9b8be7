//! Whole daemons, several in one process: their systemds and the registry are in memory, time is tokio's, so
//! that leases end in a moment.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use agent::Directories;
use agent::systemd::Memory;
use fleet::{Cluster, DesiredState, Machine, MachineId};
use fleetd::config::Config;
use fleetd::daemon::{Daemon, Farewell, Parts};
use fleetd::sockets;
use registry::{Mirror, Registry};
use store::Store;
use tempfile::TempDir;
use tokio::time::Instant;
use unitfile::UnitName;

use crate::api::JSON;
use crate::http::{self, Answer};

pub(crate) const TTL: Duration = Duration::from_secs(30);

/// A cluster and an eye on its records.
pub(crate) struct World {
    pub(crate) store: Store,
    mirror: Mirror,
}

/// One machine, with or without a fleetd that runs.
pub(crate) struct Host {
    pub(crate) id: MachineId,
    boot: &'static str,
    dir: TempDir,
    pub(crate) systemd: Memory,
    pub(crate) daemon: Option<Daemon<Memory>>,
}

impl World {
    pub(crate) async fn new() -> World {
        let store = Store::in_memory().await.unwrap();
        let mirror = registry(&store).await.mirror().await;
        World { store, mirror }
    }

    /// A machine that has joined.
    pub(crate) async fn host(&mut self, id: &str) -> Host {
        let dir = tempfile::tempdir().unwrap();
        let systemd = Memory::boot(&dir.path().join("units"));
        let id = MachineId::parse(id).unwrap();
        let mut host = Host {
            id: id.clone(),
            boot: "boot",
            dir,
            systemd,
            daemon: None,
        };
        host.start(&self.store).await;
        self.until("the machine has joined", |cluster| {
            cluster.machines.contains_key(&id)
        })
        .await;
        host
    }

    /// Waits until the records say so; gives how long that took.
    async fn until(&mut self, what: &str, holds: impl Fn(&Cluster) -> bool) -> Duration {
        let begun = Instant::now();
        while !holds(self.mirror.cluster()) {
            let changed = tokio::time::timeout(TTL * 4, self.mirror.changed()).await;
            assert!(
                changed.is_ok(),
                "waited in vain until {what}: {:#?}",
                self.mirror.cluster()
            );
        }
        begun.elapsed()
    }

    pub(crate) async fn until_active(&mut self, unit: &str, on: &MachineId) -> Duration {
        let unit = name(unit);
        let what = format!("{unit} is active on {on}");
        self.until(&what, |cluster| is_active(cluster, &unit, on))
            .await
    }

    pub(crate) fn target(&self, unit: &str) -> MachineId {
        self.mirror.cluster().targets[unit].clone()
    }
}

impl Host {
    pub(crate) async fn start(&mut self, store: &Store) {
        let root = self.dir.path();
        let parts = Parts {
            config: Config {
                agent_ttl: TTL,
                ..Config::default()
            },
            machine: self.machine(&[]),
            registry: registry(store).await,
            systemd: self.systemd.clone(),
            directories: Directories {
                units: root.join("units"),
                records: root.join("records"),
                marks: root.join("marks"),
                runtime_units: root.join("runtime"),
            },
            listeners: sockets::listeners(&self.socket()).await.unwrap(),
        };
        self.daemon = Some(Daemon::start(parts).await.unwrap());
    }

    pub(crate) async fn stop(&mut self, farewell: Farewell) {
        self.daemon.take().unwrap().stop(farewell).await;
    }

    fn machine(&self, metadata: &[(&str, &str)]) -> Machine {
        Machine {
            id: self.id.clone(),
            address: "10.0.0.1".into(),
            metadata: metadata
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect(),
            version: "1.0.0".into(),
            boot_id: self.boot.into(),
            member_since: 0,
            leaving: false,
            capacity: fleet::Resources::default(),
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("fleet.sock")
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        http::send(&self.socket(), &format!("GET {path}"), &[], b"").await
    }

    pub(crate) async fn launch(&self, unit: &str, fleet_section: &str) {
        self.launch_service(unit, "", fleet_section).await;
    }

    pub(crate) async fn launch_service(
        &self,
        unit: &str,
        service_section: &str,
        fleet_section: &str,
    ) {
        let option = |section: &str, line: &str| {
            let (name, value) = line.split_once('=').unwrap();
            serde_json::json!({ "section": section, "name": name, "value": value })
        };
        let mut options = vec![option("Service", "ExecStart=/bin/sleep 1d")];
        options.extend(service_section.lines().map(|line| option("Service", line)));
        options.extend(fleet_section.lines().map(|line| option("X-Fleet", line)));
        let body = serde_json::json!({ "desiredState": "launched", "options": options });
        let line = format!("PUT /fleet/v1/units/{unit}");
        let answer = http::send(&self.socket(), &line, &[JSON], body.to_string().as_bytes()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }

    pub(crate) fn runs(&self, unit: &str) -> bool {
        self.systemd.running_text(&name(unit)).is_some()
    }
}

async fn registry(store: &Store) -> Registry {
    Registry::from_channel(
        registry::Channel::Tonic(store.channel()),
        "/fleet/",
        Duration::from_secs(5),
    )
    .await
    .unwrap()
}

fn name(unit: &str) -> UnitName {
    UnitName::parse(unit).unwrap()
}

fn is_active(cluster: &Cluster, unit: &UnitName, on: &MachineId) -> bool {
    let state = cluster.states.get(unit).and_then(|states| states.get(on));
    state.is_some_and(|state| state.active == "active" && state.current == DesiredState::Launched)
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_is_put_through_any_api_runs_on_one_machine() {
    let mut world = World::new().await;
    let (a, b) = (world.host("aaa").await, world.host("bbb").await);
    b.launch("web.service", "").await;
    world.until_active("web.service", &a.id).await;
    assert!(a.runs("web.service") && !b.runs("web.service"));
    let unit = b.get("/fleet/v1/units/web.service").await.body;
    assert!(
        unit.contains(r#""currentState":"launched","desiredState":"launched","machineID":"aaa""#),
        "{unit}"
    );
}

#[tokio::test(start_paused = true)]
async fn units_of_a_machine_that_dies_run_elsewhere_when_its_lease_ends() {
    let mut world = World::new().await;
    let (mut a, mut b) = (world.host("aaa").await, world.host("bbb").await);
    a.launch("web.service", "").await;
    world.until_active("web.service", &a.id).await;
    let on = if world.target("web.service") == a.id {
        (&mut a, &b.id)
    } else {
        (&mut b, &a.id)
    };
    // its fleetd is gone and nobody renews the lease, as after a power failure
    on.0.stop(Farewell::Stay).await;
    let took = world.until_active("web.service", on.1).await;
    assert!(took <= TTL + Duration::from_secs(2), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_leaves_hands_its_units_over_at_once() {
    let mut world = World::new().await;
    let (mut a, b) = (world.host("aaa").await, world.host("bbb").await);
    a.launch("web.service", "").await;
    world.until_active("web.service", &a.id).await;
    let leaving = Instant::now();
    a.stop(Farewell::Leave).await;
    assert!(
        !a.runs("web.service"),
        "it is down before it may run elsewhere"
    );
    world.until_active("web.service", &b.id).await;
    let took = leaving.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(!world.mirror.cluster().machines.contains_key(&a.id));
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_fleetd_is_no_event_for_the_cluster() {
    let mut world = World::new().await;
    let mut a = world.host("aaa").await;
    let _b = world.host("bbb").await;
    a.launch("web.service", "").await;
    world.until_active("web.service", &a.id).await;
    let before = world.mirror.cluster().machines[&a.id].clone();

    a.systemd.forget_orders();
    a.stop(Farewell::Stay).await;
    assert!(a.runs("web.service"));
    a.start(&world.store).await;
    a.daemon.as_ref().unwrap().joined().await;
    a.launch("next.service", "MachineID=aaa").await;
    world.until_active("next.service", &a.id).await;
    assert_eq!(world.mirror.cluster().machines[&a.id], before);
    let touched = a
        .systemd
        .orders()
        .into_iter()
        .filter(|order| order.contains("web.service"));
    assert_eq!(touched.collect::<Vec<_>>(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_second_machine_with_the_same_id_is_kept_out_and_says_so() {
    let mut world = World::new().await;
    let a = world.host("aaa").await;
    a.launch("web.service", "").await;
    world.until_active("web.service", &a.id).await;
    let dir = tempfile::tempdir().unwrap();
    let systemd = Memory::boot(&dir.path().join("units"));
    let mut clone = Host {
        id: a.id.clone(),
        boot: "another",
        dir,
        systemd,
        daemon: None,
    };
    clone.start(&world.store).await;
    tokio::time::sleep(TTL * 3).await;
    assert_eq!(clone.get("/fleet/v1/units").await.status, 503);
    let ready = clone.get("/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("not a member"), "{ready:?}");
    assert_eq!(clone.get("/livez").await.status, 200);
    assert_eq!(a.get("/fleet/v1/units").await.status, 200);
    assert_eq!(a.get("/readyz").await.body, "ok\n");
    assert!(
        a.runs("web.service") && is_active(world.mirror.cluster(), &name("web.service"), &a.id)
    );
    clone.stop(Farewell::Stay).await;
}

#[tokio::test(start_paused = true)]
async fn metadata_that_is_read_again_moves_what_it_no_longer_fits() {
    let mut world = World::new().await;
    let (a, b) = (world.host("aaa").await, world.host("bbb").await);
    let reload = |host: &Host, metadata| {
        let daemon = host.daemon.as_ref().unwrap();
        daemon.reload(host.machine(metadata), TTL);
    };
    reload(&a, &[("disk", "ssd")]);
    a.launch("db.service", "MachineMetadata=disk=ssd").await;
    world.until_active("db.service", &a.id).await;
    let since = world.mirror.cluster().machines[&a.id].member_since;
    reload(&b, &[("disk", "ssd")]);
    reload(&a, &[("disk", "hdd")]);
    world.until_active("db.service", &b.id).await;
    assert_eq!(world.mirror.cluster().machines[&a.id].member_since, since);
}

/// The value of a line such as `fleet_agent_orders_total{type="start"}`.
fn metric(page: &str, sample: &str) -> f64 {
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {sample} in\n{page}"))
        .parse()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_a_daemon_has_done_is_counted() {
    let mut world = World::new().await;
    let a = world.host("aaa").await;
    a.launch("web.service", "").await;
    world.until_active("web.service", &a.id).await;
    a.launch("picky.service", "MachineMetadata=disk=ssd").await;
    a.get("/fleet/v1/units/nosuch.service").await;
    a.get("/nowhere").await;
    let daemon = a.daemon.as_ref().unwrap();
    while !daemon.picture().contains(r#""Waiting":["picky.service"]"#) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    let answer = a.get("/metrics").await;
    let kind = (
        "content-type".to_owned(),
        "text/plain; version=0.0.4".to_owned(),
    );
    assert!(answer.headers.contains(&kind), "{answer:?}");
    let page = answer.body;
    for (sample, value) in [
        ("fleet_member", 1.0),
        ("fleet_engine_elections_total", 1.0),
        ("fleet_engine_waiting_units", 1.0),
        (
            r#"fleet_engine_reconcile_failure_count_total{type="schedule"}"#,
            1.0,
        ),
        (
            r#"fleet_engine_reconcile_failure_count_total{type="machine_away"}"#,
            0.0,
        ),
        (
            r#"fleet_engine_task_count_total{type="attemptscheduleunit"}"#,
            1.0,
        ),
        (
            r#"fleet_engine_task_count_total{type="unscheduleunit"}"#,
            0.0,
        ),
        (r#"fleet_agent_orders_total{type="start"}"#, 1.0),
        (r#"fleet_agent_units{active="active"}"#, 1.0),
        (
            r#"fleet_api_requests_total{method="GET",route="/fleet/v1/units/{name}",status="404"}"#,
            1.0,
        ),
        (
            r#"fleet_api_requests_total{method="GET",route="other",status="404"}"#,
            1.0,
        ),
        (
            r#"fleet_registry_operation_count_total{operation="granting a lease"}"#,
            1.0,
        ),
    ] {
        assert_eq!(metric(&page, sample), value, "{sample} in\n{page}");
    }
    assert!(metric(&page, "fleet_engine_leader_start_time") > 1e9);
    assert!(metric(&page, "fleet_engine_reconcile_count_total") >= 2.0);
    assert_documented(&page);
}

/// Every family on the page is in the table of `docs/metrics.md`, and the table has no other but those that wait for
/// something to go wrong.
fn assert_documented(page: &str) {
    let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let served: BTreeSet<String> = families
        .map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            format!("| `{name}` | {kind} |")
        })
        .collect();
    let text = include_str!("../../../../docs/metrics.md");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let documented: BTreeSet<String> = rows
        .map(|row| row.splitn(4, '|').take(3).collect::<Vec<_>>().join("|") + "|")
        .collect();
    let missing: Vec<_> = documented.symmetric_difference(&served).collect();
    let failures = "| `fleet_registry_operation_failed_count_total` | counter |";
    assert_eq!(missing, [failures]);
}

#[tokio::test(start_paused = true)]
async fn a_daemon_says_what_it_knows_in_one_line() {
    let mut world = World::new().await;
    let a = world.host("aaa").await;
    a.launch("web.service", "").await;
    world.until_active("web.service", &a.id).await;
    let line = a.daemon.as_ref().unwrap().picture();
    let picture: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line.lines().count(), 1);
    assert_eq!(picture["Member"]["ID"], "aaa");
    assert_eq!(
        picture["Agent"]["States"]["web.service"]["ActiveState"],
        "active"
    );
    assert!(picture["Engine"]["LeadsForSeconds"].is_u64(), "{line}");
}
