//! Machines by load, for each set of demands that units have.

use std::collections::BTreeMap;

use slab::Slab;

use crate::MachineId;
use crate::requirements::Demand;

/// For each demand that some unit has, the machines that meet it. A demand's index stands for it.
#[derive(Default)]
pub(super) struct Pools {
    by_demand: BTreeMap<Demand, usize>,
    pools: Slab<Pool>,
}

/// The machines that meet one demand.
pub(super) struct Pool {
    pub(super) demand: Demand,
    /// How many units have the demand.
    users: usize,
    by_merit: BTreeMap<Merit, usize>,
    pub(super) groups: Vec<Group>,
}

/// Machines that are alike in all but their load.
pub(super) struct Group {
    pub(super) merit: Merit,
    /// The least loaded first, ties by machine id.
    pub(super) hosts: BTreeMap<Rank, usize>,
}

/// What a unit's preferences see of a machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Merit {
    /// What preferences say against the machine: the weights of what it should avoid, less those of what it prefers.
    pub(super) cost: i32,
    /// The machine's value of each key of `Spread=`, in their order; empty without the key.
    pub(super) values: Vec<String>,
}

/// The order of machines that are alike in all else: by load, then by id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    load: u32,
    /// How the id begins: that nearly always tells, and is at hand.
    head: u128,
    id: MachineId,
}

impl Rank {
    pub(super) fn new(load: u32, id: &MachineId) -> Self {
        let mut head = [0; 16];
        let text = id.as_str().as_bytes();
        let length = text.len().min(head.len());
        head[..length].copy_from_slice(&text[..length]);
        Rank {
            load,
            head: u128::from_be_bytes(head),
            id: id.clone(),
        }
    }
}

/// Where a machine stands in the pools: pool and group.
pub(super) type Membership = (usize, usize);

impl Pools {
    /// A unit has this demand. Whether the pool is a new one, still without machines, is told with its index.
    pub(super) fn take(&mut self, demand: &Demand) -> (usize, bool) {
        if let Some(&at) = self.by_demand.get(demand) {
            self.pools[at].users += 1;
            return (at, false);
        }
        let at = self.pools.insert(Pool {
            demand: demand.clone(),
            users: 1,
            by_merit: BTreeMap::new(),
            groups: Vec::new(),
        });
        self.by_demand.insert(demand.clone(), at);
        (at, true)
    }

    /// A unit has it no more. Whether nobody has: then the pool is empty and gone, and no machine may name it any more.
    pub(super) fn release(&mut self, at: usize) -> Option<Pool> {
        self.pools[at].users -= 1;
        if self.pools[at].users > 0 {
            return None;
        }
        let pool = self.pools.remove(at);
        self.by_demand.remove(&pool.demand);
        Some(pool)
    }

    pub(super) fn get(&self, at: usize) -> &Pool {
        &self.pools[at]
    }

    /// A machine goes into every pool whose demand it meets; where it is then.
    pub(super) fn join(
        &mut self,
        metadata: &Metadata,
        rank: &Rank,
        host: usize,
    ) -> Vec<Membership> {
        let pools = self.pools.iter_mut();
        let joined = pools.filter_map(|(at, pool)| Some((at, pool.join(metadata, rank, host)?)));
        joined.collect()
    }

    /// The same for one pool.
    pub(super) fn join_one(
        &mut self,
        at: usize,
        metadata: &Metadata,
        rank: &Rank,
        host: usize,
    ) -> Option<Membership> {
        Some((at, self.pools[at].join(metadata, rank, host)?))
    }

    pub(super) fn leave(&mut self, memberships: &[Membership], rank: &Rank) {
        for &(pool, group) in memberships {
            self.pools[pool].groups[group].hosts.remove(rank);
        }
    }

    /// A machine's load has changed.
    pub(super) fn reload(&mut self, memberships: &[Membership], before: &Rank, after: &Rank) {
        for &(pool, group) in memberships {
            let hosts = &mut self.pools[pool].groups[group].hosts;
            if let Some(host) = hosts.remove(before) {
                hosts.insert(after.clone(), host);
            }
        }
    }
}

/// A machine's metadata as placement sees it.
pub(super) type Metadata = BTreeMap<String, String>;

impl Pool {
    /// The machine's group, if it meets the demand.
    fn join(&mut self, metadata: &Metadata, rank: &Rank, host: usize) -> Option<usize> {
        if !self.demand.is_met(metadata) {
            return None;
        }
        let merit = Merit {
            cost: self.demand.cost(metadata),
            values: self.demand.values(metadata),
        };
        let next = self.groups.len();
        let group = *self.by_merit.entry(merit.clone()).or_insert(next);
        if group == next {
            let hosts = BTreeMap::new();
            self.groups.push(Group { merit, hosts });
        }
        self.groups[group].hosts.insert(rank.clone(), host);
        Some(group)
    }

    /// The machines in it.
    pub(super) fn hosts(&self) -> impl Iterator<Item = usize> + '_ {
        let groups = self.groups.iter();
        groups.flat_map(|group| group.hosts.values().copied())
    }
}
