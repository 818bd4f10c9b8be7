//! The watches of all streams, found by the key that was written.
//!
//! Almost all watch one key or one prefix. Those are looked up; only the rest is gone through one
//! by one. With a thousand machines that watch a prefix each, a write costs a few look-ups.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prost::bytes::Bytes;

use super::Feed;
use crate::state::KeyRange;

/// All watches.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    index: Mutex<Index>,
}

#[derive(Debug, Default)]
struct Index {
    keys: HashMap<Bytes, Vec<Listener>>,
    prefixes: HashMap<Bytes, Vec<Listener>>,
    /// How many watches there are for prefixes of each length.
    lengths: BTreeMap<usize, usize>,
    ranges: Vec<(KeyRange, Listener)>,
}

#[derive(Debug, Clone)]
struct Listener {
    feed: Arc<Feed>,
    watch: i64,
}

impl Hub {
    /// Adds a watch.
    pub(crate) fn add(&self, range: &KeyRange, feed: &Arc<Feed>, watch: i64) {
        let listener = Listener {
            feed: Arc::clone(feed),
            watch,
        };
        let mut index = self.lock();
        if range.is_single() {
            index
                .keys
                .entry(range.start().clone())
                .or_default()
                .push(listener);
        } else if let Some(prefix) = range.prefix() {
            *index.lengths.entry(prefix.len()).or_default() += 1;
            index
                .prefixes
                .entry(range.start().clone())
                .or_default()
                .push(listener);
        } else {
            index.ranges.push((range.clone(), listener));
        }
    }

    /// Removes a watch.
    pub(crate) fn remove(&self, range: &KeyRange, feed: &Arc<Feed>, watch: i64) {
        let is_it = |l: &Listener| l.watch == watch && Arc::ptr_eq(&l.feed, feed);
        let mut index = self.lock();
        if range.is_single() {
            remove_from(&mut index.keys, range.start(), is_it);
        } else if let Some(prefix) = range.prefix() {
            index.shorten(prefix.len());
            remove_from(&mut index.prefixes, range.start(), is_it);
        } else {
            index.ranges.retain(|(_, listener)| !is_it(listener));
        }
    }

    /// Wakes those who watch a key that was just written.
    pub(crate) fn written(&self, key: &[u8], revision: i64) {
        for listener in self.lock().concerned(key) {
            listener.feed.mark(listener.watch, revision);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn concerned<'a>(&'a self, key: &'a [u8]) -> impl Iterator<Item = &'a Listener> {
        let prefixes = self
            .lengths
            .keys()
            .take_while(|length| **length <= key.len());
        let by_prefix = prefixes
            .filter_map(|length| self.prefixes.get(&key[..*length]))
            .flatten();
        let by_range = self.ranges.iter().filter(|(range, _)| range.contains(key));
        let by_key = self.keys.get(key).into_iter().flatten();
        by_key
            .chain(by_prefix)
            .chain(by_range.map(|(_, listener)| listener))
    }

    fn shorten(&mut self, length: usize) {
        if let Some(count) = self.lengths.get_mut(&length) {
            *count -= 1;
        }
        self.lengths.retain(|_, count| *count > 0);
    }
}

fn remove_from(
    map: &mut HashMap<Bytes, Vec<Listener>>,
    key: &Bytes,
    is_it: impl Fn(&Listener) -> bool,
) {
    let Some(listeners) = map.get_mut(key) else {
        return;
    };
    listeners.retain(|listener| !is_it(listener));
    if listeners.is_empty() {
        map.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(key: &'static str, end: &'static str) -> KeyRange {
        KeyRange::new(
            Bytes::from_static(key.as_bytes()),
            &Bytes::from_static(end.as_bytes()),
        )
    }

    fn woken(feed: &Feed) -> Vec<(i64, i64)> {
        feed.take().into_iter().collect()
    }

    #[test]
    fn only_those_are_woken_whom_the_key_concerns() {
        let (hub, feed) = (Hub::default(), Arc::new(Feed::default()));
        hub.add(&range("a/1", ""), &feed, 1);
        hub.add(&range("a/", "a0"), &feed, 2);
        hub.add(&range("a", "c"), &feed, 3);
        hub.add(&range("b/", "b0"), &feed, 4);
        hub.written(b"a/1", 7);
        hub.written(b"a/2", 8);
        assert_eq!(woken(&feed), [(1, 7), (2, 7), (3, 7)]);
        hub.written(b"b/1", 9);
        assert_eq!(woken(&feed), [(3, 9), (4, 9)]);
    }

    #[test]
    fn a_watch_that_was_removed_is_not_woken() {
        let (hub, feed) = (Hub::default(), Arc::new(Feed::default()));
        for (watch, range) in [range("a", ""), range("a", "b"), range("a", "z")]
            .iter()
            .enumerate()
        {
            hub.add(range, &feed, watch as i64);
            hub.remove(range, &feed, watch as i64);
        }
        hub.written(b"a", 2);
        assert_eq!(woken(&feed), []);
        assert!(hub.lock().lengths.is_empty() && hub.lock().prefixes.is_empty());
    }
}
