//! The schedule while it is being worked out: who is where so far, and what follows from who comes and goes.

use std::collections::{BTreeMap, BTreeSet};

use unitfile::Hash;

use crate::MachineId;

use super::Refusal;
use super::absence::Absences;
use super::hosts::Hosts;
use super::patterns::Patterns;
use super::pools::Pools;
use super::queue::Queue;
use super::shape::Shape;
use super::units::Units;

/// Which unit is on which machine so far. Between plans it is the schedule as recorded, and all that a plan asks of it is kept
/// at hand: so a plan costs what has changed.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) units: Units,
    pub(super) hosts: Hosts,
    pub(super) patterns: Patterns,
    pub(super) pools: Pools,
    /// Units that belong on every machine that fits.
    pub(super) globals: BTreeSet<usize>,
    /// Machines whose lease has ended.
    pub(super) absences: Absences,
    /// Machines that have not been heard of for long.
    pub(super) silent: BTreeSet<MachineId>,
    /// Units that replace others.
    pub(super) replacers: BTreeSet<usize>,
    /// Units that should be on a machine and are on none.
    pub(super) homeless: BTreeSet<usize>,
    /// Those that were among them at the last plan or are now, but not both.
    pub(super) homeless_changed: BTreeSet<usize>,
    /// Units that are to be tried next: this turn, and once everybody had theirs.
    pub(super) queue: Queue,
    /// Machines that may take somebody now whom they refused before.
    pub(super) stirred: BTreeSet<usize>,
    /// Units that belong everywhere and have not been tried on every machine yet.
    pub(super) fresh: BTreeSet<usize>,
    /// What no machine takes as things are; anything that leaves a machine may change that.
    pub(super) hopeless: BTreeSet<Shape>,
    /// Machines whose guests must be gone over.
    pub(super) dirty: BTreeSet<usize>,
    /// Those of them that may take somebody whom they refused before.
    pub(super) reopened: BTreeSet<usize>,
    /// Units that a plan may have to write something about.
    pub(super) changed: BTreeSet<usize>,
    /// Why a unit had to leave a machine that it was on; since the last plan.
    pub(super) left: BTreeMap<(usize, usize), Refusal>,
    /// Machines that lost somebody since that was last looked at.
    pub(super) deserted: BTreeSet<usize>,
    /// How many units are the reason that a file is in use.
    pub(super) files: BTreeMap<Hash, usize>,
    /// Units that have failed where they are as often as they may before they are moved.
    pub(super) failing: BTreeSet<usize>,
    /// Those of them that have been moved since the last plan, and the machines that they left.
    pub(super) blamed: Vec<(usize, usize)>,
    /// Units that are not what they should be on the machine that they were sent to.
    pub(super) unsettled: BTreeSet<usize>,
    /// Units of which other machines still say something than the one that they were sent to; and which machines.
    pub(super) lingering: BTreeMap<usize, BTreeSet<MachineId>>,
    /// Machines that cannot write unit files, and the units of which they say so.
    pub(super) stuck: BTreeMap<MachineId, BTreeSet<usize>>,
}

impl Draft {
    /// The plan is taken to be carried out.
    pub(super) fn settle(&mut self) {
        for unit in std::mem::take(&mut self.changed) {
            if self.units.contains(unit) && self.units.forget_if_empty(unit) {
                self.unsettled.remove(&unit);
                self.lingering.remove(&unit);
                self.failing.remove(&unit);
            }
        }
        self.left.clear();
    }

    /// Nobody is to be placed: what stands is all that is asked for. Machines that somebody had to leave are gone over the next time,
    /// whatever happens: who had to leave may stay by then, or its going may let others stay.
    pub(super) fn rest(&mut self) {
        for &unit in self
            .changed
            .iter()
            .filter(|&&unit| self.units.contains(unit))
        {
            let (places, known) = (self.places(unit), self.units.get(unit));
            // one with rows on several machines is on the first of them that may have it
            let astray = !known.is_global() && places.iter().count() > 1;
            let left = places
                .iter()
                .filter(|&host| astray || !known.seats.contains(host));
            self.dirty.extend(left);
        }
        self.queue = Queue::default();
        self.stirred.clear();
        self.fresh.clear();
        self.homeless_changed.clear();
        self.settle();
    }

    /// A unit comes to a machine; whom it replaces must go.
    pub(super) fn seat(&mut self, unit: usize, host: usize) {
        self.sit(unit, host);
        self.followers_hope(unit, host);
        self.push_replaced(unit, host);
    }

    /// A unit that may not stay leaves.
    pub(super) fn unseat(&mut self, unit: usize, host: usize, refusal: Refusal) {
        self.stand_up(unit, host);
        self.left.entry((unit, host)).or_insert(refusal);
        self.deserted.insert(host);
    }

    /// These machines may take others now: whoever has no place is tried again.
    pub(super) fn room_at(&mut self, hosts: Vec<usize>) {
        let live = hosts
            .into_iter()
            .filter(|&host| self.hosts.get(host).is_live());
        let live: Vec<usize> = live.collect();
        if live.is_empty() {
            return;
        }
        self.stirred.extend(live);
        self.hopeless.clear();
        let everyone = self.homeless.iter().chain(&self.globals);
        everyone.for_each(|&unit| self.queue.push(self.units.turn(unit)));
    }

    /// Units that follow `unit` and wait may now come.
    fn followers_hope(&mut self, unit: usize, host: usize) {
        let Some(wanted) = self.units.wanted(unit) else {
            return;
        };
        for &pattern in &wanted.matched_by {
            for &follower in &self.patterns.get(pattern).followers {
                let known = self.units.get(follower);
                if known.is_global() {
                    self.stirred.insert(host);
                }
                if known.is_global() || known.seats.is_empty() {
                    self.queue.push(self.units.turn(follower));
                }
            }
        }
    }

    fn push_replaced(&mut self, winner: usize, host: usize) {
        let named: BTreeSet<usize> = match self.units.wanted(winner) {
            Some(wanted) if !wanted.replaces.is_empty() => {
                let patterns = wanted.replaces.iter();
                patterns.flat_map(|&p| self.matching_at(p, host)).collect()
            }
            _ => return,
        };
        for loser in self.by_name(named) {
            if self.replaces(winner, loser) {
                let by = self.units.get(winner).name.clone();
                self.unseat(loser, host, Refusal::Replaced(by));
            }
        }
    }

    /// The guests of a machine that a pattern matches.
    pub(super) fn matching_at(&self, pattern: usize, host: usize) -> Vec<usize> {
        let known = self.patterns.get(pattern);
        if known.at(host).matching == 0 {
            return Vec::new();
        }
        let guests = self.hosts.get(host).guests.iter().copied();
        guests
            .filter(|&guest| known.pattern.matches(self.units.get(guest).name.as_str()))
            .collect()
    }

    pub(super) fn by_name(&self, units: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let mut units: Vec<usize> = units.into_iter().collect();
        units.sort_by(|a, b| self.units.get(*a).name.cmp(&self.units.get(*b).name));
        units
    }

    /// Keeps the numbers: nothing follows from it.
    pub(super) fn sit(&mut self, unit: usize, host: usize) {
        if !self.units.get_mut(unit).seats.insert(host) {
            return;
        }
        self.hosts.get_mut(host).guests.insert(unit);
        self.set_homeless(unit, false);
        self.changed.insert(unit);
        self.count(unit, host, 1);
    }

    /// The same for one who leaves.
    pub(super) fn stand_up(&mut self, unit: usize, host: usize) {
        if !self.units.get_mut(unit).seats.remove(host) {
            return;
        }
        self.hosts.get_mut(host).guests.remove(&unit);
        let known = self.units.get(unit);
        if known.seats.is_empty() && known.wanted.is_some() {
            self.queue.push(self.units.turn(unit));
            self.set_homeless(unit, true);
        }
        self.changed.insert(unit);
        self.count(unit, host, -1);
    }

    pub(super) fn set_homeless(&mut self, unit: usize, homeless: bool) {
        let changed = match homeless {
            true => self.homeless.insert(unit),
            false => self.homeless.remove(&unit),
        };
        // twice changed is as it was
        if changed && !self.homeless_changed.remove(&unit) {
            self.homeless_changed.insert(unit);
        }
    }

    fn count(&mut self, unit: usize, host: usize, by: i32) {
        let Some(wanted) = self.units.wanted(unit) else {
            return;
        };
        for &pattern in &wanted.matched_by {
            let known = self.patterns.get_mut(pattern);
            known.count(host, |counts| add(&mut counts.matching, by));
        }
        for &pattern in &wanted.conflicts {
            let known = self.patterns.get_mut(pattern);
            known.count(host, |counts| add(&mut counts.conflicting, by));
        }
        for &pattern in &wanted.replaces {
            let known = self.patterns.get_mut(pattern);
            known.count(host, |counts| add(&mut counts.replacing, by));
        }
        let reservation = wanted.reservation();
        let weight = self.weight(unit, host);
        let host = self.hosts.get_mut(host);
        let before = host.rank();
        match by > 0 {
            true => host.reserved = host.reserved.plus(reservation),
            false => host.reserved = host.reserved.minus(reservation),
        }
        add(&mut host.load, by * weight);
        self.pools.reload(&host.pools, &before, &host.rank());
    }

    /// What a unit adds to a machine's load: one, or as many percent of the machine as it reserves.
    pub(super) fn weight(&self, unit: usize, host: usize) -> i32 {
        let wanted = self.units.wanted(unit);
        let live = self.hosts.get(host).live.as_ref();
        let (Some(wanted), Some(live)) = (wanted, live) else {
            return 1;
        };
        let percent = wanted.reservation().percent_of(live.capacity);
        i32::try_from(percent.max(1)).unwrap_or(1)
    }
}

fn add(count: &mut u32, by: i32) {
    *count = count.saturating_add_signed(by);
}
