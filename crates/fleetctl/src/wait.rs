//! Waits until units are where they were asked to be, and is never silent about it.
//!
//! A unit is done when its status says so. What takes longer than a moment is said on stderr; a unit that no
//! machine takes is given up after [`UNPLACED`] unless a limit was given, while its desired state stays.

use std::collections::BTreeMap;
use std::time::Duration;

use fleet::v2::UnitStatus;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::client::ClientError;
use crate::output;
use crate::pending::{Cause, Pending};
use crate::progress::{Progress, Tally};
use crate::verdict::{Goal, success};
use crate::watch::Watch;

/// How often the clock is looked at; statuses are acted upon as they come.
const TICK: Duration = Duration::from_millis(100);
/// How long a unit may be on no machine, for a reason that the leader gives.
const UNPLACED: Duration = Duration::from_secs(5);
/// One round of `--block-attempts`.
const ROUND: Duration = Duration::from_secs(2);

/// A wait for some units.
pub(crate) struct Wait {
    goal: Goal,
    limit: Option<Duration>,
    polled: bool,
    since: Instant,
    pending: BTreeMap<String, Pending>,
    progress: Progress,
    failures: Vec<Failure>,
}

/// A unit that did not get where it was asked to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The unit.
    pub(crate) name: String,
    /// What kept it.
    pub(crate) cause: Cause,
}

impl Wait {
    /// A wait for `goal`: for `rounds` times two seconds, or without limit if that is not positive.
    pub(crate) fn new(goal: Goal, rounds: i64) -> Self {
        let rounds = u32::try_from(rounds).unwrap_or(0);
        Wait {
            goal,
            limit: (rounds > 0).then(|| ROUND.saturating_mul(rounds)),
            polled: false,
            since: Instant::now(),
            pending: BTreeMap::new(),
            progress: Progress::default(),
            failures: Vec::new(),
        }
    }

    /// Waits for one unit more.
    pub(crate) fn add(&mut self, name: &str, pending: Pending) {
        self.pending.insert(name.to_owned(), pending);
    }

    /// Waits for all, printing each success as it comes. What failed comes back, in order of the names.
    ///
    /// # Errors
    /// When the server goes away and stays away.
    pub(crate) async fn run(mut self, watch: &mut Watch) -> Result<Vec<Failure>, ClientError> {
        self.polled = watch.is_polled();
        let tally = Tally::new(self.goal, self.pending.len());
        let mut clock = interval(TICK);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.pending.is_empty() {
            tokio::select! {
                status = watch.next() => self.take(status?),
                _ = clock.tick() => self.look_at_the_clock(),
            }
            tally.show(&self.pending, self.failures.len());
        }
        self.failures.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(self.failures)
    }

    fn take(&mut self, status: UnitStatus) {
        let name = status.name.clone();
        if let Some(pending) = self.pending.get_mut(&name) {
            pending.take(self.goal, status);
            self.settle(&name);
        }
    }

    fn look_at_the_clock(&mut self) {
        let names: Vec<String> = self.pending.keys().cloned().collect();
        names.iter().for_each(|name| self.settle(name));
        match self.limit {
            Some(limit) if self.since.elapsed() >= limit => self.give_up(),
            Some(_) => {}
            None => self.give_up_unplaced(),
        }
        self.progress.report(&self.pending);
    }

    fn settle(&mut self, name: &str) {
        let outcome = self
            .pending
            .get(name)
            .and_then(|pending| pending.outcome(self.goal, self.polled));
        match outcome {
            Some(Ok(())) => self.succeed(name),
            Some(Err(cause)) => self.fail(name, cause),
            None => {}
        }
    }

    fn succeed(&mut self, name: &str) {
        if let Some(pending) = self.pending.remove(name) {
            self.progress.moved();
            output::say(&success(&pending.status));
        }
    }

    fn fail(&mut self, name: &str, cause: Cause) {
        self.pending.remove(name);
        self.progress.moved();
        self.failures.push(Failure {
            name: name.to_owned(),
            cause,
        });
    }

    fn give_up(&mut self) {
        for (name, pending) in std::mem::take(&mut self.pending) {
            let cause = Cause::TimedOut(pending.whereabouts().to_owned());
            self.failures.push(Failure { name, cause });
        }
    }

    fn give_up_unplaced(&mut self) {
        let late = |pending: &Pending| pending.unplaced_for().is_some_and(|time| time >= UNPLACED);
        let names: Vec<String> = self
            .pending
            .iter()
            .filter(|(_, pending)| late(pending))
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            let reason = self
                .pending
                .get(&name)
                .map(|p| p.whereabouts().to_owned())
                .unwrap_or_default();
            self.fail(&name, Cause::Unplaced(reason));
        }
    }
}
