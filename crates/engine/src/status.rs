//! What the engine has done so far, for the metrics and the API.

use std::time::Duration;

use tokio::time::Instant;
use unitfile::UnitName;

use crate::lead::End;

/// What one machine's engine does and did. The counters only grow, through all its leaderships.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Since when this machine leads; none while it does not.
    pub leader_since: Option<Instant>,
    /// How often it was elected.
    pub elections: u64,
    /// Plans made.
    pub plans: u64,
    /// Changes to the schedule written.
    pub changes: u64,
    /// Leaderships that ended because the schedule could not be written.
    pub failures: u64,
    /// How long the last plan took to make.
    pub last_plan: Duration,
    /// How long the last plan that changed something took, from the picture to the commit.
    pub last_commit: Duration,
    /// Units that should be on a machine and fit none, as of the last plan; empty while this machine does not lead.
    pub waiting: Vec<UnitName>,
}

impl Status {
    pub(crate) fn elected(&mut self) {
        self.leader_since = Some(Instant::now());
        self.elections += 1;
    }

    pub(crate) fn ended(&mut self, end: &End) {
        self.leader_since = None;
        self.waiting.clear();
        self.failures += u64::from(matches!(end, End::Failed(_)));
    }

    pub(crate) fn planned(&mut self, took: Duration, waiting: Vec<UnitName>) {
        self.plans += 1;
        self.last_plan = took;
        self.waiting = waiting;
    }

    pub(crate) fn committed(&mut self, changes: usize, took: Duration) {
        self.changes += changes as u64;
        self.last_commit = took;
    }
}
