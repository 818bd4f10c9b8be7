//! What must be written so that the records say what the draft says.

use std::collections::BTreeSet;

use smallvec::SmallVec;
use unitfile::Hash;

use super::draft::Draft;
use super::units::Known;
use super::{Change, Reason};
use crate::{Assignment, Cluster, MachineId};

impl Draft {
    /// Changes to the units that may need any, in order of name.
    pub(super) fn unit_changes(&self) -> Vec<Change> {
        let changed = self.changed.iter().copied();
        let changed = self.by_name(changed.filter(|&unit| self.units.contains(unit)));
        changed
            .into_iter()
            .flat_map(|at| self.changes_of(at))
            .collect()
    }

    fn changes_of(&self, at: usize) -> Vec<Change> {
        let unit = self.units.get(at);
        let of = Diff {
            draft: self,
            at,
            unit,
        };
        match &unit.wanted {
            None => of.unwanted(),
            Some(wanted) if wanted.global => of.global(),
            Some(_) => of.single(),
        }
    }

    /// Counts the files that changed units use by now; those that lost a user.
    pub(super) fn count_files(&mut self) -> BTreeSet<Hash> {
        let mut released = BTreeSet::new();
        for &at in &self.changed {
            if !self.units.contains(at) {
                continue;
            }
            let files = self.files_of(at);
            for &file in &files {
                *self.files.entry(file).or_default() += 1;
            }
            let before = std::mem::replace(&mut self.units.get_mut(at).files, files);
            for file in before {
                if let Some(users) = self.files.get_mut(&file) {
                    *users -= 1;
                    if *users == 0 {
                        self.files.remove(&file);
                    }
                }
                released.insert(file);
            }
        }
        released
    }

    /// The file that the unit has, and those that machines run once the plan is written.
    fn files_of(&self, at: usize) -> SmallVec<[Hash; 1]> {
        let unit = self.units.get(at);
        let of = Diff {
            draft: self,
            at,
            unit,
        };
        let mut files: SmallVec<[Hash; 1]> = unit.unit.iter().map(|(hash, _)| *hash).collect();
        for host in unit.seats.iter() {
            let hash = of.assignment(host).map(|assignment| assignment.hash);
            files.extend(hash.filter(|hash| !files.contains(hash)));
        }
        files
    }

    /// Those of `files` that nobody has.
    pub(super) fn collections(&self, cluster: &Cluster, files: BTreeSet<Hash>) -> Vec<Change> {
        let unused = files
            .into_iter()
            .filter(|file| !self.files.contains_key(file));
        let there = unused.filter_map(|file| Some((file, cluster.files.get(&file)?)));
        there
            .map(|(file, record)| Change::Collect {
                file,
                revision: record.revision,
            })
            .collect()
    }
}

/// One unit, as it is recorded and as it should be.
struct Diff<'a> {
    draft: &'a Draft,
    at: usize,
    unit: &'a Known,
}

impl Diff<'_> {
    /// A unit that should be nowhere has no rows and no target.
    fn unwanted(&self) -> Vec<Change> {
        let rows = self.rows();
        let rows = rows.map(|host| self.unassign_as(host, Reason::NotWanted));
        rows.chain(self.untarget_alone()).collect()
    }

    /// Every row that is not on one of its machines goes, every machine gets its row.
    fn global(&self) -> Vec<Change> {
        let seats = &self.unit.seats;
        let left = self.rows().filter(|&host| !seats.contains(host));
        let left = left.map(|host| self.unassign(host));
        let assigned = self.by_id(seats.iter()).into_iter();
        let assigned = assigned.filter_map(|host| self.assign(host));
        left.chain(assigned).chain(self.untarget_kept()).collect()
    }

    /// The target record of a unit that has become global, unless it goes with its row.
    fn untarget_kept(&self) -> Option<Change> {
        let backed = self.unit.backed_target();
        let goes = backed.is_some_and(|target| !self.unit.seats.contains(target));
        (self.unit.target.is_some() && !goes).then(|| self.untarget())
    }

    /// The unit goes from its old machine to its new one; rows elsewhere are strays.
    fn single(&self) -> Vec<Change> {
        let from = self.unit.backed_target();
        let to = self.unit.seats.first();
        let strays = self
            .rows()
            .filter(|&host| Some(host) != from && Some(host) != to);
        let strays = strays.map(|host| self.unassign(host));
        strays.chain(self.between(from, to)).collect()
    }

    fn between(&self, from: Option<usize>, to: Option<usize>) -> Option<Change> {
        match (from, to) {
            (Some(from), Some(to)) if from != to => self.relocate(from, to),
            (Some(from), None) => Some(self.unassign(from)),
            (_, Some(to)) => self.assign(to),
            (None, None) => self.untarget_alone(),
        }
    }

    fn relocate(&self, from: usize, to: usize) -> Option<Change> {
        Some(Change::Move {
            unit: self.unit.name.clone(),
            from: self.id(from),
            to: self.id(to),
            assignment: self.assignment(to)?,
            reason: self.reason(from),
        })
    }

    /// The row that the machine needs, unless the records have it.
    fn assign(&self, host: usize) -> Option<Change> {
        let global = self.unit.is_global();
        let assignment = self.assignment(host)?;
        let targeted = global || self.unit.target == Some(host);
        let there = self.unit.row(host) == Some(&assignment);
        (!(there && targeted)).then(|| Change::Assign {
            unit: self.unit.name.clone(),
            machine: self.id(host),
            assignment,
            global,
        })
    }

    /// What the machine shall do for the unit. Without the new file it keeps the one it has.
    fn assignment(&self, host: usize) -> Option<Assignment> {
        let (hash, desired) = self.unit.unit?;
        let wanted = self.unit.wanted.as_ref()?;
        let kept = self
            .unit
            .row(host)
            .filter(|_| wanted.requirements.is_none());
        let hash = kept.map_or(hash, |row| row.hash);
        Some(Assignment { hash, desired })
    }

    fn unassign(&self, host: usize) -> Change {
        self.unassign_as(host, self.reason(host))
    }

    fn unassign_as(&self, host: usize, reason: Reason) -> Change {
        Change::Unassign {
            unit: self.unit.name.clone(),
            machine: self.id(host),
            reason,
            target: self.unit.target == Some(host),
        }
    }

    fn reason(&self, host: usize) -> Reason {
        if !self.draft.hosts.get(host).is_live() {
            return Reason::MachineGone;
        }
        let refusal = self.draft.left.get(&(self.at, host)).cloned();
        refusal.map_or(Reason::NotWanted, Reason::Refused)
    }

    /// The target record, if no row stands where it points to.
    fn untarget_alone(&self) -> Option<Change> {
        let alone = self.unit.target.is_some() && self.unit.backed_target().is_none();
        alone.then(|| self.untarget())
    }

    fn untarget(&self) -> Change {
        let unit = self.unit.name.clone();
        Change::Untarget { unit }
    }

    /// The machines with a row, in order of id.
    fn rows(&self) -> impl Iterator<Item = usize> {
        let rows = self.unit.rows.iter().map(|(host, _)| *host);
        self.by_id(rows).into_iter()
    }

    fn by_id(&self, hosts: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut hosts: Vec<usize> = hosts.collect();
        hosts.sort_by(|a, b| {
            self.draft
                .hosts
                .get(*a)
                .id
                .cmp(&self.draft.hosts.get(*b).id)
        });
        hosts
    }

    fn id(&self, host: usize) -> MachineId {
        self.draft.hosts.get(host).id.clone()
    }
}
