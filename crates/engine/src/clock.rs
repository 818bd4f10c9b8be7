//! The time of day as plans are told it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, sleep_until};

/// Begins with the clock on the wall and then only runs: that somebody sets the clock makes no machine's absence longer.
pub(crate) struct Clock {
    /// Since the Unix epoch.
    started_at: Duration,
    started: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Clock {
            started_at: since.unwrap_or_default(),
            started: Instant::now(),
        }
    }

    /// Since the Unix epoch.
    pub(crate) fn now(&self) -> Duration {
        self.started_at + self.started.elapsed()
    }

    /// Waits until it is that time, for ever if there is none.
    pub(crate) async fn reaches(&self, time: Option<Duration>) {
        match time.and_then(|time| {
            self.started
                .checked_add(time.saturating_sub(self.started_at))
        }) {
            Some(time) => sleep_until(time).await,
            None => std::future::pending().await,
        }
    }
}
