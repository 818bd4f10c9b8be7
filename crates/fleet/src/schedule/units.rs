//! The units as the planner sees them: what is wanted, what is recorded, where the draft has them.

use std::collections::btree_map::Entry as Place;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use slab::Slab;
use smallvec::SmallVec;
use unitfile::{Hash, UnitName};

use super::places::Places;
use super::queue::Turn;
use crate::glob::Pattern;
use crate::{Assignment, DesiredState, Requirements, Resources};

/// Every name of which there is a unit or a record, in order. A name's index stands for it.
#[derive(Default)]
pub(super) struct Units {
    units: Slab<Known>,
    by_name: BTreeMap<UnitName, usize>,
}

/// All that is known of one name.
pub(super) struct Known {
    pub(super) name: UnitName,
    /// Its unit's record; none if there is no such unit.
    pub(super) unit: Option<(Hash, DesiredState)>,
    /// None if it should be on no machine.
    pub(super) wanted: Option<Wanted>,
    pub(super) target: Option<usize>,
    /// By machine.
    pub(super) rows: SmallVec<[(usize, Assignment); 1]>,
    /// The machines that the draft has it on.
    pub(super) seats: Places,
    /// The files that are in use because of it.
    pub(super) files: SmallVec<[Hash; 1]>,
}

/// What a unit that should be on a machine asks for. Patterns are known by their index.
pub(super) struct Wanted {
    /// None while the unit file is missing: then the unit stays where it is and goes nowhere else.
    pub(super) requirements: Option<Arc<Requirements>>,
    /// Whether it belongs on every machine that fits.
    pub(super) global: bool,
    /// The pool of its demand.
    pub(super) pool: Option<usize>,
    pub(super) conflicts: Box<[usize]>,
    pub(super) replaces: Box<[usize]>,
    /// None for a malformed pattern, which nobody matches.
    pub(super) peers: Box<[Option<usize>]>,
    /// With weights.
    pub(super) avoids: Box<[(i32, usize)]>,
    /// The instances of its template, if it minds them.
    pub(super) siblings: Option<usize>,
    /// The patterns that match its name.
    pub(super) matched_by: SmallVec<[usize; 2]>,
}

impl Wanted {
    pub(super) fn reservation(&self) -> Resources {
        let wanted = self.requirements.as_ref();
        wanted.map_or(Resources::default(), |wanted| wanted.reservation)
    }

    /// Every pattern that it has, as often as it has it.
    pub(super) fn patterns(&self) -> impl Iterator<Item = usize> + '_ {
        let own = self.conflicts.iter().chain(&self.replaces).copied();
        own.chain(self.peers.iter().flatten().copied())
            .chain(self.avoids.iter().map(|&(_, pattern)| pattern))
            .chain(self.siblings)
    }
}

impl Known {
    fn new(name: &UnitName) -> Self {
        Known {
            name: name.clone(),
            unit: None,
            wanted: None,
            target: None,
            rows: SmallVec::new(),
            seats: Places::default(),
            files: SmallVec::new(),
        }
    }

    pub(super) fn is_global(&self) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| wanted.global)
    }

    /// Whether it is to be up elsewhere before it is stopped where it is.
    pub(super) fn starts_first(&self) -> bool {
        let wanted = self.wanted.as_ref();
        let wanted = wanted.and_then(|wanted| wanted.requirements.as_ref());
        wanted.is_some_and(|wanted| wanted.start_first)
    }

    pub(super) fn row(&self, host: usize) -> Option<&Assignment> {
        let at = self.rows.binary_search_by_key(&host, |(host, _)| *host);
        Some(&self.rows[at.ok()?].1)
    }

    pub(super) fn set_row(&mut self, host: usize, row: Option<Assignment>) {
        let at = self.rows.binary_search_by_key(&host, |(host, _)| *host);
        match (at, row) {
            (Ok(at), Some(row)) => self.rows[at].1 = row,
            (Ok(at), None) => drop(self.rows.remove(at)),
            (Err(at), Some(row)) => self.rows.insert(at, (host, row)),
            (Err(_), None) => {}
        }
    }

    /// The target, if there is a row where it points to.
    pub(super) fn backed_target(&self) -> Option<usize> {
        self.target.filter(|&host| self.row(host).is_some())
    }

    /// Whether there is nothing to know of it.
    fn is_empty(&self) -> bool {
        self.unit.is_none()
            && self.target.is_none()
            && self.rows.is_empty()
            && self.seats.is_empty()
    }

    /// The patterns of machines' units that it follows, with the names as they stand in its file.
    pub(super) fn peers(
        &self,
    ) -> impl Iterator<Item = (Option<usize>, &crate::requirements::Peer)> {
        let wanted = self.wanted.as_ref();
        let named = wanted.and_then(|wanted| wanted.requirements.as_ref());
        let patterns = wanted.map_or(&[][..], |wanted| &wanted.peers);
        let named = named.map_or(&[][..], |named| &named.peers);
        patterns.iter().copied().zip(named)
    }

    pub(super) fn follows(&self) -> bool {
        self.wanted
            .as_ref()
            .is_some_and(|wanted| !wanted.peers.is_empty())
    }
}

impl Units {
    pub(super) fn len(&self) -> usize {
        self.units.len()
    }

    pub(super) fn get(&self, at: usize) -> &Known {
        &self.units[at]
    }

    pub(super) fn get_mut(&mut self, at: usize) -> &mut Known {
        &mut self.units[at]
    }

    pub(super) fn contains(&self, at: usize) -> bool {
        self.units.contains(at)
    }

    /// All names, in order, with their indices.
    pub(super) fn by_name(&self) -> Vec<(UnitName, usize)> {
        let all = self.by_name.iter();
        all.map(|(name, &at)| (name.clone(), at)).collect()
    }

    /// When it gets its place; meaningful while it is wanted.
    pub(super) fn turn(&self, unit: usize) -> Turn {
        let known = &self.units[unit];
        Turn {
            single: !known.is_global(),
            name: known.name.clone(),
            unit,
        }
    }

    /// What is asked for by a unit that is known to be wanted.
    pub(super) fn wanted(&self, at: usize) -> Option<&Wanted> {
        self.units[at].wanted.as_ref()
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The name's index; it is made known if it is not.
    pub(super) fn entry(&mut self, name: &UnitName) -> usize {
        if let Some(&at) = self.by_name.get(name) {
            return at;
        }
        let at = self.units.insert(Known::new(name));
        self.by_name.insert(name.clone(), at);
        at
    }

    /// All these names, in order, if none is known yet.
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a UnitName>) -> Self {
        let mut units = Slab::new();
        let indexed = names.map(|name| (name.clone(), units.insert(Known::new(name))));
        let by_name = indexed.collect();
        Units { units, by_name }
    }

    /// Forgets a name of which there is nothing to know. Whether that is so.
    pub(super) fn forget_if_empty(&mut self, at: usize) -> bool {
        let empty = self.units[at].is_empty();
        if empty {
            let known = self.units.remove(at);
            self.by_name.remove(&known.name);
        }
        empty
    }

    /// The units that should be on a machine and that `pattern` matches, in order of name.
    pub(super) fn matching<'s>(&'s self, pattern: &'s Pattern) -> impl Iterator<Item = usize> + 's {
        use std::ops::Bound;
        let prefix = pattern.prefix();
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let named = self.by_name.range::<str, _>(from);
        let named = named.take_while(move |(name, _)| match pattern.is_literal() {
            true => name.as_str() == prefix,
            false => name.as_str().starts_with(prefix),
        });
        let named = named.filter(|(name, _)| pattern.matches(name.as_str()));
        let named = named.map(|(_, &at)| at);
        named.filter(|&at| self.units[at].wanted.is_some())
    }

    /// The units on the shortest way of one step at least, both ends included; none if no way of `next` leads there.
    pub(super) fn way(
        from: usize,
        to: usize,
        next: impl Fn(usize) -> Vec<usize>,
    ) -> Option<Vec<usize>> {
        let mut came_from = BTreeMap::new();
        let mut open = VecDeque::from([from]);
        while let Some(at) = open.pop_front() {
            for unit in next(at) {
                if let Place::Vacant(place) = came_from.entry(unit) {
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
