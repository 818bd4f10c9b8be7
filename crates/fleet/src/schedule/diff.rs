//! What must be written so that the records say what the draft says.

use std::collections::BTreeSet;

use unitfile::{Hash, UnitName};

use super::draft::Draft;
use super::records::Records;
use super::{Change, Reason};
use crate::{Assignment, Cluster, MachineId};

/// Changes to units in order of name, then to machines that are gone, files and admissions.
pub(super) fn changes(cluster: &Cluster, draft: &Draft<'_>) -> Vec<Change> {
    let diff = Diff { cluster, draft };
    let mut changes: Vec<Change> = diff.unwanted().collect();
    changes.extend((0..draft.units.len()).flat_map(|unit| diff.unit(unit)));
    changes.sort_by(|a, b| a.unit().cmp(&b.unit()));
    changes.extend(diff.dismissals());
    changes.extend(diff.collections());
    changes.extend(admissions(cluster));
    changes
}

struct Diff<'a, 'd> {
    cluster: &'a Cluster,
    draft: &'d Draft<'a>,
}

impl<'a> Diff<'a, '_> {
    /// Rows and targets of units that should be nowhere.
    fn unwanted(&self) -> impl Iterator<Item = Change> + '_ {
        let unwanted = self.draft.recorded.unwanted.iter();
        unwanted.flat_map(|(name, records)| {
            let rows = records.machines();
            let unassigned =
                rows.map(|machine| unassign(name, machine, records, Reason::NotWanted));
            unassigned.chain(untarget(name, records))
        })
    }

    fn unit(&self, unit: usize) -> Vec<Change> {
        if self.draft.units.get(unit).global {
            self.global(unit)
        } else {
            self.single(unit)
        }
    }

    /// Every row that is not on one of its machines goes, every machine gets its row.
    fn global(&self, unit: usize) -> Vec<Change> {
        let left = self
            .records(unit)
            .machines()
            .filter(|machine| !self.is_on(unit, machine));
        let left = left.map(|machine| self.unassign(unit, machine));
        let assigned = self
            .seats(unit)
            .filter_map(|machine| self.assign(unit, machine));
        left.chain(assigned)
            .chain(self.untarget_kept(unit))
            .collect()
    }

    /// The target record of a unit that has become global, unless it goes with its row.
    fn untarget_kept(&self, unit: usize) -> Option<Change> {
        let records = self.records(unit);
        let goes = records
            .backed_target()
            .is_some_and(|target| !self.is_on(unit, target));
        let unit = self.name(unit).clone();
        (records.target.is_some() && !goes).then_some(Change::Untarget { unit })
    }

    /// The unit goes from its old machine to its new one; rows elsewhere are strays.
    fn single(&self, unit: usize) -> Vec<Change> {
        let from = self.records(unit).backed_target();
        let to = self.seats(unit).next();
        let rows = self.records(unit).machines();
        let strays = rows.filter(|machine| Some(*machine) != from && Some(*machine) != to);
        let strays = strays.map(|machine| self.unassign(unit, machine));
        strays.chain(self.between(unit, from, to)).collect()
    }

    fn between(
        &self,
        unit: usize,
        from: Option<&MachineId>,
        to: Option<&MachineId>,
    ) -> Option<Change> {
        match (from, to) {
            (Some(from), Some(to)) if from != to => Some(self.relocate(unit, from, to)),
            (Some(from), None) => Some(self.unassign(unit, from)),
            (_, Some(to)) => self.assign(unit, to),
            (None, None) => untarget(self.name(unit), self.records(unit)),
        }
    }

    fn relocate(&self, unit: usize, from: &MachineId, to: &MachineId) -> Change {
        Change::Move {
            unit: self.name(unit).clone(),
            from: from.clone(),
            to: to.clone(),
            assignment: self.assignment(unit, to),
            reason: self.reason(unit, from),
        }
    }

    /// The row that `machine` needs, unless the records have it.
    fn assign(&self, unit: usize, machine: &MachineId) -> Option<Change> {
        let global = self.draft.units.get(unit).global;
        let assignment = self.assignment(unit, machine);
        let targeted = global || self.records(unit).target == Some(machine);
        let there = self.records(unit).row(machine) == Some(&assignment);
        (!(there && targeted)).then(|| Change::Assign {
            unit: self.name(unit).clone(),
            machine: machine.clone(),
            assignment,
            global,
        })
    }

    /// What `machine` shall do for the unit. Without the new file it keeps the one it has.
    fn assignment(&self, unit: usize, machine: &MachineId) -> Assignment {
        let wanted = self.draft.units.get(unit);
        let row = self.records(unit).row(machine);
        let kept = row.filter(|_| wanted.requirements.is_none());
        let hash = kept.map_or(wanted.unit.hash, |row| row.hash);
        let desired = wanted.unit.desired;
        Assignment { hash, desired }
    }

    fn unassign(&self, unit: usize, machine: &MachineId) -> Change {
        unassign(
            self.name(unit),
            machine,
            self.records(unit),
            self.reason(unit, machine),
        )
    }

    fn reason(&self, unit: usize, machine: &MachineId) -> Reason {
        let Some(host) = self.draft.find_host(machine) else {
            return Reason::MachineGone;
        };
        let refusal = self.draft.left.get(&(unit, host)).cloned();
        refusal.map_or(Reason::NotWanted, Reason::Refused)
    }

    fn name(&self, unit: usize) -> &'a UnitName {
        self.draft.units.get(unit).name()
    }

    fn records(&self, unit: usize) -> &Records<'a> {
        &self.draft.recorded.wanted[unit]
    }

    /// The machines that the unit is on in the draft.
    fn seats(&self, unit: usize) -> impl Iterator<Item = &'a MachineId> + '_ {
        let seats = self.draft.seats[unit].iter();
        seats.map(|&host| self.draft.hosts[host].id)
    }

    fn is_on(&self, unit: usize, machine: &MachineId) -> bool {
        let host = self.draft.find_host(machine);
        host.is_some_and(|host| self.draft.seats[unit].contains(&host))
    }

    /// Machines that left a schedule behind.
    fn dismissals(&self) -> impl Iterator<Item = Change> + '_ {
        let known = self.cluster.admitted.keys();
        let gone = known.filter(|id| !self.cluster.machines.contains_key(*id));
        gone.cloned().map(|machine| Change::Dismiss { machine })
    }

    /// Files that no unit has and no machine runs once all this is written.
    fn collections(&self) -> impl Iterator<Item = Change> + '_ {
        let mut used: BTreeSet<Hash> = self.cluster.units.values().map(|unit| unit.hash).collect();
        for unit in 0..self.draft.units.len() {
            used.extend(
                self.seats(unit)
                    .map(|machine| self.assignment(unit, machine).hash),
            );
        }
        let files = self.cluster.files.iter();
        let unused = files.filter(move |(hash, _)| !used.contains(hash));
        unused.map(|(&file, record)| Change::Collect {
            file,
            revision: record.revision,
        })
    }
}

fn unassign(unit: &UnitName, machine: &MachineId, records: &Records<'_>, reason: Reason) -> Change {
    Change::Unassign {
        unit: unit.clone(),
        machine: machine.clone(),
        reason,
        target: records.target == Some(machine),
    }
}

/// The target record, if no row stands where it points to.
fn untarget(unit: &UnitName, records: &Records<'_>) -> Option<Change> {
    let alone = records.target.is_some() && records.backed_target().is_none();
    alone.then(|| Change::Untarget { unit: unit.clone() })
}

/// Machines whose schedule was decided for an earlier membership, or never.
fn admissions(cluster: &Cluster) -> Vec<Change> {
    let members = cluster.machines.values();
    let decided = |id: &MachineId, since: i64| cluster.admitted.get(id) == Some(&since);
    members
        .filter(|machine| !decided(&machine.id, machine.member_since))
        .map(|machine| Change::Admit {
            machine: machine.id.clone(),
            since: machine.member_since,
        })
        .collect()
}
