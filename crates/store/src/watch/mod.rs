//! Who wants to know of which keys, and the wake-up calls to them.
//!
//! A write does not hand events to watchers: it tells those concerned from which revision on there
//! is something to read, and they read it from the history when they can. So a slow watcher holds
//! up no write and costs no memory, and a watcher that nothing concerns is not woken.

mod hub;

pub(crate) use hub::Hub;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// What the watches of one stream have yet to read.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    /// For each watch with unread events, the revision of the first.
    unread: Mutex<BTreeMap<i64, i64>>,
    wake: Notify,
}

impl Feed {
    /// There is something to read for this watch, from this revision on at the earliest.
    pub(crate) fn mark(&self, watch: i64, revision: i64) {
        let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        let first = unread.entry(watch).or_insert(revision);
        *first = revision.min(*first);
        drop(unread);
        self.wake.notify_one();
    }

    /// Takes what there is to read: the watches, and where each begins.
    pub(crate) fn take(&self) -> BTreeMap<i64, i64> {
        std::mem::take(&mut *self.unread.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until something was marked.
    pub(crate) async fn marked(&self) {
        self.wake.notified().await;
    }
}
