//! How long to wait before the next attempt.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Pauses that double up to a cap, each drawn between half and all of its length, so that many
/// clients that lost the same server do not come back at the same moment.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    next: Duration,
}

impl Backoff {
    /// Begins with `first` and never waits longer than `cap`.
    pub fn new(first: Duration, cap: Duration) -> Self {
        Backoff {
            first,
            cap,
            next: first,
        }
    }

    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next.min(self.cap);
        self.next = pause * 2;
        jitter(pause)
    }

    /// Waits for the next pause to pass.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.pause()).await;
    }

    /// Begins anew: the last attempt went well.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

/// Between half of `pause` and all of it.
fn jitter(pause: Duration) -> Duration {
    let chance = chance() as f64 / u64::MAX as f64;
    pause.mul_f64(0.5 + chance / 2.0)
}

/// A number that nobody foresees and no two callers share: a fresh `RandomState` has fresh keys.
pub(crate) fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_cap_and_begin_anew_after_a_success() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(10), ms(40));
        for (shortest, longest) in [(5, 10), (10, 20), (20, 40), (20, 40)] {
            let pause = backoff.pause();
            assert!((ms(shortest)..=ms(longest)).contains(&pause), "{pause:?}");
        }
        backoff.reset();
        assert!(backoff.pause() <= ms(10));
    }
}
