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
use crate::progress::Progress;
use crate::verdict::{Goal, Verdict, judge, success};
use crate::watch::Watch;

/// How often the clock is looked at; statuses are acted upon as they come.
const TICK: Duration = Duration::from_millis(100);
/// A doubtful status that stays for so long is the present, not the past.
const SETTLED: Duration = Duration::from_secs(1);
/// As [`SETTLED`], where changes are seen late.
const SETTLED_POLLED: Duration = Duration::from_millis(1500);
/// How long a unit may be on no machine, for a reason that the leader gives.
const UNPLACED: Duration = Duration::from_secs(5);
/// A request that was accepted shows up sooner, unless somebody has undone it. A lost server may not stay away for so
/// long.
const SHOWN: Duration = Duration::from_secs(15);
/// One round of `--block-attempts`.
const ROUND: Duration = Duration::from_secs(2);

/// A wait for some units.
pub(crate) struct Wait {
    goal: Goal,
    limit: Option<Duration>,
    settled: Duration,
    since: Instant,
    pending: BTreeMap<String, Pending>,
    progress: Progress,
    failures: Vec<Failure>,
}

/// One unit that is waited for.
#[derive(Debug)]
pub(crate) struct Pending {
    /// The unit file that was sent along, if one was.
    hash: Option<String>,
    /// systemd has been seen to act on the request.
    acted: bool,
    /// What its machines complained of before the request.
    old_problems: Vec<String>,
    /// The request has shown up in the statuses.
    shown: bool,
    status: UnitStatus,
    verdict: Verdict,
    /// When the verdict took its present form.
    since: Instant,
}

/// A unit that did not get where it was asked to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The unit.
    pub(crate) name: String,
    /// What kept it.
    pub(crate) cause: Cause,
}

/// What kept a unit from where it was asked to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It failed; how.
    Failed(String),
    /// No machine takes it; why.
    Unplaced(String),
    /// Somebody else wants it otherwise by now.
    Changed(String),
    /// The limit has passed; where the unit was then.
    TimedOut(String),
}

impl Pending {
    /// A unit on its way to `goal`, as it stood before the request if there was one. `hash` is that of the unit
    /// file sent along, if one was.
    pub(crate) fn new(goal: Goal, before: &UnitStatus, hash: Option<String>) -> Self {
        let verdict = judge(goal, hash.as_deref(), before);
        Pending {
            hash,
            acted: false,
            old_problems: before
                .states
                .iter()
                .map(|state| state.problem.clone())
                .filter(|problem| !problem.is_empty())
                .collect(),
            shown: !matches!(verdict, Verdict::Other(_)),
            status: before.clone(),
            verdict,
            since: Instant::now(),
        }
    }

    fn take(&mut self, goal: Goal, status: UnitStatus) {
        let verdict = judge(goal, self.hash.as_deref(), &status);
        self.shown |= !matches!(verdict, Verdict::Other(_));
        // what the unit ends in from here is this request's outcome
        self.acted |= self.shown
            && status
                .states
                .iter()
                .any(|state| state.active.ends_with("activating"));
        if std::mem::discriminant(&verdict) != std::mem::discriminant(&self.verdict) {
            self.since = Instant::now();
        }
        (self.verdict, self.status) = (verdict, status);
    }

    /// The outcome, if there is one by now. None: wait on.
    fn outcome(&self, goal: Goal, settled: Duration) -> Option<Result<(), Cause>> {
        let stays = self.since.elapsed() >= settled;
        // that it could not be started does not mean that it cannot be stopped
        let is_old = |how: &str| {
            self.old_problems
                .iter()
                .any(|old| how.ends_with(old.as_str()))
        };
        let stale = |how: &String| goal.is_withdrawal() && is_old(how);
        match &self.verdict {
            Verdict::Done => Some(Ok(())),
            Verdict::Likely if stays || self.acted => Some(Ok(())),
            Verdict::Failed(how) if stale(how) => None,
            Verdict::Failed(how) if stays || self.acted => Some(Err(Cause::Failed(how.clone()))),
            Verdict::Other(what) if self.shown || self.since.elapsed() >= SHOWN => {
                Some(Err(Cause::Changed(what.clone())))
            }
            _ => None,
        }
    }

    /// It is decided in a moment.
    pub(crate) fn is_settling(&self) -> bool {
        matches!(self.verdict, Verdict::Done | Verdict::Likely)
    }

    /// Where it is, for people.
    pub(crate) fn whereabouts(&self) -> &str {
        match &self.verdict {
            Verdict::Done | Verdict::Likely => "systemd has yet to say how it went",
            Verdict::Other(_) => "the cluster has not shown the request yet",
            Verdict::Failed(text) | Verdict::Coming(text) | Verdict::Unplaced(text) => text,
        }
    }

    /// For how long the leader has had a reason to put it nowhere.
    pub(crate) fn unplaced_for(&self) -> Option<Duration> {
        matches!(self.verdict, Verdict::Unplaced(_)).then(|| self.since.elapsed())
    }
}

impl Wait {
    /// A wait for `goal`: for `rounds` times two seconds, or without limit if that is not positive.
    pub(crate) fn new(goal: Goal, rounds: i64) -> Self {
        let rounds = u32::try_from(rounds).unwrap_or(0);
        Wait {
            goal,
            limit: (rounds > 0).then(|| ROUND.saturating_mul(rounds)),
            settled: SETTLED,
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
        self.settled = if watch.is_polled() {
            SETTLED_POLLED
        } else {
            SETTLED
        };
        let mut clock = interval(TICK);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.pending.is_empty() {
            tokio::select! {
                status = watch.next() => self.take(status?),
                _ = clock.tick() => self.look_at_the_clock(),
            }
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
            .and_then(|pending| pending.outcome(self.goal, self.settled));
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
