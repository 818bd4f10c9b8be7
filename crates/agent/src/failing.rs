//! Units that fail by themselves. systemd restarts them first, as their files say; when it has given one up, and its file asks for
//! that (`RescheduleAfter=`), it is started again here, after longer and longer pauses, until it has failed so often that the leader tries
//! another machine. A unit that does not ask is left to systemd.

use std::time::Duration;

use fleet::requirements::print_seconds;
use tokio::time::Instant;

/// The first pause before it is started again; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Who has been well for so long has not failed in a row.
const WELL: Duration = Duration::from_secs(600);

/// How often one unit has failed in a row.
#[derive(Debug, Default)]
pub(crate) struct Failing {
    failures: u32,
    /// The failure after its last start has been counted.
    counted: bool,
    well_since: Option<Instant>,
    again: Option<Instant>,
    problem: String,
}

impl Failing {
    /// How often; 0 for a unit that does not ask.
    pub(crate) fn count(&self) -> u32 {
        self.failures
    }

    /// What there is to say of it; empty if nothing is.
    pub(crate) fn problem(&self) -> &String {
        &self.problem
    }

    /// When it is to be started again.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.again
    }

    /// Whether its failure has not been counted yet.
    pub(crate) fn is_news(&self) -> bool {
        !self.counted
    }

    /// It has been started.
    pub(crate) fn started(&mut self) {
        (self.counted, self.again, self.well_since) = (false, None, None);
    }

    /// It runs.
    pub(crate) fn is_well(&mut self, now: Instant) {
        self.problem.clear();
        self.well_since = self.well_since.or(Some(now));
    }

    /// It has failed. `limit` is how often it may before it is moved; without one, nothing is done.
    pub(crate) fn failed(&mut self, now: Instant, limit: Option<u32>) {
        self.counted = true;
        let Some(limit) = limit else {
            return;
        };
        if self
            .well_since
            .take()
            .is_some_and(|since| now >= since + WELL)
        {
            self.failures = 0;
        }
        self.failures += 1;
        let told = match self.failures {
            1 => "failed once".to_owned(),
            times => format!("failed {times} times"),
        };
        if self.failures >= limit {
            self.problem =
                format!("{told}: it is not started here again (RescheduleAfter={limit})");
            return;
        }
        let doubled = 2_u32.saturating_pow(self.failures - 1);
        let pause = FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE);
        self.again = Some(now + pause);
        self.problem = format!(
            "{told}: it is started again after {} (RescheduleAfter={limit})",
            print_seconds(pause.as_secs())
        );
    }

    /// Whether it is to be started now.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.again.is_some_and(|again| again <= now);
        if due {
            self.again = None;
        }
        due
    }
}
