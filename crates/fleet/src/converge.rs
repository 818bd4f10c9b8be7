//! Decides what one machine's systemd must be told.

use std::collections::BTreeMap;

use unitfile::{Hash, UnitName};

use crate::Assignment;

/// What this machine has of one unit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LocalUnit {
    /// The unit file of ours in the unit directory; none if there is none.
    pub file: Option<Hash>,
    /// Whether systemd has been asked to start it since the machine booted.
    pub launched: bool,
    /// Whether it runs, or is on its way up or down, by systemd's word.
    pub active: bool,
    /// An order for it is under way: leave it alone until that ends.
    pub busy: bool,
    /// What went wrong at the last attempt with this very assignment: not tried again until it changes.
    pub failed: Option<Assignment>,
}

/// One order for one unit. Each unit's orders are carried out in sequence, different units' side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Stop it and wait for the end of the stop job.
    Stop,
    /// Take its links and its file away.
    Remove,
    /// Write its file and make its `[Install]` links.
    Write(Hash),
    /// Ask systemd to start it.
    Start,
}

/// The orders for every unit that differs, each unit's in sequence.
pub type Steps = BTreeMap<UnitName, Vec<Step>>;

/// What must be done so that `local` becomes `assigned`. While the machine is not `admitted`, nothing is
/// stopped or removed: its schedule has not been decided for its present membership yet.
pub fn steps(
    _assigned: &BTreeMap<UnitName, Assignment>,
    _local: &BTreeMap<UnitName, LocalUnit>,
    _admitted: bool,
) -> Steps {
    Steps::new()
}
