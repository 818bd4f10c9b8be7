//! Figures of the agent on a real systemd: what starts cost, from the schedule to the published state.
//!
//! `cargo test -p agent --test measure -- --ignored --nocapture`, as root on a machine whose PID 1 is systemd.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use agent::systemd::{Bus, Dbus, Systemd};
use agent::{Agent, Directories};
use fleet::schedule::{Change, Reason};
use fleet::{Assignment, DesiredState, Machine, MachineId};
use registry::{Expected, Leadership, Mirror, Registry, UnitWrite};
use tokio::sync::watch;
use unitfile::{UnitFile, UnitName};

const MANY: usize = 300;
const TEXT: &str = "[Service]\nExecStart=/bin/sleep 100000\n";
const INSTALL: &str =
    "[Service]\nExecStart=/bin/sleep 100000\n\n[Install]\nWantedBy=multi-user.target\n";

#[tokio::test]
#[ignore = "needs root, and systemd as PID 1"]
async fn starts_from_the_schedule_to_the_published_state() {
    let mut on = Machinery::new().await;
    on.measure("1 unit", 1, TEXT).await;
    on.measure("1 unit, again", 1, TEXT).await;
    on.measure("100 units", 100, TEXT).await;
    on.measure("100 units with [Install]", 100, INSTALL).await;
    on.measure("300 units", MANY, TEXT).await;
    by_hand(MANY).await;
    signals_alone(100).await;
}

/// The yardstick: one reload, then all started at once over the same connection.
async fn by_hand(many: usize) {
    let systemd = Dbus::connect(Bus::System).await.unwrap();
    let files: Vec<UnitName> = (0..many).map(|n| name("hand", n)).collect();
    let before = Instant::now();
    for unit in &files {
        std::fs::write(path(unit), TEXT).unwrap();
    }
    systemd.reload().await.unwrap();
    let start = async |unit| systemd.start(unit).await.unwrap().result().await;
    futures_util::future::join_all(files.iter().map(start)).await;
    println!("by hand: {many} units, one reload: {:?}", before.elapsed());
    clear(&systemd, &files).await;
}

/// What it costs to listen while somebody else starts units.
async fn signals_alone(many: usize) {
    let (listener, systemd) = (
        Dbus::connect(Bus::System).await.unwrap(),
        Dbus::connect(Bus::System).await.unwrap(),
    );
    let files: Vec<UnitName> = (0..many).map(|n| name("signal", n)).collect();
    for unit in &files {
        std::fs::write(path(unit), TEXT).unwrap();
    }
    drop(systemd);
    let (before, mut seen) = (cpu("self"), std::collections::BTreeSet::new());
    let words = files.iter().map(UnitName::as_str);
    let started = tokio::process::Command::new("systemctl")
        .arg("start")
        .args(words)
        .status();
    let started = tokio::spawn(started);
    while seen.len() < many {
        seen.extend(
            listener
                .changes()
                .next()
                .await
                .names
                .into_iter()
                .filter(|n| files.contains(n)),
        );
    }
    started.await.unwrap().unwrap();
    println!(
        "signals of {many} starts alone: {:?} of CPU",
        cpu("self") - before
    );
    clear(&listener, &files).await;
}

async fn clear(systemd: &Dbus, units: &[UnitName]) {
    let stop = async |unit| systemd.stop(unit).await.unwrap().result().await;
    futures_util::future::join_all(units.iter().map(stop)).await;
    units
        .iter()
        .for_each(|unit| std::fs::remove_file(path(unit)).unwrap());
}

/// An agent on PID 1, a store in memory, and a leader.
struct Machinery {
    registry: Registry,
    leadership: Leadership,
    mirror: Mirror,
    agent: std::sync::Arc<Agent<Dbus>>,
    _memberships: watch::Sender<registry::Membership>,
    _store: store::Store,
    _folder: tempfile::TempDir,
}

impl Machinery {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = store::Store::in_memory().await.unwrap();
        let registry = Registry::from_channel(
            registry::Channel::Tonic(store.channel()),
            "/fleet/",
            Duration::from_secs(5),
        );
        let registry = registry.await.unwrap();
        let membership = registry
            .join(&machine(), Duration::from_secs(600))
            .await
            .unwrap();
        let mut leadership = membership.campaign().await.unwrap().unwrap();
        let admit = Change::Admit {
            machine: id(),
            since: membership.since,
        };
        leadership.commit(&[admit]).await.unwrap();
        let directories = Directories {
            records: folder.path().join("records"),
            marks: folder.path().join("marks"),
            runtime_units: folder.path().join("runtime"),
            ..Directories::default()
        };
        let systemd = Dbus::connect(Bus::System).await.unwrap();
        let agent = Agent::new(registry.clone(), systemd, directories)
            .await
            .unwrap();
        let memberships = watch::Sender::new(membership);
        let (working, given) = (agent.clone(), memberships.subscribe());
        tokio::spawn(async move { working.run(given).await.unwrap() });
        Machinery {
            mirror: registry.mirror().await,
            registry,
            leadership,
            agent,
            _memberships: memberships,
            _store: store,
            _folder: folder,
        }
    }

    async fn measure(&mut self, what: &str, many: usize, text: &str) {
        let units: Vec<UnitName> = (0..many).map(|n| name("agent", n)).collect();
        let (before, mine, pid1) = (Instant::now(), cpu("self"), cpu("1"));
        let reloads = self.agent.counters().reloads.load(Relaxed);
        self.assign(&units, text).await;
        self.until(|states| states.len() == many && states.values().all(|up| *up))
            .await;
        let (up, mine, pid1) = (before.elapsed(), cpu("self") - mine, cpu("1") - pid1);
        let reloads = self.agent.counters().reloads.load(Relaxed) - reloads;
        assert_eq!(reloads, 0, "new units need no reload");
        println!("{what}: up after {up:?}, CPU {mine:?} here, {pid1:?} in PID 1");
        let before = Instant::now();
        let unassign = |unit: &UnitName| Change::Unassign {
            unit: unit.clone(),
            machine: id(),
            reason: Reason::NotWanted,
            target: true,
        };
        let changes: Vec<Change> = units.iter().map(unassign).collect();
        self.leadership.commit(&changes).await.unwrap();
        self.until(BTreeMap::is_empty).await;
        let reloads = self.agent.counters().reloads.load(Relaxed) - reloads;
        println!(
            "{what}: gone after {:?}, {reloads} reloads",
            before.elapsed()
        );
        assert!(units.iter().all(|unit| !path(unit).exists()));
    }

    async fn assign(&mut self, units: &[UnitName], text: &str) {
        let file = UnitFile::parse(text.as_bytes()).unwrap();
        let (hash, desired) = (file.hash(), DesiredState::Launched);
        let write = |name: &UnitName| UnitWrite {
            name: name.clone(),
            hash,
            file: Some(&file),
            desired,
            expected: Expected::Any,
        };
        let writes: Vec<UnitWrite> = units.iter().map(write).collect();
        self.registry.put_units(&writes).await.unwrap();
        let assign = |unit: &UnitName| Change::Assign {
            unit: unit.clone(),
            machine: id(),
            assignment: Assignment { hash, desired },
            global: false,
        };
        let changes: Vec<Change> = units.iter().map(assign).collect();
        self.leadership.commit(&changes).await.unwrap();
    }

    /// Waits until the published states, told as whether each unit is active, are as wanted.
    async fn until(&mut self, wanted: impl Fn(&BTreeMap<UnitName, bool>) -> bool) {
        let waiting = async {
            loop {
                let states = &self.mirror.cluster().states;
                let up = |(name, rows): (&UnitName, &BTreeMap<MachineId, fleet::UnitState>)| {
                    (
                        name.clone(),
                        rows.values().all(|state| state.active == "active"),
                    )
                };
                if wanted(&states.iter().map(up).collect()) {
                    return;
                }
                self.mirror.changed().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting)
            .await
            .expect("states");
    }
}

/// CPU time that a process has used, from /proc/PID/stat; a tick is 10 ms.
fn cpu(process: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let after_name = stat.rsplit_once(") ").unwrap().1;
    let fields: Vec<&str> = after_name.split(' ').collect();
    let ticks: u64 = [fields[11], fields[12]]
        .iter()
        .map(|t| t.parse::<u64>().unwrap())
        .sum();
    Duration::from_millis(ticks * 10)
}

fn name(kind: &str, n: usize) -> UnitName {
    UnitName::parse(&format!("flotilla-measure-{kind}-{n}.service")).unwrap()
}

fn path(unit: &UnitName) -> std::path::PathBuf {
    Path::new("/etc/systemd/system").join(unit.as_str())
}

fn id() -> MachineId {
    MachineId::parse("m1").unwrap()
}

fn machine() -> Machine {
    Machine {
        id: id(),
        address: String::new(),
        metadata: BTreeMap::new(),
        version: "1.0.0".to_owned(),
        boot_id: "boot-1".to_owned(),
        member_since: 0,
        leaving: false,
        capacity: fleet::Resources::default(),
    }
}
