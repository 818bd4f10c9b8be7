//! The planner: a draft that is kept from plan to plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use unitfile::{Hash, UnitName};

use super::absence::Absence;
use super::draft::Draft;
use super::units::Units;
use super::{Change, Plan, Terms, summary};
use crate::cluster::{Subject, Touched};
use crate::{Away, Cluster, MachineId};

/// Makes one plan after the other, each at the cost of what has changed since.
///
/// It takes its plans to be carried out. Whatever happens otherwise shows in the next picture, and is planned anew.
#[derive(Default)]
pub struct Planner {
    pub(super) draft: Draft,
    machines: BTreeSet<MachineId>,
    /// Machines that left a schedule or a record behind.
    gone: BTreeSet<MachineId>,
    files: BTreeSet<Hash>,
    waiting: Arc<Vec<UnitName>>,
}

impl Planner {
    /// What should change in `cluster`, of which `touched` is new since the last plan. The same as [`plan`](super::plan) would
    /// say, which knows nothing of earlier plans.
    pub fn plan(&mut self, cluster: &Cluster, touched: &Touched, terms: &Terms) -> Plan {
        self.look(cluster, touched, terms);
        self.draft.place();
        self.draft.drain(cluster);
        self.finish(cluster)
    }

    /// Why a unit that waited in the last plan fits nowhere, in a line.
    pub fn why_waiting(&self, unit: &UnitName) -> String {
        summary(&self.draft.refusals(unit), self.draft.hosts.live().count())
    }

    /// Takes in what is new, with every unit where it may stay.
    pub(super) fn look(&mut self, cluster: &Cluster, touched: &Touched, terms: &Terms) {
        let units = match touched {
            Touched::Everything => {
                *self = Planner::default();
                self.sync_everything(cluster)
            }
            Touched::These(subjects) => self.sync(cluster, subjects),
        };
        for unit in units {
            self.draft.compare(unit);
            self.draft.sync_state(cluster, unit);
        }
        self.draft.sync_silent(&terms.silent);
        self.draft.sync_absences(cluster, &self.gone, terms);
        self.draft.stand(cluster);
    }

    /// The indices of all units.
    fn sync_everything(&mut self, cluster: &Cluster) -> BTreeSet<usize> {
        self.draft.units = Units::of(cluster.units.keys());
        let present = cluster.machines.keys().chain(cluster.admitted.keys());
        let present = present.chain(cluster.away.keys());
        for id in present {
            self.sync_machine(cluster, id);
        }
        self.files.extend(cluster.files.keys());
        for (id, rows) in &cluster.schedule {
            for name in rows.keys() {
                self.draft.sync_row(cluster, id, name);
            }
        }
        for name in cluster.targets.keys() {
            self.draft.units.entry(name);
        }
        let known = self.draft.units.by_name();
        let mut records = cluster.units.values().peekable();
        for (name, unit) in &known {
            let record = records.next_if(|record| record.name == *name);
            self.draft.sync_unit(cluster, *unit, record);
        }
        known.into_iter().map(|(_, unit)| unit).collect()
    }

    fn sync(&mut self, cluster: &Cluster, subjects: &[Subject]) -> BTreeSet<usize> {
        let mut units = BTreeSet::new();
        for subject in subjects {
            match subject {
                Subject::File(hash) => drop(self.files.insert(*hash)),
                Subject::Unit(name) => drop(units.insert(self.draft.units.entry(name))),
                Subject::Row(id, name) => {
                    units.insert(self.draft.sync_row(cluster, id, name));
                }
                Subject::Machine(id) => self.sync_machine(cluster, id),
                Subject::State(name, id) => self.sync_state(cluster, name, id),
            }
        }
        for &unit in &units {
            let name = self.draft.units.get(unit).name.clone();
            self.draft
                .sync_unit(cluster, unit, cluster.units.get(&name));
        }
        units
    }

    fn sync_machine(&mut self, cluster: &Cluster, id: &MachineId) {
        self.machines.insert(id.clone());
        let known = cluster.admitted.contains_key(id) || cluster.away.contains_key(id);
        let machine = cluster.machines.get(id);
        match machine.map_or(known, |machine| machine.leaving) {
            true => self.gone.insert(id.clone()),
            false => self.gone.remove(id),
        };
        self.draft.sync_machine(cluster, id);
    }

    fn sync_state(&mut self, cluster: &Cluster, name: &UnitName, id: &MachineId) {
        if let Some(unit) = self.draft.units.find(name.as_str()) {
            self.draft.sync_state(cluster, unit);
        }
        // a machine that leaves has stopped it
        let leaving = cluster
            .machines
            .get(id)
            .is_some_and(|machine| machine.leaving);
        if leaving {
            self.draft.dirty.extend(self.draft.hosts.find(id.as_str()));
        }
    }

    fn finish(&mut self, cluster: &Cluster) -> Plan {
        let mut changes = self.draft.unit_changes();
        let mut files = self.draft.count_files();
        files.append(&mut self.files);
        let moves = cluster.moves.keys().cloned();
        changes.extend(moves.map(|unit| Change::Obey { unit }));
        changes.extend(self.draft.blames(cluster));
        changes.extend(self.dismissals(cluster));
        changes.extend(self.absences(cluster));
        changes.extend(self.draft.collections(cluster, files));
        changes.extend(self.admissions(cluster));
        self.machines.clear();
        self.draft.settle();
        Plan {
            changes,
            waiting: self.waiting(),
            next: self.draft.next(),
            braked: self.draft.absences.braked,
        }
    }

    /// Machines that left a schedule behind, once nobody waits for them.
    fn dismissals(&self, cluster: &Cluster) -> Vec<Change> {
        let gone = self.draft.absences.all.iter().map(|absence| &absence.id);
        let gone = gone.filter(|id| !cluster.machines.contains_key(*id));
        let left = gone.filter(|id| cluster.admitted.contains_key(*id));
        let left = left.filter(|id| !self.draft.is_waited_for(id)).cloned();
        left.map(|machine| Change::Dismiss { machine }).collect()
    }

    /// Who is noted to be away by now, and who no more.
    fn absences(&self, cluster: &Cluster) -> Vec<Change> {
        let absences = &self.draft.absences;
        let matters = |absence: &&Absence| {
            let leaves = cluster.machines.contains_key(&absence.id);
            // without units of its own it is still one of too many
            let counts = absence.is_recent(absences.now) || absence.is_massive();
            leaves || counts || self.draft.is_waited_for(&absence.id)
        };
        let missed = absences.all.iter().filter(matters);
        let missed: BTreeMap<&MachineId, &Away> =
            missed.map(|absence| (&absence.id, &absence.away)).collect();
        let new = missed
            .iter()
            .filter(|(id, away)| cluster.away.get(**id) != Some(**away));
        // the records are not for a moment without one of too many, if there were and will be some
        let (massive, single): (Vec<_>, Vec<_>) = new.partition(|(_, away)| away.massive);
        let new = massive
            .into_iter()
            .chain(single)
            .map(|(id, away)| Change::Miss {
                machine: (*id).clone(),
                away: (*away).clone(),
            });
        let noted: BTreeSet<&MachineId> = cluster.away.keys().chain(&cluster.forgotten).collect();
        let past = noted.into_iter().filter(|id| !missed.contains_key(id));
        let past = past.cloned().map(|machine| Change::Unmiss { machine });
        new.chain(past).collect()
    }

    /// Machines whose schedule was decided for an earlier membership, or never.
    fn admissions(&self, cluster: &Cluster) -> Vec<Change> {
        let members = self
            .machines
            .iter()
            .filter_map(|id| cluster.machines.get(id));
        let decided = |id: &MachineId, since: i64| cluster.admitted.get(id) == Some(&since);
        members
            .filter(|machine| !decided(&machine.id, machine.member_since))
            .map(|machine| Change::Admit {
                machine: machine.id.clone(),
                since: machine.member_since,
            })
            .collect()
    }

    fn waiting(&mut self) -> Arc<Vec<UnitName>> {
        if !std::mem::take(&mut self.draft.homeless_changed).is_empty() {
            let homeless = self.draft.homeless.iter();
            let name = |unit: &usize| self.draft.units.get(*unit).name.clone();
            let mut waiting: Vec<UnitName> = homeless.map(name).collect();
            waiting.sort_unstable();
            self.waiting = Arc::new(waiting);
        }
        self.waiting.clone()
    }
}
