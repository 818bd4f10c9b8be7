//! Leases: what exists, for how long it was granted, and which keys hang on it.
//!
//! When a lease ends is not decided here, where there is no clock.

use std::collections::{BTreeMap, BTreeSet};

use prost::bytes::Bytes;

use super::Refusal;
use crate::proto::etcdserverpb::LeaseGrantRequest;

/// The shortest time to live that is granted, in seconds. etcd rounds up to one and a half election
/// time-outs, which is this with its defaults.
const MIN_TTL: i64 = 2;
/// The longest time to live that is granted, in seconds (etcd's limit).
const MAX_TTL: i64 = 9_000_000_000;

/// All leases.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leases {
    table: BTreeMap<i64, Lease>,
}

/// One lease.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lease {
    ttl: i64,
    keys: BTreeSet<Bytes>,
}

impl Lease {
    /// The time to live that was granted, in seconds.
    pub(crate) fn ttl(&self) -> i64 {
        self.ttl
    }

    /// The keys that go when the lease goes, in key order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Bytes> {
        self.keys.iter()
    }
}

impl Leases {
    /// Decides whether a lease can be granted, and returns its id and its TTL.
    pub(crate) fn admit(&self, request: &LeaseGrantRequest) -> Result<(i64, i64), Refusal> {
        match request {
            LeaseGrantRequest { id: 0, .. } => Err(Refusal::LeaseNotFound),
            LeaseGrantRequest { ttl, .. } if *ttl > MAX_TTL => Err(Refusal::LeaseTtlTooLarge),
            LeaseGrantRequest { id, .. } if self.get(*id).is_some() => Err(Refusal::LeaseExists),
            LeaseGrantRequest { id, ttl } => Ok((*id, (*ttl).max(MIN_TTL))),
        }
    }

    pub(crate) fn grant(&mut self, id: i64, ttl: i64) {
        self.table.entry(id).or_default().ttl = ttl;
    }

    pub(crate) fn remove(&mut self, id: i64) {
        self.table.remove(&id);
    }

    pub(crate) fn get(&self, id: i64) -> Option<&Lease> {
        self.table.get(&id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &Lease)> {
        self.table.iter().map(|(id, lease)| (*id, lease))
    }

    /// Moves a key from one lease to another; 0 is no lease.
    pub(crate) fn attach(&mut self, key: &Bytes, from: i64, to: i64) {
        if from == to {
            return;
        }
        if let Some(lease) = self.table.get_mut(&from) {
            lease.keys.remove(key);
        }
        if let Some(lease) = self.table.get_mut(&to) {
            lease.keys.insert(key.clone());
        }
    }
}
