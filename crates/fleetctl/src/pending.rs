//! One unit that is waited for: what it was, what it is, and whether that is the outcome.

use std::time::Duration;

use fleet::v2::{MachineUnitState, UnitStatus};
use tokio::time::Instant;

use crate::verdict::{Goal, Verdict, current_state, judge};

/// A doubtful status that stays for so long is the present, not the past.
const SETTLED: Duration = Duration::from_secs(1);
/// As [`SETTLED`], where changes are seen late.
const SETTLED_POLLED: Duration = Duration::from_millis(1500);
/// A request that was accepted shows up sooner, unless somebody has undone it. A lost server may not stay away for so
/// long.
const SHOWN: Duration = Duration::from_secs(15);

/// One unit that is waited for.
#[derive(Debug)]
pub(crate) struct Pending {
    /// The unit file that was sent along, if one was.
    hash: Option<String>,
    /// systemd has been seen to act on the request.
    acted: bool,
    /// The request changes something.
    is_change: bool,
    /// What its machines said before the request.
    before: Vec<MachineUnitState>,
    /// The request has shown up in the statuses.
    shown: bool,
    /// Where it stands.
    pub(crate) status: UnitStatus,
    verdict: Verdict,
    /// When the verdict took its present form.
    since: Instant,
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
            is_change: hash.is_some() || before.desired_state != goal.desired().as_str(),
            hash,
            acted: false,
            before: before.states.clone(),
            shown: !matches!(verdict, Verdict::Other(_)),
            status: before.clone(),
            verdict,
            since: Instant::now(),
        }
    }

    /// It stands so now.
    pub(crate) fn take(&mut self, goal: Goal, status: UnitStatus) {
        let verdict = judge(goal, self.hash.as_deref(), &status);
        self.shown |= !matches!(verdict, Verdict::Other(_));
        // what the unit ends in from here is this request's outcome
        self.acted |= self.shown
            && status
                .states
                .iter()
                .any(|state| state.starting || state.active.ends_with("activating"));
        if std::mem::discriminant(&verdict) != std::mem::discriminant(&self.verdict) {
            self.since = Instant::now();
        }
        (self.verdict, self.status) = (verdict, status);
    }

    /// The outcome, if there is one by now. None: wait on. What is `polled` from API v1 tells less.
    pub(crate) fn outcome(&self, goal: Goal, polled: bool) -> Option<Result<(), Cause>> {
        let settled = if polled { SETTLED_POLLED } else { SETTLED };
        let told = !polled && goal == Goal::Started && self.start_has_ended();
        let certain = self.acted || told || self.since.elapsed() >= settled;
        // that it could not be started does not mean that it cannot be stopped
        let stale = |how: &str| goal.is_withdrawal() && self.is_old_problem(how);
        match &self.verdict {
            Verdict::Done => Some(Ok(())),
            Verdict::Likely if certain => Some(Ok(())),
            Verdict::Failed(how) if stale(how) => None,
            Verdict::Failed(how) if certain => Some(Err(Cause::Failed(how.clone()))),
            Verdict::Other(what) if self.shown || self.since.elapsed() >= SHOWN => {
                Some(Err(Cause::Changed(what.clone())))
            }
            _ => None,
        }
    }

    /// Whether its machine says that the start job is over, and did not say so before the request: it may not have
    /// heard of that yet.
    fn start_has_ended(&self) -> bool {
        let ended = |state: &&MachineUnitState| state.current == "launched" && !state.starting;
        let is_news = |state| !self.is_change || !self.before.contains(state);
        current_state(&self.status)
            .filter(ended)
            .is_some_and(is_news)
    }

    fn is_old_problem(&self, how: &str) -> bool {
        let mut problems = self.before.iter().map(|state| state.problem.as_str());
        problems.any(|old| !old.is_empty() && how.ends_with(old))
    }

    /// It is decided in a moment.
    pub(crate) fn is_settling(&self) -> bool {
        match self.verdict {
            Verdict::Done | Verdict::Likely => true,
            Verdict::Failed(_) => self.since.elapsed() < SETTLED_POLLED,
            _ => false,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn status(desired: &str, state: Option<MachineUnitState>) -> UnitStatus {
        UnitStatus {
            name: "a.service".to_owned(),
            exists: true,
            desired_state: desired.to_owned(),
            current_state: state.as_ref().map_or("", |state| &state.current).to_owned(),
            machine_id: "m1".to_owned(),
            states: state.into_iter().collect(),
            ..UnitStatus::default()
        }
    }

    fn state(current: &str, active: &str, starting: bool) -> Option<MachineUnitState> {
        Some(MachineUnitState {
            machine_id: "m1".to_owned(),
            load: "loaded".to_owned(),
            active: active.to_owned(),
            sub: "dead".to_owned(),
            current: current.to_owned(),
            starting,
            ..MachineUnitState::default()
        })
    }

    /// A start of a unit that was `before`.
    fn start(before: &UnitStatus) -> Pending {
        Pending::new(Goal::Started, before, None)
    }

    fn outcome_of(pending: &mut Pending, state: Option<MachineUnitState>) -> Option<bool> {
        pending.take(Goal::Started, status("launched", state));
        let outcome = pending.outcome(Goal::Started, false);
        outcome.map(|outcome| outcome.is_ok())
    }

    #[test]
    fn a_start_is_decided_the_moment_its_job_has_ended() {
        let loaded = status("loaded", state("loaded", "inactive", false));
        for (end, outcome) in [("inactive", true), ("failed", false)] {
            let mut unit = start(&loaded);
            let mut after = |state| outcome_of(&mut unit, state);
            assert_eq!(after(state("loaded", "inactive", false)), None);
            assert_eq!(after(state("launched", "inactive", true)), None);
            assert_eq!(after(state("launched", end, false)), Some(outcome));
        }
    }

    #[test]
    fn what_was_said_before_the_request_decides_nothing_at_once() {
        for before in ["inactive", "failed"] {
            let old = || state("launched", before, false);
            let mut destroyed = status("inactive", old());
            destroyed.exists = false;
            let mut unit = start(&destroyed);
            assert_eq!(outcome_of(&mut unit, old()), None);
            assert_eq!(outcome_of(&mut unit, None), None);
            let mut launched_already = start(&status("launched", old()));
            assert!(outcome_of(&mut launched_already, old()).is_some());
        }
    }

    #[test]
    fn api_v1_does_not_tell_so_time_does() {
        let mut unit = start(&status("loaded", state("loaded", "inactive", false)));
        unit.take(
            Goal::Started,
            status("launched", state("launched", "inactive", false)),
        );
        assert_eq!(unit.outcome(Goal::Started, true), None);
        unit.since -= SETTLED_POLLED;
        assert_eq!(unit.outcome(Goal::Started, true), Some(Ok(())));
    }
}
