//! Which units changed since somebody last looked.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use unitfile::UnitName;

/// A set of changed units that one task fills and another empties. However many signals a unit sends, it
/// stands in the set once: a storm costs no memory and one look.
#[derive(Debug, Default)]
pub struct Changes {
    pending: Mutex<Changed>,
    wake: Notify,
}

/// What changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// Signals may have been lost: look at all units.
    pub everything: bool,
    /// These units changed.
    pub names: BTreeSet<UnitName>,
}

impl Changes {
    /// Waits until something changed, and takes all that changed.
    pub async fn next(&self) -> Changed {
        loop {
            let changed = std::mem::take(&mut *self.lock());
            if changed.everything || !changed.names.is_empty() {
                return changed;
            }
            self.wake.notified().await;
        }
    }

    /// Notes that one unit changed.
    pub fn note(&self, name: UnitName) {
        self.lock().names.insert(name);
        self.wake.notify_one();
    }

    /// Notes that any unit may have changed.
    pub fn note_everything(&self) {
        self.lock().everything = true;
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Changed> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
