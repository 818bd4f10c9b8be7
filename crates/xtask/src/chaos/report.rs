//! What was played and what came of it, on one page.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Lines of violations that fit on the page; all are told where they happen.
const SHOWN: usize = 12;

/// The account of a run.
#[derive(Default)]
pub(super) struct Report {
    /// How long each fault's end was ahead of the cluster's rest, by kind.
    times: BTreeMap<&'static str, Vec<Duration>>,
    /// Copies of units that were watched through a fault, and starts that were seen.
    pub(super) watched: usize,
    /// Starts in the machines' journals.
    pub(super) started: usize,
    /// Everything that was not as promised.
    pub(super) violations: Vec<String>,
}

impl Report {
    /// A fault after whose end the cluster came to rest within that time.
    pub(super) fn converged(&mut self, kind: &'static str, after: Duration) {
        self.times.entry(kind).or_default().push(after);
    }

    /// How many faults there were.
    pub(super) fn faults(&self) -> usize {
        self.times.values().map(Vec::len).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  {:<24} {:>5}   converged after, at most",
            "fault", "times"
        )?;
        for (kind, times) in &self.times {
            let longest = times.iter().max().copied().unwrap_or_default();
            let count = times.len();
            writeln!(
                f,
                "  {kind:<24} {count:>5}   {:>6.1} s",
                longest.as_secs_f32()
            )?;
        }
        writeln!(
            f,
            "  {} copies of units watched through a fault each, {} starts in the journals",
            self.watched, self.started
        )?;
        match self.violations.len() {
            0 => writeln!(f, "  no violation")?,
            count => writeln!(f, "  VIOLATIONS: {count}")?,
        }
        for line in self.violations.iter().take(SHOWN) {
            writeln!(f, "    {line}")?;
        }
        Ok(())
    }
}
