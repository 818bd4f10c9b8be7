//! Goes over the units that the records have on a machine: who may stay.

use std::collections::BTreeSet;

use super::Refusal;
use super::draft::Draft;
use crate::{Cluster, Resources};

impl Draft {
    /// Goes over every machine where something has changed.
    pub(super) fn stand(&mut self, cluster: &Cluster) {
        let mut dirty: Vec<usize> = std::mem::take(&mut self.dirty).into_iter().collect();
        dirty.retain(|&host| self.hosts.contains(host));
        dirty.sort_by(|a, b| self.hosts.get(*a).id.cmp(&self.hosts.get(*b).id));
        let before: Vec<BTreeSet<usize>> = dirty.iter().map(|&host| self.clear(host)).collect();
        let mut reopened = std::mem::take(&mut self.reopened);
        for (&host, before) in dirty.iter().zip(&before) {
            self.stand_on(cluster, host);
            if !before.is_subset(&self.hosts.get(host).guests) {
                reopened.insert(host);
            }
        }
        self.deserted.clear();
        if !reopened.is_empty() {
            self.room_at(
                reopened
                    .into_iter()
                    .filter(|host| self.hosts.contains(*host))
                    .collect(),
            );
        }
        for host in dirty {
            self.hosts.forget_if_empty(host);
        }
    }

    /// Takes everybody off a machine; who that was.
    fn clear(&mut self, host: usize) -> BTreeSet<usize> {
        self.leave_pools(host);
        let guests = self.hosts.get(host).guests.clone();
        for &unit in &guests {
            self.stand_up(unit, host);
        }
        // what they weighed was a share of what the machine had
        let here = self.hosts.get_mut(host);
        here.load = 0;
        here.reserved = Resources::default();
        guests
    }

    fn stand_on(&mut self, cluster: &Cluster, host: usize) {
        for unit in self.recorded_on(host) {
            self.keep(cluster, unit, host);
        }
        self.keep_company(host);
        self.drop_followers(host);
        self.join_pools(host);
    }

    /// Those that the records have here; units that belong everywhere come last, so that they give way.
    fn recorded_on(&self, host: usize) -> Vec<usize> {
        let known = self.hosts.get(host).known.iter().copied();
        let wanted = known.filter(|&unit| self.units.wanted(unit).is_some());
        let here = wanted.filter(|&unit| self.places(unit).contains(host));
        let (global, single): (Vec<_>, Vec<_>) =
            here.partition(|&unit| self.units.get(unit).is_global());
        let mut all = self.by_name(single);
        all.extend(self.by_name(global));
        all
    }

    /// A unit with rows on several machines, and no target, stays on the first where it may.
    fn keep(&mut self, cluster: &Cluster, unit: usize, host: usize) {
        let known = self.units.get(unit);
        if !(known.is_global() || known.seats.is_empty()) {
            self.changed.insert(unit);
            return;
        }
        if !self.hosts.get(host).is_live() {
            self.changed.insert(unit);
            if self.hold(unit, host).is_some() {
                self.seat(unit, host);
            }
            return;
        }
        match self.may_stay(cluster, unit, host) {
            Ok(()) => self.seat(unit, host),
            Err(refusal) => {
                self.changed.insert(unit);
                self.left.insert((unit, host), refusal);
            }
        }
    }

    /// While somebody waits for a machine that is away, its schedule stands: so do the global units on it, which have nowhere
    /// else to go. It may be back before it knows that it was missed, and would stop what is not on its schedule.
    fn keep_company(&mut self, host: usize) {
        let here = self.hosts.get(host);
        if here.is_live() || !self.is_waited_for(&here.id) {
            return;
        }
        for unit in self.recorded_on(host) {
            let known = self.units.get(unit);
            if known.is_global() && !known.seats.contains(host) {
                self.seat(unit, host);
            }
        }
    }

    /// What its peers do is seen when all the others have been kept. What is reserved does not count: nobody loses a place for it.
    fn may_stay(&self, cluster: &Cluster, unit: usize, host: usize) -> Result<(), Refusal> {
        let wanted = self.units.wanted(unit);
        if wanted.is_none_or(|wanted| wanted.requirements.is_none()) {
            return Ok(());
        }
        self.check_machine(unit, host)?;
        self.check_guests(unit, host)?;
        self.check_leaving(cluster, unit, host)
    }

    /// A machine that leaves keeps a unit until it has stopped it, and says so by taking back its state, unless the unit is to be
    /// up elsewhere before. A global unit has nowhere else to go, and others wait for the machine.
    fn check_leaving(&self, cluster: &Cluster, unit: usize, host: usize) -> Result<(), Refusal> {
        let waits = self.hold(unit, host).is_some();
        let (unit, host) = (self.units.get(unit), self.hosts.get(host));
        let leaving = host.live.as_ref().is_some_and(|live| live.leaving);
        let states = cluster.states.get(&unit.name);
        let runs = states.is_some_and(|states| states.contains_key(&host.id));
        let stays = runs && !unit.starts_first();
        match leaving && !unit.is_global() && !stays && !waits {
            true => Err(Refusal::Leaving),
            false => Ok(()),
        }
    }

    /// Sends every unit away whose peer is not there, and then those that followed it.
    pub(super) fn drop_followers(&mut self, host: usize) {
        let guests = self.hosts.get(host).guests.iter().copied();
        let followers = guests.filter(|&unit| self.units.get(unit).follows());
        let followers = self.by_name(followers.collect::<BTreeSet<_>>());
        let mut lost = true;
        while lost {
            lost = false;
            for &unit in &followers {
                if !self.units.get(unit).seats.contains(host) {
                    continue;
                }
                if let Err(refusal) = self.check_peers(unit, host) {
                    self.unseat(unit, host, refusal);
                    lost = true;
                }
            }
        }
    }
}
