//! The patterns of unit names that units have in their files, and how many units on each machine they are about.
//!
//! So whether a unit may join others is a question of a few numbers, however many others there are.

use std::collections::{BTreeMap, BTreeSet};

use slab::Slab;
use unitfile::UnitName;

use crate::glob::Pattern;

/// Every pattern that some unit has, once. A pattern's index stands for it.
#[derive(Default)]
pub(super) struct Patterns {
    patterns: Slab<Known>,
    by_text: BTreeMap<String, usize>,
    /// By what all their matches start with.
    by_prefix: BTreeMap<String, Vec<usize>>,
    /// How many of those prefixes have this length, in bytes.
    lengths: BTreeMap<usize, usize>,
}

/// One pattern.
pub(super) struct Known {
    pub(super) pattern: Pattern,
    text: String,
    /// How often units have it.
    uses: usize,
    /// How many units that should be on a machine it matches.
    pub(super) matching: usize,
    /// Units that follow those that it matches.
    pub(super) followers: BTreeSet<usize>,
    /// Units that replace those that it matches.
    pub(super) replacers: BTreeSet<usize>,
    /// By machine.
    at: BTreeMap<usize, Counts>,
}

/// How many units on one machine have to do with a pattern.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// It matches their names.
    pub(super) matching: u32,
    /// They have it in `Conflicts=`.
    pub(super) conflicting: u32,
    /// They have it in `Replaces=`.
    pub(super) replacing: u32,
}

impl Patterns {
    /// The index of the pattern that `text` says, and whether it is a new one; none if it is malformed: that matches nothing.
    pub(super) fn take(&mut self, text: &str) -> Option<(usize, bool)> {
        if let Some(&at) = self.by_text.get(text) {
            self.patterns[at].uses += 1;
            return Some((at, false));
        }
        let pattern = Pattern::parse(text).ok()?;
        Some((self.add(text, pattern), true))
    }

    fn add(&mut self, text: &str, pattern: Pattern) -> usize {
        let prefix = pattern.prefix().to_owned();
        *self.lengths.entry(prefix.len()).or_default() += 1;
        let at = self.patterns.insert(Known {
            pattern,
            text: text.to_owned(),
            uses: 1,
            matching: 0,
            followers: BTreeSet::new(),
            replacers: BTreeSet::new(),
            at: BTreeMap::new(),
        });
        self.by_prefix.entry(prefix).or_default().push(at);
        self.by_text.insert(text.to_owned(), at);
        at
    }

    /// A unit has the pattern no more. Whether nobody has it any more: then it is gone.
    pub(super) fn release(&mut self, at: usize) -> bool {
        self.patterns[at].uses -= 1;
        let unused = self.patterns[at].uses == 0;
        if unused {
            self.remove(at);
        }
        unused
    }

    fn remove(&mut self, at: usize) {
        let known = self.patterns.remove(at);
        self.by_text.remove(&known.text);
        let prefix = known.pattern.prefix();
        if let Some(same) = self.by_prefix.get_mut(prefix) {
            same.retain(|&other| other != at);
            if same.is_empty() {
                self.by_prefix.remove(prefix);
            }
        }
        if let Some(count) = self.lengths.get_mut(&prefix.len()) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&prefix.len());
            }
        }
    }

    pub(super) fn get(&self, at: usize) -> &Known {
        &self.patterns[at]
    }

    pub(super) fn get_mut(&mut self, at: usize) -> &mut Known {
        &mut self.patterns[at]
    }

    /// Those that match `name`.
    pub(super) fn matching<'s>(&'s self, name: &'s UnitName) -> impl Iterator<Item = usize> + 's {
        let name = name.as_str();
        let prefixes = self
            .lengths
            .keys()
            .map_while(|&length| match name.len() < length {
                true => None,
                // a length in the middle of a character is the prefix of nothing
                false => Some(name.get(..length).unwrap_or("\0")),
            });
        let alike = prefixes.filter_map(|prefix| self.by_prefix.get(prefix));
        let alike = alike.flatten().copied();
        alike.filter(move |&at| self.patterns[at].pattern.matches(name))
    }
}

impl Known {
    pub(super) fn at(&self, host: usize) -> Counts {
        self.at.get(&host).copied().unwrap_or_default()
    }

    /// The machines with units that it matches, and how many those are.
    pub(super) fn hosts(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        let matched = self.at.iter().filter(|(_, counts)| counts.matching > 0);
        matched.map(|(&host, counts)| (host, counts.matching))
    }

    pub(super) fn count(&mut self, host: usize, change: impl FnOnce(&mut Counts)) {
        let counts = self.at.entry(host).or_default();
        change(counts);
        if *counts == Counts::default() {
            self.at.remove(&host);
        }
    }
}
