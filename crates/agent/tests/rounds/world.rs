//! One machine with its agent, the store that it reads, and the leader that it obeys.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agent::systemd::Memory;
use agent::{Agent, Directories};
use fleet::schedule::{Change, Reason};
use fleet::{Assignment, DesiredState, Machine, MachineId, UnitState};
use registry::{Claiming, Expected, Leadership, Membership, Mirror, Registry, UnitWrite};
use store::Store;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use unitfile::{UnitFile, UnitName};

pub(crate) const SLEEPS: &str = "[Service]\nExecStart=/bin/sleep 100000\n";
pub(crate) const SLOW_TO_STOP: &str =
    "[Service]\nExecStart=/bin/sleep 100000\nExecStop=/bin/sleep 60\n";
pub(crate) const NEVER_UP: &str =
    "[Service]\nType=oneshot\nExecStart=/bin/sleep infinity\nTimeoutStartSec=infinity\n";
pub(crate) const REFUSED: &str = "[Service]\nType=simple\n";

const PATIENCE: Duration = Duration::from_secs(300);
const TTL: Duration = Duration::from_secs(3600);

pub(crate) struct World {
    pub(crate) systemd: Memory,
    pub(crate) agent: Arc<Agent<Memory>>,
    pub(crate) memberships: watch::Sender<Membership>,
    pub(crate) directories: Directories,
    registry: Registry,
    leadership: Leadership,
    mirror: Mirror,
    work: Option<JoinHandle<()>>,
    store: Store,
    _folder: tempfile::TempDir,
}

impl World {
    /// A machine that has just joined an empty cluster, and whose agent has not begun.
    pub(crate) async fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_memory().await.unwrap();
        let registry = Registry::from_channel(
            registry::Channel::Tonic(store.channel()),
            "/fleet/",
            Duration::from_secs(5),
        );
        let registry = registry.await.unwrap();
        let membership = registry.join(&machine(), TTL).await.unwrap();
        let at = |name: &str| folder.path().join(name);
        let directories = Directories {
            units: at("units"),
            records: at("records"),
            marks: at("marks"),
            runtime_units: at("runtime"),
        };
        let systemd = Memory::boot(&directories.units);
        World {
            agent: agent(&registry, &systemd, &directories).await,
            leadership: membership.campaign().await.unwrap().unwrap(),
            mirror: registry.mirror().await,
            memberships: watch::Sender::new(membership),
            systemd,
            directories,
            registry,
            work: None,
            store,
            _folder: folder,
        }
    }

    /// The same, with the agent at work and the machine's schedule decided.
    pub(crate) async fn at_work() -> World {
        let mut world = World::new().await;
        world.admit().await;
        world.begin();
        world
    }

    pub(crate) fn begin(&mut self) {
        let (agent, memberships) = (self.agent.clone(), self.memberships.subscribe());
        self.work = Some(tokio::spawn(async move {
            agent.run(memberships).await.unwrap()
        }));
    }

    /// Kills the agent and makes a new one of what the old one left on disk.
    pub(crate) async fn restart_agent(&mut self) {
        self.end_agent().await;
        self.agent = agent(&self.registry, &self.systemd, &self.directories).await;
        self.systemd.forget_orders();
        self.begin();
    }

    pub(crate) async fn end_agent(&mut self) {
        if let Some(work) = self.work.take() {
            work.abort();
            // it was cut short
            let _ = work.await;
        }
    }

    /// The machine reboots: processes, links and marks are gone, files are there.
    pub(crate) async fn reboot(&mut self) {
        self.end_agent().await;
        std::fs::remove_dir_all(&self.directories.marks).unwrap();
        self.systemd = Memory::boot(&self.directories.units);
    }

    /// The leader decides the schedule for the machine's present membership.
    pub(crate) async fn admit(&mut self) {
        let since = self.memberships.borrow().since;
        self.commit(vec![Change::Admit {
            machine: id(),
            since,
        }])
        .await;
    }

    pub(crate) async fn launch(&mut self, units: &[(&str, &str)]) {
        self.assign(units, DesiredState::Launched).await;
    }

    pub(crate) async fn load(&mut self, units: &[(&str, &str)]) {
        self.assign(units, DesiredState::Loaded).await;
    }

    pub(crate) async fn unassign(&mut self, units: &[&str]) {
        let unassign = |name: &&str| Change::Unassign {
            unit: unit(name),
            machine: id(),
            reason: Reason::NotWanted,
            target: true,
        };
        self.commit(units.iter().map(unassign).collect()).await;
    }

    /// The membership's lease ends, and the machine joins anew.
    pub(crate) async fn rejoin(&mut self) {
        let membership = self.rejoin_unheard().await;
        self.memberships.send_replace(membership);
    }

    /// The same, and the agent is not told.
    pub(crate) async fn rejoin_unheard(&mut self) -> Membership {
        let lost = self.memberships.borrow().clone();
        lost.leave().await.unwrap();
        let membership = self.registry.join(&machine(), TTL).await.unwrap();
        self.leadership = membership.campaign().await.unwrap().unwrap();
        membership
    }

    /// The membership's lease lives, and the agent is not told.
    pub(crate) async fn renewed_unheard(&self) -> Membership {
        let membership = self.registry.join(&machine(), TTL).await.unwrap();
        let renewing = membership.clone();
        tokio::spawn(async move { renewing.keep_alive().await });
        membership
    }

    /// Waits until the lease should have ended, as far as the agent knows.
    pub(crate) async fn until_overdue(&self) {
        tokio::time::sleep(TTL + Duration::from_secs(1)).await;
        assert!(self.memberships.borrow().is_overdue());
    }

    /// Another machine has a unit on its schedule and has claimed it.
    pub(crate) async fn claimed_elsewhere(&mut self, name: &str, text: &str) -> Membership {
        let (file, other) = (file(text), MachineId::parse("m2").unwrap());
        let machine = Machine {
            id: other.clone(),
            ..machine()
        };
        let member = self.registry.join(&machine, TTL).await.unwrap();
        let write = write(name, &file, DesiredState::Launched);
        let assignment = Assignment {
            hash: write.hash,
            desired: write.desired,
        };
        let assign = Change::Assign {
            unit: unit(name),
            machine: other,
            assignment: assignment.clone(),
            global: false,
        };
        self.registry.put_units(&[write]).await.unwrap();
        self.commit(vec![assign]).await;
        let claim = member
            .claim(&unit(name), &assignment, TTL, false)
            .await
            .unwrap();
        assert!(matches!(claim, Claiming::Held(_)));
        member
    }

    /// A unit of this machine is moved to another one.
    pub(crate) async fn moved_elsewhere(&mut self, name: &str) -> Membership {
        let member = self.other_machine().await;
        let assignment = self.mirror.cluster().schedule[&id()][&unit(name)].clone();
        let change = Change::Move {
            unit: unit(name),
            from: id(),
            to: member.machine.id.clone(),
            assignment,
            reason: Reason::NotWanted,
        };
        self.commit(vec![change]).await;
        member
    }

    /// Another machine is a member.
    pub(crate) async fn other_machine(&self) -> Membership {
        let machine = Machine {
            id: MachineId::parse("m2").unwrap(),
            ..machine()
        };
        self.registry.join(&machine, TTL).await.unwrap()
    }

    /// Another machine has started a unit, and publishes how it fares.
    pub(crate) async fn says(&mut self, other: &Membership, name: &str, active: &str) {
        let state = UnitState {
            active: active.to_owned(),
            starting: active == "activating",
            ..self.mirror.cluster().states[&unit(name)][&id()].clone()
        };
        let states = [(unit(name), Some(state))];
        other.publish(&states).await.unwrap();
    }

    /// Its owner wants so much of a unit, and nobody decides anything about it.
    pub(crate) async fn want(&self, name: &str, text: &str, desired: DesiredState) {
        let file = file(text);
        let write = write(name, &file, desired);
        self.registry.put_units(&[write]).await.unwrap();
    }

    /// The record of this machine's claim on a unit goes, without this machine's doing.
    pub(crate) async fn lose_claim(&mut self, name: &str) {
        let membership = self.memberships.borrow().clone();
        membership.release(&unit(name)).await.unwrap();
    }

    /// Somebody writes over the record of a unit's claim; gives the revision of that.
    pub(crate) async fn garble_claim(&self, name: &str) -> i64 {
        let written = self.client().await.put(claim_key(name), "!", None).await;
        written.unwrap().header().unwrap().revision()
    }

    /// Somebody deletes the record of a unit's claim.
    pub(crate) async fn delete_claim(&self, name: &str) {
        let mut client = self.client().await;
        client.delete(claim_key(name), None).await.unwrap();
    }

    /// Waits until a unit has been claimed later than at that revision.
    pub(crate) async fn until_claimed_after(&mut self, name: &str, revision: i64) {
        while self.claim(name).is_none_or(|(_, token)| token <= revision) {
            self.mirror.changed().await;
        }
    }

    /// Somebody writes over the record of a unit's state; on this machine's lease, or on none.
    pub(crate) async fn write_state(&self, name: &str, value: &str, on_lease: bool) {
        let lease = self.memberships.borrow().lease * i64::from(on_lease);
        let options = etcd_client::PutOptions::new().with_lease(lease);
        let mut client = self.client().await;
        let put = client.put(state_key(name), value, Some(options));
        put.await.unwrap();
    }

    /// Somebody deletes the record of a unit's state.
    pub(crate) async fn delete_state(&self, name: &str) {
        let mut client = self.client().await;
        client.delete(state_key(name), None).await.unwrap();
    }

    /// The record of a unit's state, to the letter, and the lease that it is on.
    pub(crate) async fn state_record(&self, name: &str) -> Option<(String, i64)> {
        let found = self.client().await.get(state_key(name), None).await;
        let found = found.unwrap();
        let record = found.kvs().first()?;
        Some((record.value_str().unwrap().to_owned(), record.lease()))
    }

    /// Waits until the record of a unit's state is this one.
    pub(crate) async fn until_state_record(&self, name: &str, wanted: Option<(String, i64)>) {
        let waiting = async {
            while self.state_record(name).await != wanted {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let written = tokio::time::timeout(PATIENCE, waiting).await;
        written.unwrap_or_else(|_| panic!("the state of {name} is not written anew"));
    }

    /// How far the store has come: this grows with everything that is written.
    pub(crate) async fn revision(&self) -> i64 {
        let answer = self.client().await.get("x", None).await.unwrap();
        answer.header().unwrap().revision()
    }

    async fn client(&self) -> etcd_client::Client {
        let channel = registry::Channel::Tonic(self.store.channel());
        etcd_client::Client::from_channel(channel, None)
            .await
            .unwrap()
    }

    /// Who may be running a fenced unit, and its token.
    pub(crate) fn claim(&self, name: &str) -> Option<(MachineId, i64)> {
        let claim = self.mirror.cluster().claims.get(&unit(name))?;
        Some((claim.machine.clone(), claim.revision))
    }

    /// Waits until nobody has claimed a unit.
    pub(crate) async fn until_unclaimed(&mut self, name: &str) {
        while self.claim(name).is_some() {
            self.mirror.changed().await;
        }
    }

    /// Waits until what is published of a unit is as wanted.
    pub(crate) async fn until(
        &mut self,
        name: &str,
        wanted: impl Fn(&UnitState) -> bool,
    ) -> UnitState {
        let (name, id) = (unit(name), id());
        let waiting = async {
            loop {
                let states = self.mirror.cluster().states.get(&name);
                if let Some(state) = states
                    .and_then(|states| states.get(&id))
                    .filter(|s| wanted(s))
                {
                    return state.clone();
                }
                self.mirror.changed().await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, waiting).await;
        found.unwrap_or_else(|_| panic!("{name} is {:#?}", self.mirror.cluster().states.get(&name)))
    }

    pub(crate) async fn until_active(&mut self, name: &str, active: &str) -> UnitState {
        self.until(name, |state| state.active == active).await
    }

    pub(crate) async fn until_running(&mut self, name: &str) -> UnitState {
        let up =
            |state: &UnitState| state.active == "active" && state.current == DesiredState::Launched;
        self.until(name, up).await
    }

    /// Waits until a unit runs, by systemd's own word.
    pub(crate) async fn until_up(&self, name: &str) {
        let waiting = async {
            while !self.systemd.processes().contains_key(&unit(name)) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let up = tokio::time::timeout(PATIENCE, waiting).await;
        up.unwrap_or_else(|_| panic!("{name} does not run"));
    }

    /// Waits until systemd was asked to start a unit, and that is published.
    pub(crate) async fn until_launched(&mut self, name: &str) -> UnitState {
        self.until(name, |state| state.current == DesiredState::Launched)
            .await
    }

    /// The same, and until the start is over.
    pub(crate) async fn until_ended(&mut self, name: &str) -> UnitState {
        let ended = |state: &UnitState| state.current == DesiredState::Launched && !state.starting;
        self.until(name, ended).await
    }

    /// Waits until nothing is published of a unit.
    pub(crate) async fn until_absent(&mut self, name: &str) {
        let name = unit(name);
        let waiting = async {
            while self.mirror.cluster().states.contains_key(&name) {
                self.mirror.changed().await;
            }
        };
        let gone = tokio::time::timeout(PATIENCE, waiting).await;
        gone.unwrap_or_else(|_| panic!("{name} is {:#?}", self.mirror.cluster().states.get(&name)));
    }

    /// Waits until this machine publishes nothing of a unit any more.
    pub(crate) async fn until_withdrawn(&mut self, name: &str) {
        let waiting = async {
            while self.states().contains_key(&unit(name)) {
                self.mirror.changed().await;
            }
        };
        let gone = tokio::time::timeout(PATIENCE, waiting).await;
        gone.unwrap_or_else(|_| panic!("{name} is {:#?}", self.mirror.cluster().states.get(name)));
    }

    pub(crate) fn states(&self) -> BTreeMap<UnitName, UnitState> {
        let states = &self.mirror.cluster().states;
        let mine = |(name, rows): (&UnitName, &BTreeMap<_, UnitState>)| {
            Some((name.clone(), rows.get(&id())?.clone()))
        };
        states.iter().filter_map(mine).collect()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directories.units.join(name)
    }

    /// How often an order was given, by its beginning.
    pub(crate) fn count(&self, order: &str) -> usize {
        let orders = self.systemd.orders();
        orders
            .iter()
            .filter(|given| given.starts_with(order))
            .count()
    }

    async fn assign(&mut self, units: &[(&str, &str)], desired: DesiredState) {
        let files: Vec<UnitFile> = units.iter().map(|(_, text)| file(text)).collect();
        let write = |(file, (name, _)): (_, &(&str, &str))| write(name, file, desired);
        let writes: Vec<UnitWrite> = files.iter().zip(units).map(write).collect();
        self.registry.put_units(&writes).await.unwrap();
        let assign = |write: &UnitWrite| Change::Assign {
            unit: write.name.clone(),
            machine: id(),
            assignment: Assignment {
                hash: write.hash,
                desired,
            },
            global: false,
        };
        self.commit(writes.iter().map(assign).collect()).await;
    }

    async fn commit(&mut self, changes: Vec<Change>) {
        self.leadership.commit(&changes).await.unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(work) = &self.work {
            work.abort();
        }
    }
}

async fn agent(
    registry: &Registry,
    systemd: &Memory,
    directories: &Directories,
) -> Arc<Agent<Memory>> {
    let agent = Agent::new(registry.clone(), systemd.clone(), directories.clone());
    agent.await.unwrap()
}

pub(crate) fn unit(name: &str) -> UnitName {
    UnitName::parse(name).unwrap()
}

pub(crate) fn file(text: &str) -> UnitFile {
    UnitFile::parse(text.as_bytes()).unwrap()
}

fn write<'a>(name: &str, file: &'a UnitFile, desired: DesiredState) -> UnitWrite<'a> {
    let (name, hash, expected) = (unit(name), file.hash(), Expected::Any);
    UnitWrite {
        name,
        hash,
        file: Some(file),
        desired,
        expected,
    }
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

fn claim_key(name: &str) -> String {
    format!("/fleet/fence/{name}")
}

fn state_key(name: &str) -> String {
    format!("/fleet/state/{name}/m1")
}
