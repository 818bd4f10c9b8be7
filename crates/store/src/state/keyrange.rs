//! A range of keys, as etcd's requests spell it.

use std::ops::Bound;

use prost::bytes::Bytes;

/// One key, or all keys from `start` up to an end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct KeyRange {
    start: Bytes,
    end: End,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum End {
    /// The range is the start key alone.
    Single,
    /// The range has no end.
    Open,
    /// The first key that is no longer in the range.
    Before(Bytes),
}

impl KeyRange {
    /// Reads `key` and `range_end`: an empty end means one key, a single zero byte means no end.
    pub(crate) fn new(key: Bytes, range_end: &Bytes) -> Self {
        let end = match range_end.as_ref() {
            b"" => End::Single,
            b"\0" => End::Open,
            _ => End::Before(range_end.clone()),
        };
        Self { start: key, end }
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        match &self.end {
            End::Single => key == self.start,
            End::Open => key >= &self.start[..],
            End::Before(end) => key >= &self.start[..] && key < &end[..],
        }
    }

    /// Can no key lie in it?
    pub(crate) fn is_empty(&self) -> bool {
        matches!(&self.end, End::Before(end) if *end <= self.start)
    }

    pub(crate) fn is_single(&self) -> bool {
        self.end == End::Single
    }

    /// What every key in it begins with.
    pub(crate) fn stem(&self) -> Bytes {
        let shared = match &self.end {
            End::Single => self.start.len(),
            End::Open => 0,
            End::Before(end) => {
                let pairs = self.start.iter().zip(end);
                pairs.take_while(|(a, b)| a == b).count()
            }
        };
        self.start.slice(..shared)
    }

    /// The same for `BTreeMap::range`, which panics on a range that ends before it starts.
    pub(crate) fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        let end = match &self.end {
            End::Single => Bound::Included(&self.start[..]),
            End::Open => Bound::Unbounded,
            End::Before(end) => Bound::Excluded(end.max(&self.start).as_ref()),
        };
        (Bound::Included(&self.start[..]), end)
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

    #[test]
    fn an_empty_end_is_one_key_and_a_zero_byte_is_no_end() {
        assert!(range("a", "").contains(b"a"));
        assert!(!range("a", "").contains(b"aa"));
        assert!(range("a", "\0").contains(b"zz"));
        assert!(!range("b", "\0").contains(b"a"));
    }

    #[test]
    fn a_range_that_ends_before_it_starts_is_empty() {
        assert!(range("b", "a").is_empty());
        assert!(!range("b", "a").contains(b"a"));
        assert!(!range("a", "b").is_empty());
    }

    #[test]
    fn a_stem_is_what_all_keys_begin_with() {
        assert_eq!(range("unit/", "unit0").stem(), "unit");
        assert_eq!(range("schedule/m1", "schedule/m10").stem(), "schedule/m1");
        assert_eq!(range("a", "c").stem(), "");
        assert_eq!(range("a", "\0").stem(), "");
        assert_eq!(range("a", "").stem(), "a");
    }
}
