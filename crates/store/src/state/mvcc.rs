//! Every version of every key since the last compaction, found by key and by revision.
//!
//! The model is etcd's: one counter for the whole store goes up by one with every command that
//! writes; a deletion is a record too (a *tombstone*); a compaction at revision C keeps, of each
//! key's versions up to C, the last one, unless that is a tombstone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use prost::bytes::Bytes;

use super::keyrange::KeyRange;
use crate::proto::mvccpb::KeyValue;

/// All keys with all versions that are still known.
#[derive(Debug, Clone)]
pub(crate) struct Mvcc {
    revision: i64,
    compacted: i64,
    /// Each key's versions, oldest first, never empty.
    keys: BTreeMap<Bytes, Vec<Arc<Record>>>,
    /// The known records from revision `compacted` on, in the order they were made.
    history: VecDeque<Arc<Record>>,
}

/// One version of one key. `kv.version` is 0 in a tombstone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) kv: KeyValue,
    /// The place among the records of the same revision.
    pub(crate) sub: u32,
}

impl Record {
    pub(crate) fn is_tombstone(&self) -> bool {
        self.kv.version == 0
    }
}

impl Default for Mvcc {
    fn default() -> Self {
        Self {
            revision: 1,
            compacted: -1,
            keys: BTreeMap::new(),
            history: VecDeque::new(),
        }
    }
}

impl Mvcc {
    pub(crate) fn revision(&self) -> i64 {
        self.revision
    }

    pub(crate) fn set_revision(&mut self, revision: i64) {
        self.revision = self.revision.max(revision);
    }

    pub(crate) fn compacted(&self) -> i64 {
        self.compacted
    }

    pub(crate) fn set_compacted(&mut self, revision: i64) {
        self.compacted = revision;
        self.trim_history();
    }

    /// Adds the newest record.
    pub(crate) fn insert(&mut self, record: Arc<Record>) {
        self.revision = record.kv.mod_revision;
        self.keys
            .entry(record.kv.key.clone())
            .or_default()
            .push(record.clone());
        if record.kv.mod_revision >= self.compacted {
            self.history.push_back(record);
        }
    }

    /// What the key holds now.
    pub(crate) fn latest(&self, key: &[u8]) -> Option<&KeyValue> {
        self.keys
            .get(key)
            .and_then(|versions| live(versions, self.revision))
    }

    /// What the key held just before `revision`, as far as it is still known.
    pub(crate) fn before(&self, key: &[u8], revision: i64) -> Option<&KeyValue> {
        self.keys
            .get(key)
            .and_then(|versions| live(versions, revision - 1))
    }

    /// The keys of a range as they were at `revision`, in key order.
    pub(crate) fn scan<'a>(
        &'a self,
        range: &KeyRange,
        revision: i64,
    ) -> impl Iterator<Item = &'a KeyValue> + use<'a> {
        let found = self.keys.range::<[u8], _>(range.bounds());
        found.filter_map(move |(_, versions)| live(versions, revision))
    }

    /// The records from revision `from` on, oldest first.
    pub(crate) fn since(&self, from: i64) -> impl Iterator<Item = &Arc<Record>> {
        let start = self
            .history
            .partition_point(|record| record.kv.mod_revision < from);
        self.history.range(start..)
    }

    /// All known records, in the order they were made.
    #[cfg(test)]
    pub(crate) fn records(&self) -> Vec<Arc<Record>> {
        let mut records: Vec<_> = self.keys.values().flatten().cloned().collect();
        records.sort_by_key(|record| (record.kv.mod_revision, record.sub));
        records
    }

    /// Drops what only reads before `revision` could see, and returns what was dropped.
    ///
    /// Only keys written since the last compaction can have something to drop, so the cost is that
    /// of the revisions compacted, not that of the whole store.
    pub(crate) fn compact(&mut self, revision: i64) -> Vec<Arc<Record>> {
        let mut touched: Vec<Bytes> = self
            .history
            .iter()
            .take_while(|record| record.kv.mod_revision <= revision)
            .map(|record| record.kv.key.clone())
            .collect();
        touched.sort_unstable();
        touched.dedup();
        let dropped = touched
            .iter()
            .flat_map(|key| self.compact_key(key, revision))
            .collect();
        self.set_compacted(revision);
        dropped
    }

    /// Drops one record that a compaction dropped elsewhere.
    pub(crate) fn forget(&mut self, record: &Record) {
        if let Some(versions) = self.keys.get_mut(&record.kv.key) {
            versions.retain(|known| known.kv.mod_revision != record.kv.mod_revision);
            self.remove_if_empty(&record.kv.key);
        }
    }

    fn compact_key(&mut self, key: &Bytes, revision: i64) -> Vec<Arc<Record>> {
        let Some(versions) = self.keys.get_mut(key) else {
            return Vec::new();
        };
        let old = versions.partition_point(|record| record.kv.mod_revision <= revision);
        let keeps_last = old > 0 && !versions[old - 1].is_tombstone();
        let dropped = versions.drain(..old - usize::from(keeps_last)).collect();
        versions.shrink_to_fit();
        self.remove_if_empty(key);
        dropped
    }

    fn remove_if_empty(&mut self, key: &Bytes) {
        if self.keys.get(key).is_some_and(Vec::is_empty) {
            self.keys.remove(key);
        }
    }

    /// Cuts the history to what a watch from the compacted revision may still ask for.
    fn trim_history(&mut self) {
        let (keys, compacted) = (&self.keys, self.compacted);
        let old = self
            .history
            .partition_point(|record| record.kv.mod_revision <= compacted);
        let kept: Vec<_> = self
            .history
            .drain(..old)
            .filter(|record| record.kv.mod_revision == compacted && known(keys, record))
            .collect();
        kept.into_iter()
            .rev()
            .for_each(|record| self.history.push_front(record));
        self.history.shrink_to(self.history.len() * 2);
    }
}

/// The version of a key that holds at `revision`, if the key exists then.
fn live(versions: &[Arc<Record>], revision: i64) -> Option<&KeyValue> {
    let seen = versions.partition_point(|record| record.kv.mod_revision <= revision);
    let last = versions[..seen].last()?;
    (!last.is_tombstone()).then_some(&last.kv)
}

fn known(keys: &BTreeMap<Bytes, Vec<Arc<Record>>>, record: &Arc<Record>) -> bool {
    keys.get(&record.kv.key)
        .is_some_and(|versions| versions.iter().any(|v| Arc::ptr_eq(v, record)))
}
