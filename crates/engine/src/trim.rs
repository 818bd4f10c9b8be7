//! Keeping the events bounded, beside the leader's loop: planning does not wait for it.

use std::error::Error;
use std::sync::Arc;

use registry::{KEPT, Leadership};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

/// How many records are written until the oldest are looked for.
const OFTEN: u64 = 100;

/// Deletes the oldest events whenever enough new ones have been written, until it is dropped.
pub(crate) struct Trimmer {
    due: Arc<Notify>,
    /// How many had been written when it was due last.
    written: u64,
    _task: AbortOnDropHandle<()>,
}

impl Trimmer {
    /// What was written before this leadership is looked at first.
    pub(crate) fn start(leadership: &Leadership) -> Self {
        let (trim, due) = (leadership.trim(KEPT), Arc::new(Notify::new()));
        due.notify_one();
        let when = due.clone();
        let task = tokio::spawn(async move {
            loop {
                when.notified().await;
                match trim.run().await {
                    Ok(0) => {}
                    Ok(deleted) => tracing::debug!(deleted, "old events are kept no more"),
                    Err(error) => {
                        let error = &error as &dyn Error;
                        tracing::warn!(error, "old events are deleted another time");
                    }
                }
            }
        });
        Trimmer {
            due,
            written: 0,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// So many records have been written since the leadership began.
    pub(crate) fn written(&mut self, records: u64) {
        if records >= self.written + OFTEN {
            self.written = records;
            self.due.notify_one();
        }
    }
}
