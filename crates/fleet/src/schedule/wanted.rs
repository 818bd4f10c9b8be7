//! The units that should be on a machine, ready for the questions that placing asks.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use unitfile::UnitName;

use crate::glob::Pattern;
use crate::{Cluster, DesiredState, Requirements, Unit};

/// A unit that should be on a machine.
pub(super) struct Wanted<'a> {
    pub(super) unit: &'a Unit,
    /// None while the unit file is missing: then the unit stays where it is and goes nowhere else.
    pub(super) requirements: Option<&'a Requirements>,
    /// Whether it belongs on every machine that fits.
    pub(super) global: bool,
    pub(super) conflicts: Vec<Pattern>,
    pub(super) replaces: Vec<Pattern>,
}

impl<'a> Wanted<'a> {
    fn new(unit: &'a Unit, cluster: &Cluster) -> Self {
        let requirements = unit.requirements.as_deref();
        let patterns = |texts: fn(&Requirements) -> &[String]| {
            let texts = requirements.map(texts).unwrap_or_default();
            texts
                .iter()
                .filter_map(|text| Pattern::parse(text).ok())
                .collect()
        };
        Wanted {
            unit,
            requirements,
            // without its file, only its records tell what it is
            global: match requirements {
                Some(wanted) => wanted.global,
                None => !cluster.targets.contains_key(&unit.name),
            },
            conflicts: patterns(|wanted| &wanted.conflicts),
            replaces: patterns(|wanted| &wanted.replaces),
        }
    }

    pub(super) fn name(&self) -> &'a UnitName {
        &self.unit.name
    }

    pub(super) fn peers(&self) -> &'a [String] {
        self.requirements.map_or(&[], |wanted| &wanted.peers)
    }

    /// Whether it minds who else is on its machine.
    pub(super) fn has_patterns(&self) -> bool {
        !(self.conflicts.is_empty() && self.replaces.is_empty())
    }
}

/// Whether one of `patterns` matches `name`.
pub(super) fn matches_any(patterns: &[Pattern], name: &UnitName) -> bool {
    patterns
        .iter()
        .any(|pattern| pattern.matches(name.as_str()))
}

/// Every unit that is wanted, in order of name. A unit's index here stands for it.
pub(super) struct Units<'a> {
    units: Vec<Wanted<'a>>,
    /// Their names, close together because they are looked through so often.
    names: Vec<&'a str>,
}

impl<'a> Units<'a> {
    pub(super) fn of(cluster: &'a Cluster) -> Self {
        let wanted = cluster.units.values().filter(|unit| {
            // a template has no process of its own
            unit.desired != DesiredState::Inactive && !unit.name.is_template()
        });
        let units: Vec<Wanted> = wanted.map(|unit| Wanted::new(unit, cluster)).collect();
        let names = units.iter().map(|unit| unit.name().as_str()).collect();
        Units { units, names }
    }

    pub(super) fn len(&self) -> usize {
        self.units.len()
    }

    pub(super) fn get(&self, unit: usize) -> &Wanted<'a> {
        &self.units[unit]
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.names.binary_search(&name).ok()
    }

    /// Those of `among` that `pattern` matches.
    pub(super) fn matching<'s>(
        &'s self,
        pattern: &'s Pattern,
        among: &'s BTreeSet<usize>,
    ) -> impl Iterator<Item = usize> + 's {
        let (first, end) = self.range(pattern);
        among
            .range(first..end)
            .copied()
            .filter(|&unit| pattern.matches(self.get(unit).name().as_str()))
    }

    /// The indices between which matches of `pattern` can lie.
    fn range(&self, pattern: &Pattern) -> (usize, usize) {
        let prefix = pattern.prefix();
        let first = self.names.partition_point(|name| *name < prefix);
        let fits = |name: &&str| match pattern.is_literal() {
            true => *name == prefix,
            false => name.starts_with(prefix),
        };
        (first, first + self.names[first..].partition_point(fits))
    }

    /// Whether `winner` pushes `loser` off a machine: it names it, and is not pushed by it in turn, be it through others.
    /// Nor does a unit push one that it follows: it would have to leave at once.
    pub(super) fn replaces(&self, winner: usize, loser: usize) -> bool {
        winner != loser
            && matches_any(&self.get(winner).replaces, self.get(loser).name())
            && !self.leads_to(loser, winner, |unit| self.replaced_by(unit))
            && !self.leads_to(winner, loser, |unit| self.peers_of(unit))
    }

    /// The units that `Replaces=` of `unit` names.
    fn replaced_by(&self, unit: usize) -> impl Iterator<Item = usize> + '_ {
        let patterns = self.get(unit).replaces.iter();
        patterns.flat_map(|pattern| {
            let (first, end) = self.range(pattern);
            (first..end).filter(|&unit| pattern.matches(self.get(unit).name().as_str()))
        })
    }

    /// The units that `MachineOf=` of `unit` names.
    fn peers_of(&self, unit: usize) -> impl Iterator<Item = usize> + '_ {
        self.get(unit)
            .peers()
            .iter()
            .filter_map(|peer| self.find(peer))
    }

    /// Whether a way of `next` leads from one unit to another.
    fn leads_to<I: Iterator<Item = usize>>(
        &self,
        from: usize,
        to: usize,
        next: impl Fn(usize) -> I,
    ) -> bool {
        self.way(from, to, next).is_some()
    }

    /// The units on the shortest way by `MachineOf=` from `unit` back to itself; none if there is no such way.
    pub(super) fn peer_cycle(&self, unit: usize) -> Option<Vec<usize>> {
        self.way(unit, unit, |unit| self.peers_of(unit))
    }

    /// The units on the shortest way of one step at least, both ends included.
    fn way<I: Iterator<Item = usize>>(
        &self,
        from: usize,
        to: usize,
        next: impl Fn(usize) -> I,
    ) -> Option<Vec<usize>> {
        let mut came_from = BTreeMap::new();
        let mut open = VecDeque::from([from]);
        while let Some(at) = open.pop_front() {
            for unit in next(at) {
                if let Entry::Vacant(place) = came_from.entry(unit) {
                    place.insert(at);
                    open.push_back(unit);
                }
            }
            if came_from.contains_key(&to) {
                return Some(way_back(&came_from, from, to));
            }
        }
        None
    }
}

fn way_back(came_from: &BTreeMap<usize, usize>, from: usize, to: usize) -> Vec<usize> {
    let mut way = vec![to];
    let mut at = to;
    while let Some(&before) = came_from.get(&at) {
        way.push(before);
        at = before;
        if at == from {
            break;
        }
    }
    way.reverse();
    way
}
