//! Moves that operators order: one unit, or as many as make the cluster even. The leader makes none of them on its own.

use std::collections::BTreeSet;

use unitfile::UnitName;

use super::draft::Draft;
use super::{Refusal, Survey, Terms};
use crate::{Cluster, MachineId};

/// What a rebalance would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rebalance {
    /// Units with the machines that they leave and come to, in the order in which to move them.
    pub moves: Vec<(UnitName, MachineId, MachineId)>,
    /// The load of the machine that has the least and of the one that has the most: now, and then.
    pub before: (u32, u32),
    /// After all of them.
    pub after: (u32, u32),
}

/// The moves, at most so many, after which no other would make the cluster more even, or bring a unit where it would rather be. No
/// rule is broken by any of them, and nobody loses its place. Sticky units stay.
pub fn rebalance(cluster: &Cluster, max_moves: usize, terms: &Terms) -> Rebalance {
    let mut draft = Survey::of(cluster, terms).into_draft();
    draft.place();
    let mut rebalance = Rebalance {
        before: draft.loads(),
        ..Rebalance::default()
    };
    let mut moved = BTreeSet::new();
    while let Some((party, from, to)) = draft.best_move(&moved) {
        moved.extend(party.iter().copied());
        if rebalance.moves.len() + party.len() > max_moves {
            break;
        }
        for unit in party {
            let id = |host: usize| draft.hosts.get(host).id.clone();
            let name = draft.units.get(unit).name.clone();
            rebalance.moves.push((name, id(from), id(to)));
            draft.unseat(unit, from, Refusal::Ordered);
            draft.seat(unit, to);
        }
        draft.go_after();
    }
    rebalance.after = draft.loads();
    rebalance
}

impl Draft {
    /// Moves the units that operators have ordered to move, where that breaks no rule.
    pub(super) fn obey(&mut self, cluster: &Cluster) {
        for (name, to) in &cluster.moves {
            let (unit, to) = (self.units.find(name.as_str()), self.hosts.find(to.as_str()));
            let (Some(unit), Some(to)) = (unit, to) else {
                continue;
            };
            let known = self.units.get(unit);
            let from = known.seats.first().filter(|_| !known.is_global());
            let Some(from) = from.filter(|from| *from != to) else {
                continue;
            };
            let party = self.party_of(unit, from);
            if self.takes(&party, to).is_ok() {
                for unit in party {
                    self.unseat(unit, from, Refusal::Ordered);
                    self.seat(unit, to);
                }
            }
        }
    }

    /// The least and the highest load of machines that take units.
    fn loads(&self) -> (u32, u32) {
        let open = self.hosts.live().map(|host| self.hosts.get(host));
        let open = open.filter(|host| host.live.as_ref().is_some_and(|live| live.cordon.is_none()));
        let loads: Vec<u32> = open.map(|host| host.load).collect();
        let (least, most) = (loads.iter().min(), loads.iter().max());
        (least.copied().unwrap_or(0), most.copied().unwrap_or(0))
    }

    /// The first move that is worth it, from the most loaded machine on; nobody is moved twice.
    fn best_move(&self, moved: &BTreeSet<usize>) -> Option<(Vec<usize>, usize, usize)> {
        let mut hosts: Vec<usize> = self.hosts.live().collect();
        hosts.sort_by_key(|&host| std::cmp::Reverse(self.hosts.get(host).load));
        let mut moves = hosts.into_iter().flat_map(|host| {
            let parties = self.parties(host).into_iter();
            let parties = parties.filter(|party| !party.iter().any(|unit| moved.contains(unit)));
            parties.filter_map(move |party| {
                let to = self.better_place(&party, host)?;
                Some((party, host, to))
            })
        });
        moves.next()
    }

    /// Global units that come along because they belong beside somebody of the party.
    fn companions<'a>(
        &'a self,
        party: &'a [usize],
        from: usize,
        to: usize,
    ) -> impl Iterator<Item = usize> + 'a {
        let guests = self.hosts.get(from).guests.iter().copied();
        let globals = guests.filter(|&unit| self.units.get(unit).is_global());
        let new = globals.filter(move |&unit| !self.units.get(unit).seats.contains(to));
        new.filter(|&unit| party.iter().any(|&other| self.follows(unit, other)))
    }

    /// Where the party would rather be: its first unit prefers the machine, or that has less to carry even with the party.
    fn better_place(&self, party: &[usize], from: usize) -> Option<usize> {
        let sticky = |&unit: &usize| {
            let wanted = self
                .units
                .wanted(unit)
                .and_then(|wanted| wanted.requirements.as_ref());
            wanted.is_none_or(|wanted| wanted.sticky)
        };
        if party.iter().any(sticky) {
            return None;
        }
        let to = self.place_for(party)?;
        let first = *party.first()?;
        let comers = party
            .iter()
            .copied()
            .chain(self.companions(party, from, to));
        let weight: i64 = comers.map(|unit| i64::from(self.weight(unit, to))).sum();
        let load = |host: usize| i64::from(self.hosts.get(host).load);
        let here = (self.preference(first, from, true), load(from));
        let there = (self.preference(first, to, false), load(to) + weight);
        (there < here).then_some(to)
    }
}
