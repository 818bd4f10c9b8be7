//! What has happened and why, for people: the entries behind `fleetctl events`.
//!
//! The leader tells what its plan changes ([`Account`]) and what it leaves as it is ([`Notices`]), an agent how its units fare ([`Teller`]); [`counted`] keeps
//! a batch small. Nobody acts on an entry.

mod count;
mod notices;
mod plan;
mod teller;
mod what;

use std::time::Duration;

use unitfile::UnitName;

use crate::MachineId;

pub use count::{MANY, counted};
pub use notices::{LastWords, Notices};
pub use plan::Account;
pub use teller::Teller;
pub use what::{What, WhatError};

/// The longest reason, in characters; what is beyond is cut.
pub const LONGEST_REASON: usize = 400;

/// One thing that has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What.
    pub what: What,
    /// To which unit; none if it is about a machine, or about several units.
    pub unit: Option<UnitName>,
    /// How many things alike this stands for.
    pub count: usize,
    /// On which machine, or to which; none if there were several.
    pub machine: Option<MachineId>,
    /// The machine that a unit has left for another.
    pub from: Option<MachineId>,
    /// Why, in a line; may be empty.
    pub reason: String,
    /// When, since the Unix epoch by its teller's clock; none if that is when it was written.
    pub at: Option<Duration>,
}

impl Entry {
    /// Says that something has happened, and nothing further.
    pub fn of(what: What) -> Self {
        Entry {
            what,
            unit: None,
            count: 1,
            machine: None,
            from: None,
            reason: String::new(),
            at: None,
        }
    }

    /// To that unit.
    #[must_use]
    pub fn unit(self, unit: &UnitName) -> Self {
        let unit = Some(unit.clone());
        Entry { unit, ..self }
    }

    /// On that machine.
    #[must_use]
    pub fn on(self, machine: &MachineId) -> Self {
        let machine = Some(machine.clone());
        Entry { machine, ..self }
    }

    /// For that reason.
    #[must_use]
    pub fn because(self, reason: impl AsRef<str>) -> Self {
        let reason = bounded(reason.as_ref());
        Entry { reason, ..self }
    }
}

/// What systemd or a file system says has no bound of its own, and may have several lines.
fn bounded(text: &str) -> String {
    let text = text.replace('\n', " ");
    match text.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_of_bounded_length() {
        let entry = Entry::of(What::Failed).because("é\n".repeat(LONGEST_REASON));
        assert_eq!(entry.reason.chars().count(), LONGEST_REASON + 3);
        assert!(entry.reason.starts_with("é é ") && entry.reason.ends_with("..."));
        assert_eq!(
            Entry::of(What::Failed).because("it is short").reason,
            "it is short"
        );
    }
}
