//! What a plan consists of.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use unitfile::{Hash, UnitName};

use super::Refusal;
use crate::{Assignment, Away, Event, FailedOn, MachineId};

/// What the leader should write, in this order, and who waits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Changes to the schedule, no two of them to one record. An admission comes after every other change.
    pub changes: Vec<Change>,
    /// Units that should be on a machine and fit none, in order of name; [`refusals`](super::refusals) says why. Shared with the
    /// plan before if nothing has changed.
    pub waiting: Arc<Vec<UnitName>>,
    /// When to plan again although nothing has changed by then, by the clock of [`Terms::now`](super::Terms).
    pub next: Option<Duration>,
    /// Whether so many machines went at once that their units wait for them.
    pub braked: bool,
}

/// One change to the schedule: written in one transaction, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A unit goes to a machine, or an assignment there is renewed with another hash or desired state.
    Assign {
        /// Which unit.
        unit: UnitName,
        /// Where to.
        machine: MachineId,
        /// What the machine shall do for it.
        assignment: Assignment,
        /// Global units have no target record.
        global: bool,
    },
    /// A unit that is not global goes from one machine to another.
    Move {
        /// Which unit.
        unit: UnitName,
        /// Where from.
        from: MachineId,
        /// Where to.
        to: MachineId,
        /// What the new machine shall do for it.
        assignment: Assignment,
        /// Why it cannot stay.
        reason: Reason,
    },
    /// A unit leaves a machine and goes to none.
    Unassign {
        /// Which unit.
        unit: UnitName,
        /// Where from.
        machine: MachineId,
        /// Why.
        reason: Reason,
        /// Whether the unit's target record goes too.
        target: bool,
    },
    /// A target record goes that means nothing: its unit is global by now, or on no machine.
    Untarget {
        /// Which unit.
        unit: UnitName,
    },
    /// A machine that is gone has no schedule any more.
    Dismiss {
        /// Which machine.
        machine: MachineId,
    },
    /// An operator's order to move a unit has been obeyed, or cannot be.
    Obey {
        /// Which unit.
        unit: UnitName,
    },
    /// It is noted that a unit was moved because it kept failing, so that this is done once.
    Blame {
        /// Which unit.
        unit: UnitName,
        /// Where it failed, and with which file.
        failed: FailedOn,
    },
    /// That is noted no more: the unit has another file, or is not to run.
    Absolve {
        /// Which unit.
        unit: UnitName,
    },
    /// It is noted that a machine's lease has ended.
    Miss {
        /// Which machine.
        machine: MachineId,
        /// Since when, and whether its units wait for it.
        away: Away,
    },
    /// That is noted no more, nor that an operator has given the machine up: it is back, or it matters no more.
    Unmiss {
        /// Which machine.
        machine: MachineId,
    },
    /// A unit file that nothing refers to goes, unless it was written after `revision`.
    Collect {
        /// Which file.
        file: Hash,
        /// Revision of the file's last write that the picture shows.
        revision: i64,
    },
    /// A machine's schedule is decided for its present membership: from here on it may stop what is not on it.
    Admit {
        /// Which machine.
        machine: MachineId,
        /// Its `member_since`.
        since: i64,
    },
}

/// Why a unit cannot stay where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Its owner wants it on no machine or on another, or destroyed it.
    NotWanted,
    /// The machine's lease ended.
    MachineGone,
    /// The machine may not run it any more.
    Refused(Refusal),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NotWanted => f.write_str("it is not wanted there any more"),
            Reason::MachineGone => f.write_str("the machine is gone"),
            Reason::Refused(refusal) => write!(f, "it may not stay: {refusal}"),
        }
    }
}

impl Change {
    /// The unit that it is about; none if it is about a machine or a file.
    pub fn unit(&self) -> Option<&UnitName> {
        match self {
            Change::Assign { unit, .. }
            | Change::Move { unit, .. }
            | Change::Unassign { unit, .. }
            | Change::Untarget { unit } => Some(unit),
            Change::Obey { .. }
            | Change::Blame { .. }
            | Change::Absolve { .. }
            | Change::Dismiss { .. }
            | Change::Miss { .. }
            | Change::Unmiss { .. }
            | Change::Collect { .. }
            | Change::Admit { .. } => None,
        }
    }

    /// What a picture sees when it is written.
    pub fn events(&self) -> Vec<Event> {
        let rows = self.rows().into_iter();
        rows.chain(self.target())
            .chain(self.beyond_units())
            .collect()
    }

    fn rows(&self) -> Vec<Event> {
        let Some(unit) = self.unit() else {
            return Vec::new();
        };
        let row = |machine: &MachineId, row| Event::Scheduled(machine.clone(), unit.clone(), row);
        match self {
            Change::Assign {
                machine,
                assignment,
                ..
            } => vec![row(machine, Some(assignment.clone()))],
            Change::Move {
                from,
                to,
                assignment,
                ..
            } => vec![row(from, None), row(to, Some(assignment.clone()))],
            Change::Unassign { machine, .. } => vec![row(machine, None)],
            _ => Vec::new(),
        }
    }

    fn target(&self) -> Option<Event> {
        let target = match self {
            Change::Assign {
                machine,
                global: false,
                ..
            } => Some(machine),
            Change::Move { to, .. } => Some(to),
            Change::Unassign { target: true, .. } | Change::Untarget { .. } => None,
            _ => return None,
        };
        Some(Event::Target(self.unit()?.clone(), target.cloned()))
    }

    fn beyond_units(&self) -> Vec<Event> {
        let event = match self {
            Change::Unmiss { machine } => {
                let away = Event::Away(machine.clone(), None);
                return vec![away, Event::Forgotten(machine.clone(), false)];
            }
            Change::Obey { unit } => Some(Event::Move(unit.clone(), None)),
            Change::Blame { unit, failed } => {
                Some(Event::Failed(unit.clone(), Some(failed.clone())))
            }
            Change::Absolve { unit } => Some(Event::Failed(unit.clone(), None)),
            Change::Dismiss { machine } => Some(Event::Admitted(machine.clone(), None)),
            Change::Miss { machine, away } => {
                Some(Event::Away(machine.clone(), Some(away.clone())))
            }
            Change::Collect { file, .. } => Some(Event::File(*file, None)),
            Change::Admit { machine, since } => {
                Some(Event::Admitted(machine.clone(), Some(*since)))
            }
            _ => None,
        };
        event.into_iter().collect()
    }
}
