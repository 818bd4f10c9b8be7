//! The watches of all streams, found by the key that was written.
//!
//! They are looked up by what all their keys begin with, so that with thousands of machines that watch a part of their own each, a
//! write costs a few look-ups.

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
    /// Watches of one key.
    keys: HashMap<Bytes, Vec<Listener>>,
    /// Watches of ranges, by their stems.
    stems: HashMap<Bytes, Vec<Listener>>,
    /// How many watches there are with stems of each length.
    lengths: BTreeMap<usize, usize>,
}

#[derive(Debug, Clone)]
struct Listener {
    range: KeyRange,
    feed: Arc<Feed>,
    watch: i64,
}

impl Hub {
    /// Adds a watch.
    pub(crate) fn add(&self, range: &KeyRange, feed: &Arc<Feed>, watch: i64) {
        let listener = Listener {
            range: range.clone(),
            feed: Arc::clone(feed),
            watch,
        };
        let (mut index, stem) = (self.lock(), range.stem());
        if !range.is_single() {
            *index.lengths.entry(stem.len()).or_default() += 1;
        }
        let listeners = index.watches_like(range).entry(stem);
        listeners.or_default().push(listener);
    }

    /// Removes a watch.
    pub(crate) fn remove(&self, range: &KeyRange, feed: &Arc<Feed>, watch: i64) {
        let is_it = |l: &Listener| l.watch == watch && Arc::ptr_eq(&l.feed, feed);
        let (mut index, stem) = (self.lock(), range.stem());
        if !range.is_single() {
            index.shorten(stem.len());
        }
        remove_from(index.watches_like(range), &stem, is_it);
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
    fn watches_like(&mut self, range: &KeyRange) -> &mut HashMap<Bytes, Vec<Listener>> {
        match range.is_single() {
            true => &mut self.keys,
            false => &mut self.stems,
        }
    }

    fn concerned<'a>(&'a self, key: &'a [u8]) -> impl Iterator<Item = &'a Listener> {
        let lengths = self.lengths.keys();
        let lengths = lengths.take_while(|length| **length <= key.len());
        let stems = lengths.filter_map(|length| self.stems.get(&key[..*length]));
        let by_stem = stems
            .flatten()
            .filter(|listener| listener.range.contains(key));
        self.keys.get(key).into_iter().flatten().chain(by_stem)
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
        assert!(hub.lock().lengths.is_empty() && hub.lock().stems.is_empty());
    }
}
