//! A log that outlives its store, and not the process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::new_identity;
use crate::proto::storepb::Identity;
use crate::replica::{Recovered, Save};

/// What stores in memory have promised to keep, so that another one can go on where the last one has ended: for tests. Nothing
/// is ever removed from it. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct MemoryLog {
    identity: Identity,
    kept: Arc<Mutex<Recovered>>,
}

impl MemoryLog {
    /// The log of a store that is empty.
    #[expect(clippy::new_without_default, reason = "each is another store's")]
    pub fn new() -> Self {
        Self {
            identity: new_identity(),
            kept: Arc::new(Mutex::new(Recovered::genesis())),
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// All that was kept: the state is made from it anew.
    pub(crate) fn recover(&self) -> Recovered {
        self.lock().clone()
    }

    pub(crate) fn keep(&self, save: Save) {
        let mut kept = self.lock();
        kept.entries.extend(save.entries);
        if let Some(hard_state) = save.hard_state {
            kept.hard_state = hard_state;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Recovered> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
