//! How often etcd was asked, for what, and how long that took: for the metrics.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One kind of request, such as "reading a lease".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Operation {
    /// Requests that have come to an end.
    pub count: u64,
    /// Those of them that failed, after all attempts.
    pub failures: u64,
    /// How long they took, all together.
    pub time: Duration,
}

/// All kinds so far, by what was done.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<BTreeMap<&'static str, Operation>>);

impl Tally {
    pub(crate) fn count(&self, what: &'static str, took: Duration, failed: bool) {
        let mut operations = self.lock();
        let operation = operations.entry(what).or_default();
        operation.count += 1;
        operation.failures += u64::from(failed);
        operation.time += took;
    }

    pub(crate) fn operations(&self) -> BTreeMap<&'static str, Operation> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Operation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
