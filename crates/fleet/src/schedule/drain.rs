//! Takes units off machines that are being drained: a few at a time, each to a machine that may run it.
//!
//! Units that `MachineOf=` holds together go together, and nobody loses its place for them: what cannot go so stays. How many
//! are on their way is read off the picture, so that whoever leads goes on where another one stopped.

use std::collections::{BTreeMap, BTreeSet};

use unitfile::UnitName;

use super::draft::Draft;
use super::{Refusal, summary};
use crate::{Cluster, DesiredState, MachineId, Resources, UnitState};

/// Units on one machine that can only go together.
pub(super) type Party = Vec<usize>;

impl Draft {
    /// Whether a unit is what it should be on the machine that it was sent to, or cannot get there; and where else it is.
    pub(super) fn sync_state(&mut self, cluster: &Cluster, unit: usize) {
        match self.is_settled(cluster, unit) {
            true => self.unsettled.remove(&unit),
            false => self.unsettled.insert(unit),
        };
        match self.left_behind(cluster, unit) {
            machines if machines.is_empty() => self.lingering.remove(&unit),
            machines => self.lingering.insert(unit, machines),
        };
        let stuck = self.stuck_on(cluster, unit);
        self.sync_stuck(unit, &stuck);
        match self.keeps_failing(cluster, unit) {
            true => self.failing.insert(unit),
            false => self.failing.remove(&unit),
        };
    }

    fn is_settled(&self, cluster: &Cluster, unit: usize) -> bool {
        let Some((desired, target)) = self.sent(unit) else {
            return true;
        };
        let states = cluster.states.get(&self.units.get(unit).name);
        let state = states.and_then(|states| states.get(target));
        state.is_some_and(|state| has_settled(state, desired))
    }

    /// The machines that are not done with a unit which was sent elsewhere. One that has failed there, and goes on where it was for
    /// as long as it has, is waited for nowhere.
    fn left_behind(&self, cluster: &Cluster, unit: usize) -> BTreeSet<MachineId> {
        let (known, Some((_, target))) = (self.units.get(unit), self.sent(unit)) else {
            return BTreeSet::new();
        };
        let states = cluster.states.get(&known.name);
        let there = states.and_then(|states| states.get(target));
        if known.starts_first() && there.is_some_and(has_failed) {
            return BTreeSet::new();
        }
        let machines = states.into_iter().flat_map(BTreeMap::keys);
        machines.filter(|id| *id != target).cloned().collect()
    }

    /// What a unit is to be, and on which machine by the records; none if that is every one that fits, or none.
    fn sent(&self, unit: usize) -> Option<(DesiredState, &MachineId)> {
        let known = self.units.get(unit);
        let (_, desired) = known.unit?;
        let single = known.wanted.is_some() && !known.is_global();
        let target = known.backed_target().filter(|_| single)?;
        Some((desired, &self.hosts.get(target).id))
    }

    /// Moves as many units as may be on their way at a time.
    pub(super) fn drain(&mut self, cluster: &Cluster) {
        self.obey(cluster);
        self.move_stuck(cluster);
        self.move_failing();
        let live: Vec<usize> = self.hosts.live().collect();
        for host in live {
            if let Some((max, why)) = self.hosts.get(host).drain() {
                let max = usize::try_from(max).unwrap_or(usize::MAX);
                self.drain_host(host, max.saturating_sub(self.on_their_way(host)), &why);
            }
        }
        self.go_after();
    }

    /// Those that belong beside others wherever they are come along.
    pub(super) fn go_after(&mut self) {
        for host in self.deserted.clone() {
            self.drop_followers(host);
        }
        self.make_room();
        self.place();
    }

    /// A party is not split, be it larger than what is left of the budget.
    fn drain_host(&mut self, host: usize, budget: usize, why: &Refusal) {
        let mut left = budget;
        for party in self.parties(host) {
            if left == 0 {
                return;
            }
            if let Some(to) = self.place_for(&party) {
                left = left.saturating_sub(party.len());
                for unit in party {
                    self.unseat(unit, host, why.clone());
                    self.seat(unit, to);
                }
            }
        }
    }

    pub(super) fn staying(&self, host: usize) -> BTreeMap<UnitName, String> {
        let mut staying = BTreeMap::new();
        for party in self.parties(host) {
            let others = self.hosts.live().filter(|&other| other != host);
            let refusals = others.map(|other| {
                let refusal = self.takes(&party, other).err()?;
                Some((self.hosts.get(other).id.clone(), refusal))
            });
            if let Some(refusals) = refusals.collect::<Option<Vec<_>>>() {
                let why = summary(&refusals, refusals.len());
                let names = party.iter().map(|&unit| self.units.get(unit).name.clone());
                staying.extend(names.map(|name| (name, why.clone())));
            }
        }
        staying
    }

    /// The units that can only go together with `unit`.
    pub(super) fn party_of(&self, unit: usize, host: usize) -> Party {
        let parties = self.parties(host).into_iter();
        let mut own = parties.filter(|party| party.contains(&unit));
        own.next().unwrap_or_default()
    }

    /// The units on a machine, as they hang together, in order of name; without those that belong on every machine, unless they
    /// follow somebody.
    pub(super) fn parties(&self, host: usize) -> Vec<Party> {
        let guests = self.hosts.get(host).guests.iter().copied();
        let mut open = self.by_name(guests.filter(|&unit| !self.units.get(unit).is_global()));
        let mut parties = Vec::new();
        while !open.is_empty() {
            let mut party = vec![open.remove(0)];
            while let Some(next) = open.iter().position(|&unit| self.belongs(unit, &party)) {
                party.push(open.remove(next));
            }
            parties.push(self.by_name(party));
        }
        parties
    }

    /// Whether a unit follows somebody of the party, or the other way round.
    fn belongs(&self, unit: usize, party: &[usize]) -> bool {
        let mut others = party.iter();
        others.any(|&other| self.follows(unit, other) || self.follows(other, unit))
    }

    pub(super) fn follows(&self, follower: usize, unit: usize) -> bool {
        let matched_by = self.units.wanted(unit).map(|wanted| &wanted.matched_by);
        let mut peers = self.units.get(follower).peers();
        let of = |pattern: Option<usize>| {
            let pattern = pattern.filter(|_| follower != unit);
            pattern
                .zip(matched_by)
                .is_some_and(|(pattern, matched_by)| matched_by.contains(&pattern))
        };
        peers.any(|(pattern, _)| of(pattern))
    }

    /// The best machine that takes the whole party.
    pub(super) fn place_for(&self, party: &[usize]) -> Option<usize> {
        self.best_place(party, None)
    }

    /// The same, of all machines but one.
    pub(super) fn place_for_but(&self, party: &[usize], host: usize) -> Option<usize> {
        self.best_place(party, Some(host))
    }

    fn best_place(&self, party: &[usize], but: Option<usize>) -> Option<usize> {
        let free = |unit: &&usize| !party.iter().any(|&other| self.follows(**unit, other));
        // somebody is first where all have been placed
        let first = *party.iter().find(free)?;
        self.best_host_that(first, |host| {
            Some(host) != but && !self.is_crowded(first, host) && self.takes(party, host).is_ok()
        })
    }

    /// Whether a machine may take all of them, and loses nobody by that.
    pub(super) fn takes(&self, party: &[usize], host: usize) -> Result<(), Refusal> {
        let mut members = party.iter();
        members.try_for_each(|&unit| self.takes_one(unit, party, host))?;
        let reserved = party.iter().filter_map(|&unit| self.units.wanted(unit));
        let reserved = reserved.map(|wanted| wanted.reservation());
        self.check_reservation(reserved.fold(Resources::default(), Resources::plus), host)
    }

    fn takes_one(&self, unit: usize, party: &[usize], host: usize) -> Result<(), Refusal> {
        self.check_machine(unit, host)?;
        self.check_comer(unit, host)?;
        self.check_party_peers(unit, party, host)?;
        self.check_guests(unit, host)?;
        self.check_siblings(unit, host, self.siblings_among(unit, party))?;
        let guests = self.hosts.get(host).guests.iter();
        let pushed = guests.filter(|&&guest| self.replaces(unit, guest));
        let names = pushed.map(|&guest| &self.units.get(guest).name);
        names
            .min()
            .map_or(Ok(()), |first| Err(Refusal::Conflict(first.clone())))
    }

    fn siblings_among(&self, unit: usize, party: &[usize]) -> usize {
        let siblings = self.units.wanted(unit).and_then(|wanted| wanted.siblings);
        let others = party.iter().filter(|&&other| other != unit);
        let others = others.filter_map(|&other| self.units.wanted(other));
        siblings.map_or(0, |siblings| {
            others
                .filter(|other| other.matched_by.contains(&siblings))
                .count()
        })
    }

    /// The units that it follows are there or come along: of a pattern's any, or all.
    fn check_party_peers(&self, unit: usize, party: &[usize], host: usize) -> Result<(), Refusal> {
        let matches = |unit: usize, pattern: usize| {
            let wanted = self.units.wanted(unit);
            wanted.is_some_and(|wanted| wanted.matched_by.contains(&pattern))
        };
        let enough = |pattern: Option<usize>, all: bool| {
            let Some(pattern) = pattern else {
                return false;
            };
            let others = party.iter().filter(|&&other| other != unit);
            let coming = others.filter(|&&other| matches(other, pattern)).count();
            let peers = self.patterns.get(pattern);
            let then = peers.at(host).matching as usize + coming;
            match all {
                true => then > 0 && then == peers.matching - usize::from(matches(unit, pattern)),
                false => then > 0,
            }
        };
        let mut peers = self.units.get(unit).peers();
        let missing = peers.find(|(pattern, peer)| !enough(*pattern, peer.all));
        missing.map_or(Ok(()), |(_, peer)| {
            Err(Refusal::PeerElsewhere(peer.to_string()))
        })
    }

    /// Units that have been sent to other machines and are not yet there what they should be, or not yet gone from here.
    fn on_their_way(&self, host: usize) -> usize {
        let id = &self.hosts.get(host).id;
        let coming = self.unsettled.iter().copied();
        let coming = coming.filter(|&unit| self.units.get(unit).target != Some(host));
        let leaving = self.lingering.iter();
        let leaving = leaving.filter(|(_, machines)| machines.contains(id));
        let all: BTreeSet<usize> = coming.chain(leaving.map(|(unit, _)| *unit)).collect();
        all.len()
    }
}

/// Whether there is nothing to wait for: it is where it should be, or it cannot get there.
fn has_settled(state: &UnitState, desired: DesiredState) -> bool {
    let done = state.current >= desired && !state.starting;
    has_failed(state) || (done && !state.waits())
}

fn has_failed(state: &UnitState) -> bool {
    let failed = state.active == "failed" || !state.problem.is_empty();
    failed && !state.waits()
}
