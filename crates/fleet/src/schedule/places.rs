//! A small set of indices in order: nearly every unit is on one machine, and has one row.

use smallvec::SmallVec;

/// Indices, each once, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Places(SmallVec<[usize; 2]>);

impl Places {
    pub(super) fn contains(&self, place: usize) -> bool {
        self.0.binary_search(&place).is_ok()
    }

    /// Whether it was not there yet.
    pub(super) fn insert(&mut self, place: usize) -> bool {
        let at = self.0.binary_search(&place);
        if let Err(at) = at {
            self.0.insert(at, place);
        }
        at.is_err()
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, place: usize) -> bool {
        let at = self.0.binary_search(&place);
        if let Ok(at) = at {
            self.0.remove(at);
        }
        at.is_ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn first(&self) -> Option<usize> {
        self.0.first().copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<usize> for Places {
    fn from_iter<I: IntoIterator<Item = usize>>(places: I) -> Self {
        let mut all: SmallVec<_> = places.into_iter().collect();
        all.sort_unstable();
        all.dedup();
        Places(all)
    }
}
