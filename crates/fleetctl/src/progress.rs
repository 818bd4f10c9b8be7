//! What is said on stderr while a wait lasts: each thing once, units with one fate in one line.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::output;
use crate::pending::Pending;

/// Nothing is said of what takes no longer.
const STALLED: Duration = Duration::from_secs(2);
/// A reason why no machine takes a unit is said sooner; not at once, as the leader may just be deciding.
const UNPLACED: Duration = Duration::from_millis(500);
/// Names in a line; the others are counted.
const NAMES: usize = 3;
/// Lines for one report; the others are left for the next.
const LINES: usize = 5;

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
    use super::enumerate;

    #[test]
    fn names_in_a_sentence() {
        assert_eq!(enumerate(&["a"]), "a");
        assert_eq!(enumerate(&["a", "b"]), "a and b");
        assert_eq!(enumerate(&["a", "b", "c"]), "a, b and c");
        assert_eq!(enumerate(&["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
    }
}
