//! What this machine has of one unit: its file, what systemd says, and how the last attempt went.

use std::time::Duration;

use fleet::converge::LocalUnit;
use fleet::{Assignment, DesiredState, UnitState};
use registry::Backoff;
use tokio::time::Instant;
use unitfile::{Hash, UnitName};

use crate::batch::Outcome;
use crate::failing::Failing;
use crate::failure::Failure;
use crate::files::Found;
use crate::systemd::{JobResult, Status};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// What waits for others is looked at soon at first, and then so often.
const SOON: Duration = Duration::from_millis(100);
const TURN: Duration = Duration::from_secs(1);

/// One unit on this machine.
#[derive(Debug, Default)]
pub(crate) struct Local {
    /// Which file of ours is there.
    pub(crate) file: Option<Hash>,
    /// Whether systemd was asked to start it since the machine booted.
    pub(crate) launched: bool,
    /// What systemd said last.
    pub(crate) status: Option<Status>,
    /// An order for it is under way.
    pub(crate) busy: bool,
    /// The assignment that the last order was given for.
    ordered: Option<Assignment>,
    /// Started after systemd said it last: it may be up by now.
    may_be_up: bool,
    /// systemd was asked to stop it, and has not said that it did.
    stop_ordered: bool,
    /// systemd took an order to start it, and how that ended has not been heard.
    start_job: bool,
    /// What went wrong with the last order; empty if nothing did.
    problem: String,
    /// It was that this machine takes no files.
    unwritable: bool,
    /// What went wrong when it last started; empty if nothing did.
    start_problem: String,
    /// What went wrong with the links of its file; empty if nothing did.
    link_problem: String,
    /// The assignment with which something went wrong for good.
    failed: Option<Assignment>,
    /// How often systemd had stopped what is fenced when it was started last.
    falls: u64,
    /// Nothing is wrong with it: others must be done with it first.
    waits: bool,
    /// How it has failed by itself, and when it is started again for that.
    pub(crate) failing: Failing,
    /// When to try again what went wrong for the moment.
    retry: Option<Retry>,
}

#[derive(Debug)]
struct Retry {
    /// None if it is due.
    at: Option<Instant>,
    backoff: Backoff,
}

impl From<Found> for Local {
    fn from(found: Found) -> Local {
        Local {
            file: found.hash,
            launched: found.launched,
            stop_ordered: found.stopping,
            ..Local::default()
        }
    }
}

impl Local {
    /// How [`fleet::converge::steps`] sees it.
    pub(crate) fn seen(&self) -> LocalUnit {
        LocalUnit {
            file: self.file,
            launched: self.launched,
            active: self.is_up(),
            busy: self.busy || self.rests_until().is_some(),
            kept: false,
            failed: self.failed.clone(),
        }
    }

    /// Whether systemd has given it up: it was started, and has failed since.
    pub(crate) fn has_failed(&self) -> bool {
        let failed = |status: &Status| status.active == "failed" && !status.starting;
        let failed = self.status.as_ref().is_some_and(failed);
        failed && self.launched && !self.busy && !self.start_job && !self.may_be_up
    }

    /// It is to be started once more, if its time has come.
    pub(crate) fn start_again(&mut self, now: Instant) {
        if self.failing.is_due(now) {
            self.launched = false;
        }
    }

    /// When it is to be tried again; none if nothing waits for that.
    pub(crate) fn rests_until(&self) -> Option<Instant> {
        self.retry.as_ref()?.at
    }

    /// Whether it runs, or is on its way up or down, or may be.
    pub(crate) fn is_up(&self) -> bool {
        let up = self.status.as_ref().is_none_or(Status::is_up);
        self.file.is_some() && (up || self.may_be_up)
    }

    /// Whether it is down in the midst of an order: the order's end is published, not this, which would look like
    /// the outcome of its last start.
    pub(crate) fn is_in_between(&self) -> bool {
        self.busy && !self.is_up()
    }

    /// It shall be as `assignment` says: forgets what went wrong with another one, and tells whether there was
    /// something. What rested long enough may be tried again.
    pub(crate) fn assigned(&mut self, assignment: Option<&Assignment>, now: Instant) -> bool {
        let trouble = self.failed.is_some() || self.retry.is_some();
        if trouble && self.ordered.as_ref() != assignment {
            (self.failed, self.retry, self.waits) = (None, None, false);
            self.problem.clear();
            return true;
        }
        if let Some(retry) = &mut self.retry {
            retry.at = retry.at.filter(|at| *at > now);
        }
        false
    }

    /// An order is given, because of `assignment`.
    pub(crate) fn ordered(&mut self, assignment: Option<&Assignment>) {
        self.busy = true;
        self.ordered = assignment.cloned();
    }

    /// The order is to stop it.
    pub(crate) fn stop_ordered(&mut self) {
        self.stop_ordered = true;
    }

    /// It is down, by an order of ours.
    pub(crate) fn stopped(&mut self, status: Status) {
        (self.launched, self.start_job, self.stop_ordered) = (false, false, false);
        self.failing = Failing::default();
        self.look(status);
        self.start_problem.clear();
        self.succeeded();
    }

    /// systemd took the order to start it.
    pub(crate) fn started(&mut self) {
        (self.launched, self.may_be_up, self.start_job) = (true, true, true);
        self.stop_ordered = false;
        self.failing.started();
        self.succeeded();
    }

    /// Its file is as ordered; the order to `start` it follows, or none.
    pub(crate) fn prepared(&mut self, outcome: Outcome, start: bool) {
        self.placed(outcome);
        self.start_problem.clear();
        if !start {
            self.succeeded();
        }
    }

    /// Its file is as ordered; what comes next may go wrong.
    pub(crate) fn placed(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Removed => *self = Local::default(),
            Outcome::Written(hash, problem) => {
                self.file = Some(hash);
                self.failing = Failing::default();
                self.link_problem = problem.unwrap_or_default();
            }
            Outcome::Kept => {}
        }
    }

    fn succeeded(&mut self) {
        self.busy = false;
        self.problem.clear();
        (self.failed, self.retry, self.waits) = (None, None, false);
    }

    /// It is about to be started; systemd has stopped what is fenced so often by now.
    pub(crate) fn start_ordered(&mut self, falls: u64) {
        self.falls = falls;
    }

    /// Whether systemd had stopped what is fenced as often when it was started last.
    pub(crate) fn was_started_at(&self, falls: u64) -> bool {
        self.falls == falls
    }

    /// systemd has stopped it because the machine's lease seemed to have ended: it is started anew, if it is ours still.
    pub(crate) fn fell(&mut self) {
        (self.launched, self.start_job, self.may_be_up) = (false, false, false);
    }

    /// An order failed.
    pub(crate) fn failed(&mut self, name: &UnitName, failure: Failure) {
        self.busy = false;
        if self.problem != failure.problem {
            match failure.waits {
                true => tracing::info!(unit = %name, why = failure.problem, "waits"),
                false => tracing::warn!(unit = %name, problem = failure.problem, "order failed"),
            }
        }
        self.problem = failure.problem;
        self.unwritable = failure.unwritable;
        self.waits = failure.waits;
        match &self.ordered {
            // it is not ordered again until it is to be otherwise
            Some(ordered) if !failure.transient => self.failed = Some(ordered.clone()),
            _ => self.rest(),
        }
    }

    /// A start job ended.
    pub(crate) fn start_ended(&mut self, name: &UnitName, result: &JobResult) {
        self.start_job = false;
        match result {
            JobResult::Failed(word) => {
                tracing::warn!(unit = %name, result = word, "start job failed");
                self.start_problem = format!("start job failed: {word}");
            }
            JobResult::Done => self.start_problem.clear(),
            JobResult::Canceled | JobResult::Skipped | JobResult::Lost => {}
        }
    }

    /// systemd says something new; tells whether the unit came up or went down. One that came up in the end,
    /// by its `Restart=` say, is well.
    pub(crate) fn look(&mut self, status: Status) -> bool {
        let before = self.is_up();
        if status.active == "active" {
            self.start_problem.clear();
            self.failing.is_well(Instant::now());
        }
        self.may_be_up = false;
        self.status = Some(status);
        self.is_up() != before
    }

    /// Whether it is down by an order of ours whose end was not heard. From now on it counts as stopped.
    pub(crate) fn was_stopped(&mut self) -> bool {
        let stopped = self.stop_ordered && !self.busy && !self.is_up();
        if stopped {
            (self.launched, self.start_job, self.stop_ordered) = (false, false, false);
            // what went wrong was to hear of it
            self.succeeded();
        }
        stopped
    }

    /// What to publish; nothing while nothing is known.
    pub(crate) fn state(&self, assignment: Option<&Assignment>) -> Option<UnitState> {
        let hash = self.file.or(assignment.map(|assignment| assignment.hash))?;
        let nothing = || ["not-found", "inactive", "dead"].map(str::to_owned);
        let [load, active, sub] = match (&self.status, self.file) {
            (Some(status), Some(_)) => {
                [&status.load, &status.active, &status.sub].map(String::clone)
            }
            (_, None) if !self.problem.is_empty() => nothing(),
            _ => return None,
        };
        Some(UnitState {
            load,
            active,
            sub,
            hash,
            current: self.current(),
            starting: self.is_starting(),
            problem: self.problem().to_owned(),
            failures: self.failing.count(),
            unwritable: self.unwritable && !self.problem.is_empty(),
        })
    }

    /// Whether a start job is under way: its end has not been heard, or systemd still had it when it was last asked,
    /// or has not been asked since. So whoever reads otherwise reads the outcome, with its problem. What waits for others does so
    /// until its order is known to have been taken: it may be up before, and its problem is no outcome.
    fn is_starting(&self) -> bool {
        let said = |what: fn(&Status) -> bool| self.status.as_ref().is_some_and(what);
        let under_way = self.start_job || self.may_be_up || said(|status| status.starting);
        self.waits || (under_way && !said(|status| status.active == "active"))
    }

    fn problem(&self) -> &str {
        let failing = self.failing.problem();
        let problems = [
            &self.problem,
            failing,
            &self.start_problem,
            &self.link_problem,
        ];
        let some = problems.into_iter().find(|problem| !problem.is_empty());
        some.map_or("", String::as_str)
    }

    fn current(&self) -> DesiredState {
        match self.file {
            Some(_) if self.launched => DesiredState::Launched,
            Some(_) => DesiredState::Loaded,
            None => DesiredState::Inactive,
        }
    }

    fn rest(&mut self) {
        let fresh = || match self.waits {
            true => Backoff::new(SOON, TURN),
            false => Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
        };
        let mut backoff = self.retry.take().map_or_else(fresh, |retry| retry.backoff);
        let at = Some(Instant::now() + backoff.pause());
        self.retry = Some(Retry { at, backoff });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn says(active: &str, starting: bool) -> Status {
        Status {
            load: "loaded".to_owned(),
            active: active.to_owned(),
            sub: "dead".to_owned(),
            starting,
        }
    }

    fn is_starting(local: &Local) -> bool {
        local.state(None).unwrap().starting
    }

    /// A unit whose start job systemd has just taken.
    fn started() -> Local {
        let file = Some(unitfile::UnitFile::default().hash());
        let mut local = Local {
            file,
            ..Local::default()
        };
        local.look(says("inactive", false));
        local.started();
        assert!(is_starting(&local), "systemd said so before the start");
        local
    }

    #[test]
    fn a_state_is_the_outcome_only_with_the_end_of_the_job() {
        let name = UnitName::parse("a.service").unwrap();
        let mut local = started();
        // such as one whose dependency failed: nothing but the job's end tells
        local.look(says("inactive", false));
        assert!(is_starting(&local));
        local.start_ended(&name, &JobResult::Failed("dependency".to_owned()));
        let state = local.state(None).unwrap();
        assert_eq!(
            (state.starting, state.problem.as_str()),
            (false, "start job failed: dependency")
        );
    }

    #[test]
    fn the_end_of_the_job_is_the_outcome_only_with_a_state_of_after_it() {
        let name = UnitName::parse("a.service").unwrap();
        let mut unseen = started();
        let mut queued = started();
        queued.look(says("inactive", true));
        for local in [&mut unseen, &mut queued] {
            local.start_ended(&name, &JobResult::Done);
            assert!(is_starting(local));
            local.look(says("inactive", false));
            assert!(!is_starting(local));
        }
    }

    #[test]
    fn what_an_order_takes_down_is_not_the_outcome_of_its_start() {
        let mut local = started();
        local.look(says("active", false));
        local.ordered(None);
        assert!(!local.is_in_between());
        local.look(says("inactive", false));
        assert!(local.is_in_between());
        local.stopped(says("inactive", false));
        assert!(!local.is_in_between());
    }

    /// Such as a unit with `RefuseManualStop=yes` that was destroyed.
    #[test]
    fn what_is_to_be_gone_and_cannot_be_stopped_is_not_tried_all_the_time() {
        let name = UnitName::parse("a.service").unwrap();
        let mut local = started();
        for _ in 0..20 {
            local.ordered(None);
            local.failed(
                &name,
                Failure::for_good("it may be requested by dependency only"),
            );
            let now = Instant::now();
            assert!(local.rests_until().is_some_and(|until| until > now));
            local.assigned(None, now);
            assert!(local.rests_until().is_some());
        }
        let pause = local.rests_until().unwrap() - Instant::now();
        assert!(pause > Duration::from_secs(10), "{pause:?}");
    }

    /// systemd says so, and what it answered to the order to start it has not been heard.
    #[test]
    fn what_has_waited_and_is_active_has_not_failed() {
        let name = UnitName::parse("a.service").unwrap();
        let mut local = Local {
            file: Some(unitfile::UnitFile::default().hash()),
            ..Local::default()
        };
        local.look(says("inactive", false));
        local.ordered(None);
        local.failed(&name, Failure::waiting("machine m2 has not stopped it yet"));
        assert!(is_starting(&local));
        local.ordered(None);
        local.prepared(Outcome::Kept, true);
        local.look(says("active", false));
        assert!(is_starting(&local));
        local.started();
        local.look(says("active", false));
        let state = local.state(None).unwrap();
        assert_eq!((state.starting, state.problem.as_str()), (false, ""));
    }

    #[test]
    fn what_is_active_has_started() {
        let mut local = started();
        local.look(says("active", false));
        assert!(!is_starting(&local));
    }
}
