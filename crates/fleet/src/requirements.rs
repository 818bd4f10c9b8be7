//! The `[X-Fleet]` section, parsed once.

use std::collections::{BTreeMap, BTreeSet};

use unitfile::{UnitFile, UnitName};

/// What a unit asks of the machine that runs it, specifiers expanded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requirements {
    /// `MachineID=`: the machine, by its id or the first eight characters of it.
    pub machine_id: Option<String>,
    /// `MachineOf=`: units that must be on the same machine.
    pub peers: Vec<String>,
    /// `MachineMetadata=`: for each key, the values of which the machine must have one.
    pub metadata: BTreeMap<String, BTreeSet<String>>,
    /// `Conflicts=`: patterns of unit names that must not be on the same machine.
    pub conflicts: Vec<String>,
    /// `Replaces=`: patterns of unit names that this unit pushes to other machines.
    pub replaces: Vec<String>,
    /// `Global=`: on every machine that fits.
    pub global: bool,
}

impl Requirements {
    /// Reads the section as a stored unit's is read: what makes no sense is left out.
    pub fn of(_name: &UnitName, _file: &UnitFile) -> Self {
        Requirements::default()
    }
}

/// Why the API refuses an `[X-Fleet]` section.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A key nobody knows.
    #[error("unrecognized requirement in [X-Fleet] section: {0:?}")]
    UnknownKey(String),
}

/// Checks the section of a unit that is being submitted; the first rule that it breaks is the error.
pub fn check(_name: &UnitName, _file: &UnitFile) -> Result<(), Invalid> {
    Ok(())
}
