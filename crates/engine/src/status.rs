//! What the engine has done so far, for the metrics and the API.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fleet::schedule::{Change, Plan, Reason};
use tokio::time::Instant;
use unitfile::UnitName;

use crate::lead::End;

/// What one machine's engine does and did. The counters only grow, through all its leaderships.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Since when this machine leads; none while it does not.
    pub leader_since: Option<Instant>,
    /// The same by the clock on the wall, which may have been set since.
    pub leader_since_time: Option<SystemTime>,
    /// How often it was elected.
    pub elections: u64,
    /// Plans made.
    pub plans: u64,
    /// How long they took to make, all together.
    pub plan_time: Duration,
    /// Changes to the schedule written.
    pub changes: u64,
    /// Leaderships that ended because the schedule could not be written.
    pub failures: u64,
    /// How long the last plan took to make.
    pub last_plan: Duration,
    /// How long it took to write the last plan that changed something.
    pub last_commit: Duration,
    /// Units that should be on a machine and fit none, as of the last plan; empty while this machine does not lead.
    pub waiting: Arc<Vec<UnitName>>,
    /// Whether units wait for machines that were lost at once, as of the last plan.
    pub braked: bool,
    /// Why units had to leave machines or wait.
    pub trouble: Trouble,
    /// Assignments and withdrawals that were written.
    pub written: Tasks,
    /// Those that could not be written.
    pub failed: Tasks,
}

/// What kept units from being where they were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Units whose machine was gone.
    pub machine_away: u64,
    /// Units whose machine may not run them any more.
    pub run: u64,
    /// Units for which no machine was found, each counted once for as long as it waits.
    pub schedule: u64,
}

/// Changes to the schedule, as the original counts them; a move is one of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tasks {
    /// Units put on machines.
    pub assign: u64,
    /// Units taken off machines.
    pub unassign: u64,
}

impl Status {
    pub(crate) fn elected(&mut self) {
        self.leader_since = Some(Instant::now());
        self.leader_since_time = Some(SystemTime::now());
        self.elections += 1;
    }

    pub(crate) fn ended(&mut self, end: &End) {
        self.leader_since = None;
        self.leader_since_time = None;
        self.waiting = Arc::default();
        self.braked = false;
        self.failures += u64::from(matches!(end, End::Failed(_)));
    }

    pub(crate) fn planned(&mut self, took: Duration, plan: &Plan) {
        self.plans += 1;
        self.plan_time += took;
        self.last_plan = took;
        self.braked = plan.braked;
        plan.changes
            .iter()
            .for_each(|change| self.trouble.count(change));
        if !Arc::ptr_eq(&self.waiting, &plan.waiting) {
            let known: BTreeSet<&UnitName> = self.waiting.iter().collect();
            let new = plan.waiting.iter().filter(|unit| !known.contains(unit));
            self.trouble.schedule += new.count() as u64;
            self.waiting = plan.waiting.clone();
        }
    }

    pub(crate) fn committed(&mut self, changes: &[Change], took: Duration) {
        self.changes += changes.len() as u64;
        self.last_commit = took;
        changes.iter().for_each(|change| self.written.count(change));
    }

    pub(crate) fn not_committed(&mut self, changes: &[Change]) {
        changes.iter().for_each(|change| self.failed.count(change));
    }
}

impl Trouble {
    fn count(&mut self, change: &Change) {
        let (Change::Move { reason, .. } | Change::Unassign { reason, .. }) = change else {
            return;
        };
        match reason {
            Reason::NotWanted => {}
            Reason::MachineGone => self.machine_away += 1,
            Reason::Refused(_) => self.run += 1,
        }
    }
}

impl Tasks {
    fn count(&mut self, change: &Change) {
        let assigns = matches!(change, Change::Assign { .. } | Change::Move { .. });
        let unassigns = matches!(change, Change::Unassign { .. } | Change::Move { .. });
        self.assign += u64::from(assigns);
        self.unassign += u64::from(unassigns);
    }
}
