//! One consistent picture of the cluster, fed by events.

use std::collections::BTreeMap;
use std::sync::Arc;

use unitfile::{Hash, UnitFile, UnitName};

use crate::{
    Assignment, Cordon, DesiredState, Machine, MachineId, Requirements, Unit, UnitRecord, UnitState,
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
    /// What each machine shall run; also holds rows of machines that are gone until the leader drops them.
    pub schedule: BTreeMap<MachineId, BTreeMap<UnitName, Assignment>>,
    /// For which membership (its `member_since`) each machine's schedule has been decided.
    pub admitted: BTreeMap<MachineId, i64>,
    /// The machine of each scheduled unit that is not global.
    pub targets: BTreeMap<UnitName, MachineId>,
    /// What systemd says, per unit and machine.
    pub states: BTreeMap<UnitName, BTreeMap<MachineId, UnitState>>,
    /// The machine that leads.
    pub leader: Option<MachineId>,
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
    /// `schedule/<machine>/<unit>`
    Scheduled(MachineId, UnitName, Option<Assignment>),
    /// `schedule/<machine>`: the membership that the rows below were decided for.
    Admitted(MachineId, Option<i64>),
    /// `target/<unit>`
    Target(UnitName, Option<MachineId>),
    /// `state/<unit>/<machine>`
    State(UnitName, MachineId, Option<UnitState>),
    /// `leader`
    Leader(Option<MachineId>),
}

impl Cluster {
    /// Takes one event into the picture.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::File(hash, file) => self.apply_file(hash, file),
            Event::Unit(name, record) => self.apply_unit(name, record),
            Event::Machine(id, machine) => set(&mut self.machines, id, machine),
            Event::Metadata(id, key, value) => set_nested(&mut self.metadata, id, key, value),
            Event::Cordon(id, cordon) => set(&mut self.cordons, id, cordon),
            Event::Scheduled(id, unit, row) => set_nested(&mut self.schedule, id, unit, row),
            Event::Admitted(id, since) => set(&mut self.admitted, id, since),
            Event::Target(unit, machine) => set(&mut self.targets, unit, machine),
            Event::State(unit, id, state) => set_nested(&mut self.states, unit, id, state),
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

    /// Whether some live machine is being drained: then what systemd says of units decides what is moved next.
    pub fn is_draining(&self) -> bool {
        let mut drained = self
            .cordons
            .iter()
            .filter(|(_, cordon)| cordon.drain.is_some());
        drained.any(|(id, _)| self.machines.contains_key(id))
    }

    /// How far a unit has been brought, as API v1 tells it: inactive unless it has a target and that machine has
    /// published a state of it. So a global unit is always inactive. None if there is no such unit.
    pub fn current_state(&self, unit: &UnitName) -> Option<DesiredState> {
        self.units.get(unit)?;
        let target = self.targets.get(unit);
        let state = target.and_then(|machine| self.states.get(unit)?.get(machine));
        Some(state.map_or(DesiredState::Inactive, |state| state.current))
    }

    fn apply_file(&mut self, hash: Hash, file: Option<FileRecord>) {
        let (before, after) = (self.files.contains_key(&hash), file.is_some());
        set(&mut self.files, hash, file);
        if before != after {
            self.renew_requirements(hash);
        }
    }

    /// A file has come or gone; what it says never changes.
    fn renew_requirements(&mut self, hash: Hash) {
        let users: Vec<UnitName> = self
            .units
            .values()
            .filter(|unit| unit.hash == hash)
            .map(|unit| unit.name.clone())
            .collect();
        for name in users {
            let requirements = self.requirements(&name, hash);
            if let Some(unit) = self.units.get_mut(&name) {
                unit.requirements = requirements;
            }
        }
    }

    fn apply_unit(&mut self, name: UnitName, record: Option<UnitRecord>) {
        let unit = record.map(|record| Unit {
            requirements: self.requirements(&name, record.hash),
            name: name.clone(),
            hash: record.hash,
            desired: record.desired,
        });
        set(&mut self.units, name, unit);
    }

    fn requirements(&self, name: &UnitName, hash: Hash) -> Option<Arc<Requirements>> {
        let record = self.files.get(&hash)?;
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
