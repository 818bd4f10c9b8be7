//! Units: what somebody wants to run, and what systemd says of it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use unitfile::{Hash, UnitName};

use crate::{MachineId, Requirements};

/// A unit: a name, a unit file, and a desired state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The unit's name.
    pub name: UnitName,
    /// Which unit file it has.
    pub hash: Hash,
    /// What its owner wants.
    pub desired: DesiredState,
    /// Its `[X-Fleet]` section with specifiers expanded; none while the unit file is missing.
    pub requirements: Option<Arc<Requirements>>,
}

impl Unit {
    /// Whether it belongs on every machine. Without its file, only its records tell: one that is not global has a target once
    /// it has been `placed`.
    pub fn is_global(&self, placed: bool) -> bool {
        let wanted = self.requirements.as_ref();
        wanted.map_or(!placed, |wanted| wanted.global)
    }
}

/// How far a unit should be brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum DesiredState {
    /// Known to the cluster, on no machine.
    #[default]
    Inactive,
    /// On a machine, its file in systemd, not started.
    Loaded,
    /// Started.
    Launched,
}

impl DesiredState {
    /// fleet's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            DesiredState::Inactive => "inactive",
            DesiredState::Loaded => "loaded",
            DesiredState::Launched => "launched",
        }
    }
}

impl fmt::Display for DesiredState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that is none of `inactive`, `loaded`, `launched`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid value {0:?} for JobState")]
pub struct DesiredStateError(String);

impl FromStr for DesiredState {
    type Err = DesiredStateError;

    fn from_str(text: &str) -> Result<Self, DesiredStateError> {
        match text {
            "inactive" => Ok(DesiredState::Inactive),
            "loaded" => Ok(DesiredState::Loaded),
            "launched" => Ok(DesiredState::Launched),
            _ => Err(DesiredStateError(text.to_owned())),
        }
    }
}

/// The record `unit/<name>`: written by the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitRecord {
    /// Which unit file.
    pub hash: Hash,
    /// What its owner wants.
    pub desired: DesiredState,
}

/// The record `schedule/<machine>/<unit>`: what one machine shall do for one unit.
/// Never [`DesiredState::Inactive`]: then there is no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Which unit file.
    pub hash: Hash,
    /// Loaded or launched.
    pub desired: DesiredState,
}

/// The record `state/<unit>/<machine>`: what systemd says of a unit on one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitState {
    /// systemd's LoadState, such as `loaded` or `not-found`.
    pub load: String,
    /// systemd's ActiveState, such as `active` or `failed`.
    pub active: String,
    /// systemd's SubState, such as `running`.
    pub sub: String,
    /// The unit file that the machine runs.
    pub hash: Hash,
    /// How far the agent has brought the unit: loaded, or launched once systemd was asked to start it.
    pub current: DesiredState,
    /// A start job is under way and the unit is not active yet: what systemd says is not the outcome.
    pub starting: bool,
    /// Why the agent could not do what was asked, in one line; empty when all is well.
    pub problem: String,
    /// How often it has failed there in a row, systemd's own restarts not counted; only if the unit asks for that to be counted.
    pub failures: u32,
    /// The machine cannot write the unit's file, nor would it another one: its disk is full, say.
    pub unwritable: bool,
}

impl UnitState {
    /// Whether it is to be started, and others must be done with it first, as its problem says: nothing has gone wrong.
    pub fn waits(&self) -> bool {
        self.starting && self.current != DesiredState::Launched
    }
}

/// The record `failed/<unit>`: the unit was moved because it kept failing, which is done once for each of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedOn {
    /// Where it kept failing.
    pub machine: MachineId,
    /// With which unit file.
    pub hash: Hash,
}
