//! One consistent picture of the cluster, fed by events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use unitfile::{Hash, UnitFile, UnitName};

use crate::fence::Claim;
use crate::{
    Assignment, Away, Cordon, DesiredState, FailedOn, Machine, MachineId, Requirements, Unit,
    UnitRecord, UnitState,
};

/// Everything the records say at one revision. Built by [`Cluster::apply`]; read by the planner,
/// the API and the tests.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    /// The registry's revision that the picture shows.
    pub revision: i64,
    /// Unit files by the hash of their content.
    pub files: BTreeMap<Hash, FileRecord>,
    /// Units by name.
    pub units: BTreeMap<UnitName, Unit>,
    /// Machines whose lease is alive.
    pub machines: BTreeMap<MachineId, Machine>,
    /// Metadata set through the API; an empty value hides the machine's own.
    pub metadata: BTreeMap<MachineId, BTreeMap<String, String>>,
    /// Machines that get no new units, live or not.
    pub cordons: BTreeMap<MachineId, Cordon>,
    /// Machines whose lease has ended lately, or for which units wait.
    pub away: BTreeMap<MachineId, Away>,
    /// Machines that are gone for good, as an operator has said: nothing waits for them.
    pub forgotten: BTreeSet<MachineId>,
    /// Units that an operator wants on another machine, and which.
    pub moves: BTreeMap<UnitName, MachineId>,
    /// What each machine shall run; also holds rows of machines that are gone until the leader drops them.
    pub schedule: BTreeMap<MachineId, BTreeMap<UnitName, Assignment>>,
    /// For which membership (its `member_since`) each machine's schedule has been decided.
    pub admitted: BTreeMap<MachineId, i64>,
    /// The machine of each scheduled unit that is not global.
    pub targets: BTreeMap<UnitName, MachineId>,
    /// Units that were moved because they kept failing.
    pub failed: BTreeMap<UnitName, FailedOn>,
    /// Fenced units, and the machine that may be running each.
    pub claims: BTreeMap<UnitName, Claim>,
    /// What systemd says, per unit and machine.
    pub states: BTreeMap<UnitName, BTreeMap<MachineId, UnitState>>,
    /// The machine that leads.
    pub leader: Option<MachineId>,
    /// Units whose file is not there, by its hash.
    pub fileless: BTreeMap<Hash, BTreeSet<UnitName>>,
}

/// The record `file/<hash>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    /// The unit file.
    pub file: Arc<UnitFile>,
    /// Revision of its last write: the leader compares it when it collects unused files.
    pub revision: i64,
}

/// One record that appeared, changed, or (with `None`) went away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `file/<hash>`
    File(Hash, Option<FileRecord>),
    /// `unit/<name>`
    Unit(UnitName, Option<UnitRecord>),
    /// `machine/<id>`
    Machine(MachineId, Option<Machine>),
    /// `metadata/<id>/<key>`
    Metadata(MachineId, String, Option<String>),
    /// `cordon/<id>`
    Cordon(MachineId, Option<Cordon>),
    /// `away/<id>`
    Away(MachineId, Option<Away>),
    /// `forgotten/<id>`, and whether it is there.
    Forgotten(MachineId, bool),
    /// `move/<unit>`
    Move(UnitName, Option<MachineId>),
    /// `schedule/<machine>/<unit>`
    Scheduled(MachineId, UnitName, Option<Assignment>),
    /// `schedule/<machine>`: the membership that the rows below were decided for.
    Admitted(MachineId, Option<i64>),
    /// `target/<unit>`
    Target(UnitName, Option<MachineId>),
    /// `state/<unit>/<machine>`
    State(UnitName, MachineId, Option<UnitState>),
    /// `failed/<unit>`
    Failed(UnitName, Option<FailedOn>),
    /// `fence/<unit>`
    Claim(UnitName, Option<Claim>),
    /// `leader`
    Leader(Option<MachineId>),
}

/// What events have changed since somebody last looked, so that only that is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    /// Nobody knows: all of it.
    Everything,
    /// These, each as often as it changed.
    These(Vec<Subject>),
}

/// One thing that has changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A unit file.
    File(Hash),
    /// What is wanted of a unit, or its target.
    Unit(UnitName),
    /// A unit's row in a machine's schedule.
    Row(MachineId, UnitName),
    /// A machine: its presence, what it says of itself, or what operators say of it.
    Machine(MachineId),
    /// What systemd says of a unit on a machine.
    State(UnitName, MachineId),
}

impl Default for Touched {
    fn default() -> Self {
        Touched::These(Vec::new())
    }
}

impl Touched {
    /// Adds what `later` has.
    pub fn merge(&mut self, later: Touched) {
        match (&mut *self, later) {
            (Touched::These(known), Touched::These(more)) => known.extend(more),
            (_, Touched::Everything) => *self = Touched::Everything,
            (Touched::Everything, _) => {}
        }
    }

    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many changes these are; of everything, nobody knows.
    pub fn len(&self) -> usize {
        match self {
            Touched::Everything => usize::MAX,
            Touched::These(subjects) => subjects.len(),
        }
    }

    fn add(&mut self, subject: Subject) {
        if let Touched::These(subjects) = self {
            subjects.push(subject);
        }
    }
}

impl Event {
    /// What it changes; nothing if nothing depends on it.
    fn subject(&self) -> Option<Subject> {
        Some(match self {
            Event::File(hash, _) => Subject::File(*hash),
            Event::Unit(unit, _)
            | Event::Target(unit, _)
            | Event::Move(unit, _)
            | Event::Failed(unit, _) => Subject::Unit(unit.clone()),
            Event::Machine(id, _)
            | Event::Metadata(id, ..)
            | Event::Cordon(id, _)
            | Event::Away(id, _)
            | Event::Forgotten(id, _)
            | Event::Admitted(id, _) => Subject::Machine(id.clone()),
            Event::Scheduled(id, unit, _) => Subject::Row(id.clone(), unit.clone()),
            Event::State(unit, id, _) => Subject::State(unit.clone(), id.clone()),
            Event::Leader(_) | Event::Claim(..) => return None,
        })
    }
}

impl Cluster {
    /// Takes one event into the picture.
    pub fn apply(&mut self, event: Event) {
        self.apply_noting(event, &mut Touched::Everything);
    }

    /// The same, and adds to `touched` what the event changes.
    pub fn apply_noting(&mut self, event: Event, touched: &mut Touched) {
        if let Some(subject) = event.subject() {
            touched.add(subject);
        }
        match event {
            Event::File(hash, file) => {
                let renewed = self.apply_file(hash, file).into_iter();
                renewed.for_each(|unit| touched.add(Subject::Unit(unit)));
            }
            Event::Unit(name, record) => self.apply_unit(name, record),
            Event::Machine(id, machine) => set(&mut self.machines, id, machine),
            Event::Metadata(id, key, value) => set_nested(&mut self.metadata, id, key, value),
            Event::Cordon(id, cordon) => set(&mut self.cordons, id, cordon),
            Event::Move(unit, machine) => set(&mut self.moves, unit, machine),
            Event::Away(id, away) => set(&mut self.away, id, away),
            Event::Forgotten(id, true) => drop(self.forgotten.insert(id)),
            Event::Forgotten(id, false) => drop(self.forgotten.remove(&id)),
            Event::Scheduled(id, unit, row) => set_nested(&mut self.schedule, id, unit, row),
            Event::Admitted(id, since) => set(&mut self.admitted, id, since),
            Event::Target(unit, machine) => set(&mut self.targets, unit, machine),
            Event::State(unit, id, state) => set_nested(&mut self.states, unit, id, state),
            Event::Failed(unit, failed) => set(&mut self.failed, unit, failed),
            Event::Claim(unit, claim) => set(&mut self.claims, unit, claim),
            Event::Leader(machine) => self.leader = machine,
        }
    }

    /// A machine's metadata as placement sees it: its own, overlaid by what the API set.
    pub fn metadata_of(&self, machine: &Machine) -> BTreeMap<String, String> {
        let mut metadata = machine.metadata.clone();
        if let Some(overlay) = self.metadata.get(&machine.id) {
            metadata.extend(overlay.iter().map(|(k, v)| (k.clone(), v.clone())));
            metadata.retain(|key, value| !(value.is_empty() && overlay.contains_key(key)));
        }
        metadata
    }

    /// How far a unit has been brought, as API v1 tells it: inactive unless it has a target and that machine has
    /// published a state of it. So a global unit is always inactive. None if there is no such unit.
    pub fn current_state(&self, unit: &UnitName) -> Option<DesiredState> {
        self.units.get(unit)?;
        let target = self.targets.get(unit);
        let state = target.and_then(|machine| self.states.get(unit)?.get(machine));
        Some(state.map_or(DesiredState::Inactive, |state| state.current))
    }

    /// The units whose requirements have come or gone with the file.
    fn apply_file(&mut self, hash: Hash, file: Option<FileRecord>) -> Vec<UnitName> {
        let (before, after) = (self.files.contains_key(&hash), file.is_some());
        set(&mut self.files, hash, file);
        let users: Vec<UnitName> = match (before, after) {
            (false, true) => {
                let waiting = self.fileless.remove(&hash);
                waiting.into_iter().flatten().collect()
            }
            // only somebody else than the leader removes a file that units have
            (true, false) => {
                let users = self.units.values().filter(|unit| unit.hash == hash);
                users.map(|unit| unit.name.clone()).collect()
            }
            // what a file says never changes
            _ => Vec::new(),
        };
        for name in &users {
            self.renew_requirements(name, hash);
        }
        users
    }

    fn renew_requirements(&mut self, name: &UnitName, hash: Hash) {
        let requirements = self.requirements(name, hash);
        if let Some(unit) = self.units.get_mut(name) {
            unit.requirements = requirements;
        }
    }

    fn apply_unit(&mut self, name: UnitName, record: Option<UnitRecord>) {
        if let Some(before) = self.units.get(&name).map(|unit| unit.hash) {
            self.forget_fileless(before, &name);
        }
        let unit = record.map(|record| Unit {
            requirements: self.requirements(&name, record.hash),
            name: name.clone(),
            hash: record.hash,
            desired: record.desired,
        });
        set(&mut self.units, name, unit);
    }

    fn forget_fileless(&mut self, hash: Hash, name: &UnitName) {
        if let Some(units) = self.fileless.get_mut(&hash) {
            units.remove(name);
            if units.is_empty() {
                self.fileless.remove(&hash);
            }
        }
    }

    /// None while the file is not there; then the unit gets them with it.
    fn requirements(&mut self, name: &UnitName, hash: Hash) -> Option<Arc<Requirements>> {
        let Some(record) = self.files.get(&hash) else {
            let units = self.fileless.entry(hash).or_default();
            units.insert(name.clone());
            return None;
        };
        Some(Arc::new(Requirements::of(name, &record.file)))
    }
}

fn set<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

fn set_nested<A: Ord, B: Ord, V>(
    map: &mut BTreeMap<A, BTreeMap<B, V>>,
    outer: A,
    inner: B,
    value: Option<V>,
) {
    let rows = map.entry(outer);
    match rows {
        std::collections::btree_map::Entry::Vacant(rows) => {
            if let Some(value) = value {
                rows.insert(BTreeMap::from([(inner, value)]));
            }
        }
        std::collections::btree_map::Entry::Occupied(mut rows) => {
            set(rows.get_mut(), inner, value);
            if rows.get().is_empty() {
                rows.remove();
            }
        }
    }
}
