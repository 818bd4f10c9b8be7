//! Decides which unit belongs on which machine.

use std::fmt;

use unitfile::{Hash, UnitName};

use crate::{Assignment, Cluster, MachineId};

/// What the leader should write, in this order, and who waits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Changes to the schedule. An admission comes after every other change.
    pub changes: Vec<Change>,
    /// Units that should be on a machine and fit none; [`refusals`] says why.
    pub waiting: Vec<UnitName>,
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
    /// A unit file that nothing refers to goes, unless it was written after `revision`.
    Collect {
        /// Which file.
        file: Hash,
        /// Revision of the file's last write that the picture shows.
        revision: i64,
    },
    /// A machine that is gone has no schedule any more.
    Dismiss {
        /// Which machine.
        machine: MachineId,
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
    /// Its owner wants it on no machine, or destroyed it.
    NotWanted,
    /// The machine's lease ended.
    MachineGone,
    /// The machine may not run it any more.
    Refused(Refusal),
}

/// Why a machine may not take a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// `MachineID=` names another machine.
    OtherMachine(String),
    /// The machine lacks one of the values that `MachineMetadata=` asks of this key.
    Metadata(String),
    /// A unit of `MachineOf=` is not there.
    PeerElsewhere(String),
    /// A unit is there that conflicts.
    Conflict(UnitName),
    /// The unit file is missing from the registry.
    NoFile,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::OtherMachine(id) => write!(f, "MachineID={id} names another machine"),
            Refusal::Metadata(wanted) => write!(f, "lacks metadata {wanted}"),
            Refusal::PeerElsewhere(unit) => write!(f, "{unit}, named by MachineOf=, is not there"),
            Refusal::Conflict(unit) => write!(f, "conflicts with {unit}"),
            Refusal::NoFile => f.write_str("the unit file is missing"),
        }
    }
}

/// Who runs where, what moves, who waits. Planning the outcome again changes nothing.
pub fn plan(_cluster: &Cluster) -> Plan {
    Plan::default()
}

/// For a unit that waits: why each machine may not take it, in order of machine id.
pub fn refusals(_cluster: &Cluster, _unit: &UnitName) -> Vec<(MachineId, Refusal)> {
    Vec::new()
}
