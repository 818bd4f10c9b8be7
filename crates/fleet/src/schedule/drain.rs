//! Takes units off machines that are being drained: a few at a time, each to a machine that may run it.
//!
//! Units that `MachineOf=` holds together go together, and nobody loses its place for them: what cannot go so stays. How many
//! are on their way is read off the picture, so that whoever leads goes on where another one stopped.

use std::collections::{BTreeMap, BTreeSet};

use unitfile::UnitName;

use super::draft::Draft;
use super::{Refusal, summary};
use crate::{Cluster, DesiredState, MachineId, UnitState};

/// Units on one machine that can only go together.
type Party = BTreeSet<usize>;

/// The units that a drain cannot take off a machine, and why, in a line each. Global units are none of them.
pub fn staying(cluster: &Cluster, machine: &MachineId) -> BTreeMap<UnitName, String> {
    let draft = Draft::standing(cluster);
    let host = draft.find_host(machine);
    host.map_or_else(BTreeMap::new, |host| draft.staying(host))
}

impl Draft<'_> {
    /// Moves as many units as may be on their way at a time.
    pub(super) fn drain(&mut self) {
        for host in 0..self.hosts.len() {
            let max = self.hosts[host].cordon.and_then(|cordon| cordon.drain);
            if let Some(max) = max {
                let max = usize::try_from(max).unwrap_or(usize::MAX);
                self.drain_host(host, max.saturating_sub(self.on_their_way(host)));
            }
        }
    }

    /// A party is not split, be it larger than what is left of the budget.
    fn drain_host(&mut self, host: usize, budget: usize) {
        let mut left = budget;
        for party in self.parties(host) {
            if left == 0 {
                return;
            }
            if let Some(to) = self.place_for(&party) {
                left = left.saturating_sub(party.len());
                for unit in party {
                    self.unseat(unit, host, Refusal::Cordoned);
                    self.seat(unit, to);
                }
            }
        }
    }

    fn staying(&self, host: usize) -> BTreeMap<UnitName, String> {
        let mut staying = BTreeMap::new();
        for party in self.parties(host) {
            let others = (0..self.hosts.len()).filter(|&other| other != host);
            let refusals = others.map(|other| {
                let refusal = self.takes(&party, other).err()?;
                Some((self.hosts[other].id.clone(), refusal))
            });
            if let Some(refusals) = refusals.collect::<Option<Vec<_>>>() {
                let why = summary(&refusals, refusals.len());
                let names = party.iter().map(|&unit| self.units.get(unit).name());
                staying.extend(names.map(|name| (name.clone(), why.clone())));
            }
        }
        staying
    }

    /// The units on a machine, as they hang together; without those that belong on every machine, unless they follow
    /// somebody, which the API does not allow and the records may have.
    fn parties(&self, host: usize) -> Vec<Party> {
        let guests = self.hosts[host].guests.iter().copied();
        let mut open: Party = guests
            .filter(|&unit| !self.units.get(unit).global)
            .collect();
        let mut parties = Vec::new();
        while let Some(first) = open.pop_first() {
            let mut party = Party::from([first]);
            while let Some(&next) = open.iter().find(|&&unit| self.belongs(unit, &party)) {
                open.remove(&next);
                party.insert(next);
            }
            parties.push(party);
        }
        parties
    }

    /// Whether a unit follows somebody of the party, or the other way round.
    fn belongs(&self, unit: usize, party: &Party) -> bool {
        let mut others = party.iter();
        others.any(|&other| self.follows(unit, other) || self.follows(other, unit))
    }

    fn follows(&self, follower: usize, unit: usize) -> bool {
        let name = self.units.get(unit).name().as_str();
        self.units
            .get(follower)
            .peers()
            .iter()
            .any(|peer| peer == name)
    }

    /// The least loaded machine that takes the whole party.
    fn place_for(&mut self, party: &Party) -> Option<usize> {
        let free = |unit: &&usize| !party.iter().any(|&other| self.follows(**unit, other));
        // somebody is first where all have been placed
        let first = *party.iter().find(free)?;
        self.least_loaded_of(first, |draft, host| draft.takes(party, host).is_ok())
    }

    /// Whether a machine may take all of them, and loses nobody by that.
    fn takes(&self, party: &Party, host: usize) -> Result<(), Refusal> {
        let mut party_members = party.iter();
        party_members.try_for_each(|&unit| self.takes_one(unit, party, host))
    }

    fn takes_one(&self, unit: usize, party: &Party, host: usize) -> Result<(), Refusal> {
        self.check_comer(unit, host)?;
        let guests = &self.hosts[host].guests;
        let global = self.units.get(unit).global;
        let here = |peer: &&String| {
            let peer = self.units.find(peer).filter(|_| !global);
            peer.is_some_and(|peer| party.contains(&peer) || guests.contains(&peer))
        };
        let mut peers = self.units.get(unit).peers().iter();
        if let Some(missing) = peers.find(|peer| !here(peer)) {
            return Err(Refusal::PeerElsewhere(missing.clone()));
        }
        self.check_guests(unit, host)?;
        let pushed = guests
            .iter()
            .find(|&&guest| self.units.replaces(unit, guest));
        pushed.map_or(Ok(()), |&guest| {
            Err(Refusal::Conflict(self.units.get(guest).name().clone()))
        })
    }

    /// Units that have been sent to other machines and are not yet there what they should be.
    fn on_their_way(&self, host: usize) -> usize {
        let elsewhere = |&unit: &usize| {
            let target = self.recorded.wanted[unit].backed_target();
            let target = target.filter(|target| *target != self.hosts[host].id);
            target.is_some_and(|target| {
                let wanted = self.units.get(unit).unit;
                let states = self.cluster.states.get(&wanted.name);
                let state = states.and_then(|states| states.get(target));
                !state.is_some_and(|state| has_settled(state, wanted.desired))
            })
        };
        (0..self.units.len())
            .filter(|&unit| !self.units.get(unit).global)
            .filter(elsewhere)
            .count()
    }
}

/// Whether there is nothing to wait for: it is where it should be, or it cannot get there.
fn has_settled(state: &UnitState, desired: DesiredState) -> bool {
    let failed = state.active == "failed" || !state.problem.is_empty();
    failed || (state.current >= desired && !state.starting)
}
