//! When leases end, by this member's clock.
//!
//! Deadlines are not replicated, as in etcd: a keep-alive costs no commit, and after a start every
//! lease has its full time to live again. So it has when this process did not run for a while (it was
//! stopped, the machine was suspended): nobody could renew anything meanwhile.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

/// A lease that should have ended this long ago tells that this process has not run: the end of a lease wakes it.
const OVERSLEPT: Duration = Duration::from_millis(500);

/// The deadlines of all leases.
#[derive(Debug, Default)]
pub(crate) struct Expiry {
    leases: HashMap<i64, Term>,
    queue: BTreeSet<(Instant, i64)>,
}

#[derive(Debug, Clone, Copy)]
struct Term {
    ttl: i64,
    deadline: Instant,
}

impl Expiry {
    /// A lease begins; `ttl` in seconds.
    pub(crate) fn grant(&mut self, id: i64, ttl: i64, now: Instant) {
        self.remove(id);
        let deadline = now + Duration::from_secs(ttl.unsigned_abs());
        self.leases.insert(id, Term { ttl, deadline });
        self.queue.insert((deadline, id));
    }

    /// Gives a lease its full time again, and returns that in seconds; `None` if it has ended.
    pub(crate) fn renew(&mut self, id: i64, now: Instant) -> Option<i64> {
        let ttl = self.leases.get(&id)?.ttl;
        self.grant(id, ttl, now);
        Some(ttl)
    }

    /// A lease ended.
    pub(crate) fn remove(&mut self, id: i64) {
        if let Some(term) = self.leases.remove(&id) {
            self.queue.remove(&(term.deadline, id));
        }
    }

    /// The whole seconds a lease has left.
    pub(crate) fn left(&self, id: i64, now: Instant) -> Option<i64> {
        let term = self.leases.get(&id)?;
        Some(
            term.deadline
                .saturating_duration_since(now)
                .as_secs()
                .cast_signed(),
        )
    }

    /// When the next lease ends, if nobody renews it.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(deadline, _)| *deadline)
    }

    /// Removes and returns the leases whose time is over. From now on they cannot be renewed.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<i64> {
        let mut due = Vec::new();
        if self.next().is_some_and(|at| now > at + OVERSLEPT) {
            self.renew_all(now);
        }
        while let Some((_, id)) = self.queue.first().copied().filter(|(at, _)| *at <= now) {
            self.remove(id);
            due.push(id);
        }
        due
    }

    fn renew_all(&mut self, now: Instant) {
        tracing::warn!("the store did not run for a while: all leases have their full time again");
        for (id, term) in self.leases.clone() {
            self.grant(id, term.ttl, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_lease_that_is_not_renewed_is_due_at_its_deadline() {
        let start = Instant::now();
        let mut expiry = Expiry::default();
        expiry.grant(1, 5, start);
        expiry.grant(2, 3, start);
        assert_eq!(expiry.next(), Some(after(start, 3)));
        assert!(expiry.take_due(after(start, 2)).is_empty());
        assert_eq!(expiry.take_due(after(start, 3)), [2]);
        assert_eq!(expiry.take_due(after(start, 5)), [1]);
        assert_eq!(expiry.next(), None);
    }

    #[test]
    fn after_a_sleep_all_leases_have_their_full_time() {
        let start = Instant::now();
        let mut expiry = Expiry::default();
        expiry.grant(1, 5, start);
        expiry.grant(2, 30, start);
        assert!(expiry.take_due(after(start, 20)).is_empty());
        assert_eq!(expiry.left(1, after(start, 20)), Some(5));
        assert_eq!(expiry.left(2, after(start, 20)), Some(30));
        assert_eq!(expiry.take_due(after(start, 25)), [1]);
    }

    #[test]
    fn a_renewed_lease_lives_on_and_one_that_was_due_cannot_be_renewed() {
        let start = Instant::now();
        let mut expiry = Expiry::default();
        expiry.grant(1, 5, start);
        assert_eq!(expiry.renew(1, after(start, 4)), Some(5));
        assert!(expiry.take_due(after(start, 8)).is_empty());
        assert_eq!(expiry.left(1, after(start, 8)), Some(1));
        assert_eq!(expiry.take_due(after(start, 9)), [1]);
        assert_eq!(expiry.renew(1, after(start, 9)), None);
    }
}
