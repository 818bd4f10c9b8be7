//! Who pushes whom off a machine.

use std::collections::BTreeSet;

use super::draft::Draft;
use super::units::Units;

impl Draft {
    /// Whether `winner` pushes `loser` off a machine: it names it, and does not lose its own place by that in turn. That may be
    /// when it follows the loser, or when the loser, wherever it goes, replaces it, be it through others.
    pub(super) fn replaces(&self, winner: usize, loser: usize) -> bool {
        let (Some(wins), Some(loses)) = (self.units.wanted(winner), self.units.wanted(loser))
        else {
            return false;
        };
        winner != loser
            && shares(&wins.replaces, &loses.matched_by)
            && Units::way(loser, winner, |unit| self.moved_by(unit)).is_none()
    }

    /// The units that may have to move when `unit` does: whom it replaces, and who follows it.
    fn moved_by(&self, unit: usize) -> Vec<usize> {
        let mut moved = self.replaced_by(unit);
        moved.extend(self.followers_of(unit));
        moved
    }

    /// The other way round.
    fn moved_with(&self, unit: usize) -> Vec<usize> {
        let mut movers = self.replacers_of(unit);
        movers.extend(self.peers_of(unit));
        movers
    }

    /// The units that `Replaces=` of `unit` names.
    fn replaced_by(&self, unit: usize) -> Vec<usize> {
        let patterns = self
            .units
            .wanted(unit)
            .map_or(&[][..], |wanted| &wanted.replaces);
        let patterns = patterns.iter().map(|&pattern| self.patterns.get(pattern));
        patterns
            .flat_map(|known| self.units.matching(&known.pattern))
            .collect()
    }

    /// The units that `MachineOf=` of `unit` names.
    pub(super) fn peers_of(&self, unit: usize) -> Vec<usize> {
        let peers = self.units.get(unit).peers();
        let patterns = peers.filter_map(|(pattern, _)| Some(self.patterns.get(pattern?)));
        patterns
            .flat_map(|known| self.units.matching(&known.pattern))
            .collect()
    }

    /// The units that replace `unit`.
    fn replacers_of(&self, unit: usize) -> Vec<usize> {
        let matched_by = self
            .units
            .wanted(unit)
            .map_or(&[][..], |wanted| &wanted.matched_by);
        let patterns = matched_by.iter().map(|&pattern| self.patterns.get(pattern));
        patterns
            .flat_map(|known| known.replacers.iter().copied())
            .collect()
    }

    /// The units that follow `unit`.
    fn followers_of(&self, unit: usize) -> Vec<usize> {
        let matched_by = self
            .units
            .wanted(unit)
            .map_or(&[][..], |wanted| &wanted.matched_by);
        let patterns = matched_by.iter().map(|&pattern| self.patterns.get(pattern));
        patterns
            .flat_map(|known| known.followers.iter().copied())
            .collect()
    }

    /// Units for which `unit` may decide who replaces whom: a way from one to the other leads by it.
    pub(super) fn replacement_kin(&self, unit: usize) -> BTreeSet<usize> {
        if self.replacers.is_empty() {
            return BTreeSet::new();
        }
        let mut kin = self.reach(unit, |unit| self.moved_by(unit));
        kin.append(&mut self.reach(unit, |unit| self.moved_with(unit)));
        kin.retain(|&unit| self.takes_part(unit));
        kin
    }

    /// Whether it replaces somebody or may be replaced.
    fn takes_part(&self, unit: usize) -> bool {
        self.units.wanted(unit).is_some_and(|wanted| {
            let mut matched = wanted.matched_by.iter();
            !wanted.replaces.is_empty()
                || matched.any(|&pattern| !self.patterns.get(pattern).replacers.is_empty())
        })
    }

    /// All that steps of `next` lead to.
    fn reach(&self, from: usize, next: impl Fn(usize) -> Vec<usize>) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            open.extend(next(at).into_iter().filter(|&unit| reached.insert(unit)));
        }
        reached
    }
}

/// Whether both have an index.
pub(super) fn shares(some: &[usize], others: &[usize]) -> bool {
    some.iter().any(|one| others.contains(one))
}
