//! Machines by load, for each set of metadata that units ask for.

use std::collections::{BTreeMap, BTreeSet};

/// What `MachineMetadata=` asks: for each key, the values of which one must be there.
pub(super) type Metadata = BTreeMap<String, BTreeSet<String>>;

/// For each distinct requirement the machines that meet it, the least loaded first, ties by machine id.
/// A machine's index stands for it; indices are in order of machine id.
#[derive(Default)]
pub(super) struct Pools<'a> {
    by_requirement: BTreeMap<&'a Metadata, usize>,
    /// Load and machine.
    pools: Vec<BTreeSet<(usize, usize)>>,
    /// The pools that each machine is in.
    of_host: BTreeMap<usize, Vec<usize>>,
}

impl<'a> Pools<'a> {
    /// Makes the pool of `wanted` of its members (load and machine), unless it is there.
    pub(super) fn ensure<I>(&mut self, wanted: &'a Metadata, members: impl FnOnce() -> I)
    where
        I: Iterator<Item = (usize, usize)>,
    {
        let next = self.pools.len();
        if *self.by_requirement.entry(wanted).or_insert(next) == next {
            self.add(members().collect());
        }
    }

    /// The machines that meet `wanted`; none if there is no such pool.
    pub(super) fn get(&self, wanted: &Metadata) -> impl Iterator<Item = usize> + '_ {
        let pool = self
            .by_requirement
            .get(wanted)
            .and_then(|&pool| self.pools.get(pool));
        pool.into_iter().flatten().map(|&(_, host)| host)
    }

    fn add(&mut self, members: BTreeSet<(usize, usize)>) {
        for (_, host) in &members {
            self.of_host
                .entry(*host)
                .or_default()
                .push(self.pools.len());
        }
        self.pools.push(members);
    }

    /// A machine's load went from `before` to `after`.
    pub(super) fn reload(&mut self, host: usize, before: usize, after: usize) {
        for &pool in self.of_host.get(&host).into_iter().flatten() {
            self.pools[pool].remove(&(before, host));
            self.pools[pool].insert((after, host));
        }
    }
}

/// The first key of `wanted` of which `metadata` has no asked-for value, as `key=value|value`.
pub(super) fn lacking(metadata: &BTreeMap<String, String>, wanted: &Metadata) -> Option<String> {
    all_lacking(metadata, wanted).next()
}

/// All such keys.
pub(super) fn all_lacking<'a>(
    metadata: &'a BTreeMap<String, String>,
    wanted: &'a Metadata,
) -> impl Iterator<Item = String> + 'a {
    let met = |key: &String, values: &BTreeSet<String>| {
        metadata
            .get(key)
            .is_some_and(|value| values.contains(value))
    };
    let lacking = wanted.iter().filter(move |(key, values)| !met(key, values));
    lacking.map(|(key, values)| {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        format!("{key}={}", values.join("|"))
    })
}
