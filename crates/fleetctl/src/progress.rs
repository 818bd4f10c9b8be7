//! What is said on stderr while a wait lasts: each thing once, units with one fate in one line.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::output;
use crate::pending::Pending;
use crate::verdict::Goal;

/// Nothing is said of what takes no longer.
const STALLED: Duration = Duration::from_secs(2);
/// A reason why no machine takes a unit is said sooner; not at once, as the leader may just be deciding.
const UNPLACED: Duration = Duration::from_millis(500);
/// Names in a line; the others are counted.
const NAMES: usize = 3;
/// Lines for one report; the others are left for the next.
const LINES: usize = 5;

/// How many units are where, in a line on the terminal that goes when the wait is over.
pub(crate) struct Tally {
    goal: Goal,
    total: usize,
}

impl Tally {
    /// A tally of so many units on their way to `goal`.
    pub(crate) fn new(goal: Goal, total: usize) -> Self {
        Tally { goal, total }
    }

    /// Shows where they are by now. One unit alone needs no tally.
    pub(crate) fn show(&self, pending: &BTreeMap<String, Pending>, failed: usize) {
        if self.total > 1 {
            let waiting = pending
                .values()
                .filter(|unit| unit.unplaced_for().is_some());
            output::status(&self.line(pending.len(), waiting.count(), failed));
        }
    }

    fn line(&self, pending: usize, waiting: usize, failed: usize) -> String {
        let done = self.total - pending - failed;
        let parts = [
            (pending - waiting, "under way"),
            (waiting, "waiting for a machine"),
            (failed, "failed"),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let parts: String = parts
            .map(|(count, what)| format!(", {count} {what}"))
            .collect();
        let (verb, total, state) = (self.goal.verb(), self.total, self.goal.desired());
        format!("{verb}: {done} of {total} {state}{parts}")
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        output::status("");
    }
}

/// What has been said, and when units last arrived.
pub(crate) struct Progress {
    said: BTreeSet<String>,
    moved: Instant,
}

impl Default for Progress {
    fn default() -> Self {
        Progress {
            said: BTreeSet::new(),
            moved: Instant::now(),
        }
    }
}

impl Progress {
    /// A unit is through: what was said need not be said again soon.
    pub(crate) fn moved(&mut self) {
        self.moved = Instant::now();
    }

    /// Says what there is to say of these units.
    pub(crate) fn report(&mut self, pending: &BTreeMap<String, Pending>) {
        let stalled = self.moved.elapsed() >= STALLED;
        let worth_telling = |unit: &Pending| {
            stalled && !unit.is_settling()
                || unit.unplaced_for().is_some_and(|time| time >= UNPLACED)
        };
        let mut fates: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, unit) in pending.iter().filter(|(_, unit)| worth_telling(unit)) {
            fates.entry(unit.whereabouts()).or_default().push(name);
        }
        for (fate, names) in fates.into_iter().take(LINES) {
            self.say_once(&names, fate);
        }
    }

    /// Says a line that was not said of these units before.
    fn say_once(&mut self, names: &[&str], fate: &str) {
        let unsaid = names
            .iter()
            .any(|name| !self.said.contains(&key(name, fate)));
        if unsaid {
            output::warn(&format!("Waiting for {}: {fate}", enumerate(names)));
            self.said.extend(names.iter().map(|name| key(name, fate)));
        }
    }
}

fn key(name: &str, fate: &str) -> String {
    format!("{name} {fate}")
}

/// `a`, `a and b`, `a, b, c and 7 more`.
pub(crate) fn enumerate(names: &[&str]) -> String {
    let (shown, rest) = names.split_at(names.len().min(NAMES));
    match (shown, rest.len()) {
        ([first @ .., last], 0) if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        (_, 0) => shown.join(", "),
        (_, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Tally, enumerate};
    use crate::verdict::Goal;

    #[test]
    fn how_many_are_where() {
        let line = |pending, waiting, failed| {
            Tally::new(Goal::Started, 100).line(pending, waiting, failed)
        };
        assert_eq!(line(100, 0, 0), "start: 0 of 100 launched, 100 under way");
        assert_eq!(
            line(43, 3, 1),
            "start: 56 of 100 launched, 40 under way, 3 waiting for a machine, 1 failed"
        );
        assert_eq!(line(0, 0, 0), "start: 100 of 100 launched");
    }

    #[test]
    fn names_in_a_sentence() {
        assert_eq!(enumerate(&["a"]), "a");
        assert_eq!(enumerate(&["a", "b"]), "a and b");
        assert_eq!(enumerate(&["a", "b", "c"]), "a, b and c");
        assert_eq!(enumerate(&["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
    }
}
