//! A log that outlives its store, and not the process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Batch, Checkpoint};
use crate::new_identity;
use crate::proto::storepb::Identity;
use crate::replica::Recovered;
use crate::state::State;

/// What stores in memory have promised to keep, so that another one can go on where the last one has ended: for tests. Clones are
/// handles to the same one.
#[derive(Debug, Clone)]
pub struct MemoryLog {
    identity: Identity,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Clone)]
struct Kept {
    log: Recovered,
    /// What the log has led to up to the last checkpoint.
    state: State,
}

impl MemoryLog {
    /// The log of a store that is empty.
    #[expect(clippy::new_without_default, reason = "each is another store's")]
    pub fn new() -> Self {
        let kept = Kept {
            log: Recovered::genesis(),
            state: State::default(),
        };
        Self {
            identity: new_identity(),
            kept: Arc::new(Mutex::new(kept)),
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// All that was kept.
    pub(crate) fn recover(&self) -> (Recovered, State) {
        let Kept { log, state } = self.lock().clone();
        (log, state)
    }

    pub(super) fn commit(&self, batch: Batch) {
        let mut kept = self.lock();
        if let Some(save) = batch.save {
            kept.log.entries.extend(save.entries);
            if let Some(hard_state) = save.hard_state {
                kept.log.hard_state = hard_state;
            }
        }
        if let Some(checkpoint) = batch.checkpoint {
            kept.check(checkpoint);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn check(&mut self, checkpoint: Checkpoint) {
        let Checkpoint { changes, progress } = checkpoint;
        for change in changes {
            self.state.restore(change);
        }
        self.state.restore_revision(progress.revision);
        self.log.applied = progress.applied;
        let needed = |index| index >= progress.applied;
        self.log.entries.retain(|entry| needed(entry.index));
    }
}
