//! What becomes of the units of machines that are away, in the draft.

use std::collections::BTreeSet;
use std::time::Duration;

use super::absence::{Absences, Hold, Terms};
use super::draft::Draft;
use crate::{Cluster, MachineId};

impl Draft {
    /// Takes note of who has not been heard of: who is heard of again may take units again.
    pub(super) fn sync_silent(&mut self, silent: &BTreeSet<MachineId>) {
        let heard = self.silent.difference(silent);
        let heard = heard.filter_map(|id| self.hosts.find(id.as_str()));
        self.reopened.extend(heard);
        self.silent.clone_from(silent);
    }

    /// Takes note of who is away by now, and goes over the machines for which that is news.
    pub(super) fn sync_absences(
        &mut self,
        cluster: &Cluster,
        gone: &BTreeSet<MachineId>,
        terms: &Terms,
    ) {
        let due = self.next().is_some_and(|next| next <= terms.now);
        let before = std::mem::replace(&mut self.absences, Absences::of(cluster, gone, terms));
        let all = due || before.braked != self.absences.braked;
        let absences = self.absences.all.iter();
        let news = absences.filter(|absence| all || before.get(&absence.id) != Some(absence));
        let hosts = news.filter_map(|absence| self.hosts.find(absence.id.as_str()));
        self.dirty.extend(hosts);
    }

    /// What keeps a unit with a machine that is not there, or leaves.
    pub(super) fn hold(&self, unit: usize, host: usize) -> Option<Hold> {
        let absence = self.absences.get(&self.hosts.get(host).id)?;
        let wanted = self.units.wanted(unit)?.requirements.as_deref();
        absence.holds(wanted, self.absences.now)
    }

    /// When a unit's time is over, or a record's.
    pub(super) fn next(&self) -> Option<Duration> {
        let hosts = self.absences.all.iter();
        let hosts = hosts.filter_map(|absence| self.hosts.find(absence.id.as_str()));
        let units = hosts.flat_map(|host| {
            let guests = self.hosts.get(host).guests.iter();
            guests.filter_map(move |&unit| match self.hold(unit, host)? {
                Hold::Until(end) | Hold::Grace(end) => Some(end),
                Hold::Brake(end) => end,
                Hold::Sticky => None,
            })
        });
        units.chain(self.absences.next()).min()
    }

    /// Whether somebody waits for a machine that is away.
    pub(super) fn is_waited_for(&self, id: &MachineId) -> bool {
        let Some(host) = self.hosts.find(id.as_str()) else {
            return false;
        };
        let mut guests = self.hosts.get(host).guests.iter();
        guests.any(|&unit| self.hold(unit, host).is_some())
    }
}
