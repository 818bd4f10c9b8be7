//! What was played and what came of it, on one page.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Faults with violations that fit on the page; all are told where they happen.
const SHOWN: usize = 12;

/// The account of a run.
#[derive(Default)]
pub(super) struct Report {
    /// How long each fault's end was ahead of the cluster's rest, by kind.
    times: BTreeMap<&'static str, Vec<Duration>>,
    /// Copies of units that were watched through a fault.
    pub(super) watched: usize,
    /// Starts in the machines' journals.
    pub(super) started: usize,
    /// The faults at which something was not as promised, with the first such thing and how many there were.
    broken: Vec<(String, String, usize)>,
}

impl Report {
    /// A fault after whose end the cluster came to rest within that time.
    pub(super) fn converged(&mut self, kind: &'static str, after: Duration) {
        self.times.entry(kind).or_default().push(after);
    }

    /// A fault at which these things were not as promised.
    pub(super) fn violated(&mut self, fault: String, mut violations: Vec<String>) {
        let count = violations.len();
        if count > 0 {
            self.broken.push((fault, violations.swap_remove(0), count));
        }
    }

    /// Whether everything was as promised.
    pub(super) fn is_clean(&self) -> bool {
        self.broken.is_empty()
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
        let count: usize = self.broken.iter().map(|(_, _, count)| count).sum();
        match count {
            0 => writeln!(f, "  no violation")?,
            _ => writeln!(f, "  VIOLATIONS: {count}, the first of each fault:")?,
        }
        for (fault, first, count) in self.broken.iter().take(SHOWN) {
            writeln!(f, "    {fault} ({count}): {first}")?;
        }
        Ok(())
    }
}
