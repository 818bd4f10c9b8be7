//! The machines as the planner sees them.

use std::collections::{BTreeMap, BTreeSet};

use slab::Slab;

use super::Refusal;
use super::pools::{Membership, Metadata, Rank};
use crate::{Cordon, MachineId, Resources};

/// Every machine that is alive or has records. A machine's index stands for it.
#[derive(Default)]
pub(super) struct Hosts {
    hosts: Slab<Host>,
    by_id: BTreeMap<MachineId, usize>,
}

/// One machine.
pub(super) struct Host {
    pub(super) id: MachineId,
    /// None if its lease has ended.
    pub(super) live: Option<Live>,
    /// Units with a row or a target here.
    pub(super) known: BTreeSet<usize>,
    /// The units that the draft has here.
    pub(super) guests: BTreeSet<usize>,
    /// What they weigh.
    pub(super) load: u32,
    /// What they reserve.
    pub(super) reserved: Resources,
    /// The pools that it stands in.
    pub(super) pools: Vec<Membership>,
    /// Not while its guests are being gone over.
    pub(super) in_pools: bool,
}

/// What is known of a machine that is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) leaving: bool,
    /// An operator's order to keep new units away; global units do not heed it.
    pub(super) cordon: Option<Cordon>,
    pub(super) metadata: Metadata,
    pub(super) capacity: Resources,
}

impl Host {
    pub(super) fn rank(&self) -> Rank {
        Rank::new(self.load, &self.id)
    }

    pub(super) fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// How many of its units may be on their way elsewhere at a time, and why they leave; none if it is not being drained.
    pub(super) fn drain(&self) -> Option<(u32, Refusal)> {
        let cordon = self.live.as_ref()?.cordon.as_ref()?;
        Some((cordon.drain?, Refusal::Cordoned(cordon.reason.clone())))
    }
}

impl Hosts {
    pub(super) fn find(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// The machine's index; it is made known if it is not.
    pub(super) fn entry(&mut self, id: &MachineId) -> usize {
        if let Some(&at) = self.by_id.get(id) {
            return at;
        }
        let at = self.hosts.insert(Host {
            id: id.clone(),
            live: None,
            known: BTreeSet::new(),
            guests: BTreeSet::new(),
            load: 0,
            reserved: Resources::default(),
            pools: Vec::new(),
            in_pools: false,
        });
        self.by_id.insert(id.clone(), at);
        at
    }

    /// Forgets a machine of which there is nothing to know.
    pub(super) fn forget_if_empty(&mut self, at: usize) {
        let host = &self.hosts[at];
        if host.live.is_none() && host.known.is_empty() && host.guests.is_empty() {
            let host = self.hosts.remove(at);
            self.by_id.remove(&host.id);
        }
    }

    pub(super) fn get(&self, at: usize) -> &Host {
        &self.hosts[at]
    }

    pub(super) fn get_mut(&mut self, at: usize) -> &mut Host {
        &mut self.hosts[at]
    }

    pub(super) fn contains(&self, at: usize) -> bool {
        self.hosts.contains(at)
    }

    /// Those that are alive, in order of id.
    pub(super) fn live(&self) -> impl Iterator<Item = usize> + '_ {
        let all = self.by_id.values().copied();
        all.filter(|&at| self.hosts[at].is_live())
    }

    /// Those that are alive and whose id starts with `prefix`.
    pub(super) fn named<'s>(&'s self, prefix: &'s str) -> impl Iterator<Item = usize> + 's {
        use std::ops::Bound;
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let named = self.by_id.range::<str, _>(from);
        let named = named.take_while(move |(id, _)| id.as_str().starts_with(prefix));
        let named = named.map(|(_, &at)| at);
        named.filter(|&at| self.hosts[at].is_live())
    }
}
