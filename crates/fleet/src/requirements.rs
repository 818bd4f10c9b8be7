//! The `[X-Fleet]` section, parsed once.

mod check;
mod demand;
mod expression;
mod options;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use unitfile::{UnitFile, UnitName, expand};

use crate::Resources;

pub use check::{Invalid, check};
pub use demand::{Demand, WEIGHT};
pub use expression::{Expression, ExpressionError};
use options::{
    AVOID, AVOID_UNITS, CONSTRAINT, CPU_RESERVATION, FENCE, MAX_PER_MACHINE, MEMORY_RESERVATION,
    MOVE_DELAY, MOVE_ORDER, PREFER, RESCHEDULE_AFTER, SPREAD, STICKY,
};
pub use options::{parse_seconds, print_seconds};

/// The section's name in a unit file.
pub const SECTION: &str = "X-Fleet";

const MACHINE_ID: &str = "MachineID";
const MACHINE_OF: &str = "MachineOf";
const METADATA: &str = "MachineMetadata";
const CONFLICTS: &str = "Conflicts";
const REPLACES: &str = "Replaces";
const GLOBAL: &str = "Global";
const LEGACY_MACHINE_ID: &str = "X-ConditionMachineID";
const LEGACY_BOOT_ID: &str = "X-ConditionMachineBootID";
const LEGACY_MACHINE_OF: &str = "X-ConditionMachineOf";
const LEGACY_METADATA: &str = "X-ConditionMachineMetadata";
const LEGACY_CONFLICTS: &str = "X-Conflicts";

/// Before a pattern of `MachineOf=`: every unit that it matches, not any.
const ALL: &str = "all:";

const KEYS: [&str; 24] = [
    MACHINE_ID,
    MACHINE_OF,
    METADATA,
    CONFLICTS,
    REPLACES,
    GLOBAL,
    CONSTRAINT,
    PREFER,
    AVOID,
    SPREAD,
    AVOID_UNITS,
    MAX_PER_MACHINE,
    MEMORY_RESERVATION,
    CPU_RESERVATION,
    STICKY,
    MOVE_DELAY,
    FENCE,
    RESCHEDULE_AFTER,
    MOVE_ORDER,
    LEGACY_MACHINE_ID,
    LEGACY_BOOT_ID,
    LEGACY_MACHINE_OF,
    LEGACY_METADATA,
    LEGACY_CONFLICTS,
];

/// What a unit asks of the machine that runs it, specifiers expanded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requirements {
    /// `MachineID=`: the machine, by its id or the first eight characters of it.
    pub machine_id: Option<String>,
    /// `MachineOf=`: units that must be on the same machine.
    pub peers: Vec<Peer>,
    /// What it asks of the machine itself.
    pub demand: Demand,
    /// `Conflicts=`: patterns of unit names that must not be on the same machine.
    pub conflicts: Vec<String>,
    /// `Replaces=`: patterns of unit names that this unit pushes to other machines.
    pub replaces: Vec<String>,
    /// `Global=`: on every machine that fits.
    pub global: bool,
    /// `AvoidUnits=`: weights and patterns of unit names beside which it is only if it must.
    pub avoid_units: Vec<(i32, String)>,
    /// `MaxPerMachine=`: how many instances of its template may be on one machine, itself included.
    pub max_per_machine: Option<u32>,
    /// `MemoryReservation=` and `CPUReservation=`, or what systemd holds the unit to.
    pub reservation: Resources,
    /// `Sticky=`: it stays with its machine even when that is gone, until an operator says that the machine is gone for good.
    pub sticky: bool,
    /// `MoveDelaySec=`: how long its machine may be gone before it is moved, in seconds.
    pub move_delay: u64,
    /// `Fence=`: at most one copy, ever: see [`fence`](crate::fence).
    pub fence: bool,
    /// `RescheduleAfter=`: after so many failures in a row it is moved, once.
    pub reschedule_after: Option<u32>,
    /// `MoveOrder=start-first`: where it is moved from a machine that is there, it goes on until it is up elsewhere: see
    /// [`handover`](crate::handover).
    pub start_first: bool,
}

/// One item of `MachineOf=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// A unit's name, or a pattern of names.
    pub name: String,
    /// Every unit that the pattern matches must be there; else any of them will do.
    pub all: bool,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.all, self.is_pattern()) {
            (true, _) => write!(f, "all of {}", self.name),
            (false, true) => write!(f, "any {}", self.name),
            (false, false) => f.write_str(&self.name),
        }
    }
}

impl Peer {
    fn read(item: &str) -> Self {
        let (name, all) = match item.strip_prefix(ALL) {
            Some(name) => (name, true),
            None => (item, false),
        };
        Peer {
            name: name.to_owned(),
            all,
        }
    }

    /// Whether it may mean several units.
    pub fn is_pattern(&self) -> bool {
        self.name.contains(['*', '?', '['])
    }

    /// As a pattern, which matches the name only if it is a name.
    pub fn pattern(&self) -> String {
        match self.is_pattern() {
            true => self.name.clone(),
            // systemd's escapes in names are none of patterns
            false => self.name.replace('\\', "\\\\"),
        }
    }
}

impl Requirements {
    /// Reads the section as a stored unit's is read: what makes no sense is left out.
    pub fn of(name: &UnitName, file: &UnitFile) -> Self {
        Self::read(&Section {
            file,
            name: Some(name),
        })
    }

    fn read(section: &Section<'_>) -> Self {
        let conflicts = section.items(&[LEGACY_CONFLICTS, CONFLICTS]);
        let words = conflicts.iter().flat_map(|item| item.split_whitespace());
        let peers = section.items(&[LEGACY_MACHINE_OF, MACHINE_OF]);
        Requirements {
            machine_id: section.machine_id(),
            peers: peers.iter().map(|item| Peer::read(item)).collect(),
            demand: section.demand(),
            conflicts: words.map(str::to_owned).collect(),
            replaces: section.items(&[REPLACES]),
            global: section.is_set(GLOBAL),
            avoid_units: section.weighted_texts(AVOID_UNITS),
            max_per_machine: section.max_per_machine(),
            reservation: section.reservation(),
            sticky: section.is_set(STICKY),
            move_delay: section.move_delay(),
            fence: section.is_set(FENCE),
            reschedule_after: section.reschedule_after(),
            start_first: section.start_first(),
        }
    }
}

/// The section of one file; specifiers are expanded if there is a name.
struct Section<'a> {
    file: &'a UnitFile,
    name: Option<&'a UnitName>,
}

impl Section<'_> {
    /// The items of every line of the first key, then of the next.
    fn items(&self, keys: &[&str]) -> Vec<String> {
        let lines = keys.iter().flat_map(|key| self.file.values(SECTION, key));
        lines
            .flat_map(quoted_list)
            .map(|item| self.expanded(&item))
            .collect()
    }

    fn expanded(&self, item: &str) -> String {
        self.name.map_or(item.to_owned(), |name| expand(item, name))
    }

    /// The first item of the first key that has any.
    fn machine_id(&self) -> Option<String> {
        [MACHINE_ID, LEGACY_MACHINE_ID, LEGACY_BOOT_ID]
            .iter()
            .find_map(|key| self.items(&[key]).into_iter().next())
    }

    fn metadata(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut metadata: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for item in self.items(&[LEGACY_METADATA, METADATA]) {
            if let Some((key, value)) = key_and_value(&item) {
                metadata
                    .entry(key.to_owned())
                    .or_default()
                    .insert(value.to_owned());
            }
        }
        metadata
    }

    /// The last line of an option that is on or off.
    fn is_set(&self, key: &str) -> bool {
        let last = self.items(&[key]).pop();
        last.is_some_and(|value| is_true(&value))
    }
}

/// Splits a value that starts and ends with `"` at spaces outside quotes; quotes vanish, and there are no
/// escapes. Any other value is one item, whatever it holds.
fn quoted_list(value: &str) -> Vec<String> {
    if !(value.starts_with('"') && value.ends_with('"')) {
        return vec![value.to_owned()];
    }
    let mut items = vec![String::new()];
    let mut inside = false;
    for c in value.chars() {
        match (c, items.last_mut()) {
            ('"', _) => inside = !inside,
            (' ', _) if !inside => items.push(String::new()),
            (c, Some(item)) => item.push(c),
            (_, None) => {}
        }
    }
    items
}

/// The parts of `key=value`: one `=`, neither side empty.
fn key_and_value(item: &str) -> Option<(&str, &str)> {
    let (key, value) = item.split_once('=')?;
    let fits = !key.is_empty() && !value.is_empty() && !value.contains('=');
    fits.then_some((key, value))
}

fn is_true(value: &str) -> bool {
    matches!(
        value.to_lowercase().as_str(),
        "true" | "yes" | "1" | "on" | "t"
    )
}
