//! Units that keep failing where they are: each is tried elsewhere, once for each of its files (`RescheduleAfter=`).

use std::collections::BTreeSet;

use unitfile::UnitName;

use super::draft::Draft;
use super::{Change, Refusal};
use crate::{Cluster, DesiredState, FailedOn};

impl Draft {
    /// Whether a unit has failed on its machine as often as it may, and has not been moved for that.
    pub(super) fn keeps_failing(&self, cluster: &Cluster, unit: usize) -> bool {
        let known = self.units.get(unit);
        let (Some(limit), Some((hash, DesiredState::Launched)), Some(host)) =
            (self.limit(unit), known.unit, known.backed_target())
        else {
            return false;
        };
        let states = cluster.states.get(&known.name);
        let state = states.and_then(|states| states.get(&self.hosts.get(host).id));
        !self.has_moved(cluster, unit)
            && state.is_some_and(|state| {
                state.hash == hash && state.failures >= limit && state.active == "failed"
            })
    }

    fn limit(&self, unit: usize) -> Option<u32> {
        let wanted = self.units.wanted(unit)?.requirements.as_ref()?;
        wanted.reschedule_after.filter(|_| !wanted.global)
    }

    /// Moves them where another machine takes them, with those that can only go together.
    pub(super) fn move_failing(&mut self) {
        for unit in self.by_name(self.failing.clone()) {
            let known = self.units.get(unit);
            let from = known
                .backed_target()
                .filter(|host| known.seats.contains(*host));
            let Some(from) = from.filter(|&host| self.hosts.get(host).is_live()) else {
                continue;
            };
            let refusal = Refusal::Failing(self.limit(unit).unwrap_or_default());
            self.move_once(unit, from, &refusal);
        }
    }

    /// Moves a unit where another machine takes it, with those that it can only go with; that this is done once for each of its files is
    /// noted with the plan.
    pub(super) fn move_once(&mut self, unit: usize, from: usize, why: &Refusal) {
        let party = self.party_of(unit, from);
        let Some(to) = self.place_for_but(&party, from) else {
            return;
        };
        for unit in party {
            self.unseat(unit, from, why.clone());
            self.seat(unit, to);
        }
        self.blamed.push((unit, from));
    }

    /// Whether it has been moved so with the file that it has.
    pub(super) fn has_moved(&self, cluster: &Cluster, unit: usize) -> bool {
        let known = self.units.get(unit);
        let moved = cluster.failed.get(&known.name);
        moved.is_some_and(|moved| known.unit.is_some_and(|(hash, _)| hash == moved.hash))
    }

    /// What is to be noted of units that were moved, and what is no longer.
    pub(super) fn blames(&mut self, cluster: &Cluster) -> Vec<Change> {
        let blamed = std::mem::take(&mut self.blamed).into_iter();
        let blame = |(unit, host): (usize, usize)| {
            let known = self.units.get(unit);
            let (hash, _) = known.unit?;
            let machine = self.hosts.get(host).id.clone();
            Some(Change::Blame {
                unit: known.name.clone(),
                failed: FailedOn { machine, hash },
            })
        };
        let mut changes: Vec<Change> = blamed.filter_map(blame).collect();
        let again: BTreeSet<UnitName> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Blame { unit, .. } => Some(unit.clone()),
                _ => None,
            })
            .collect();
        let holds = |unit: &UnitName, failed: &FailedOn| {
            let unit = cluster.units.get(unit);
            unit.is_some_and(|unit| {
                unit.hash == failed.hash && unit.desired != DesiredState::Inactive
            })
        };
        let past = cluster.failed.iter();
        let past = past.filter(|(unit, failed)| !again.contains(*unit) && !holds(unit, failed));
        changes.extend(past.map(|(unit, _)| Change::Absolve { unit: unit.clone() }));
        changes
    }
}
