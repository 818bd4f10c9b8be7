//! The `[X-Fleet]` section, parsed once.

mod demand;
mod expression;
mod options;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use unitfile::quote::quoted;
use unitfile::{UnitFile, UnitName, expand};

use crate::Resources;
use crate::glob::{self, Pattern};

pub use demand::{Demand, WEIGHT};
pub use expression::{Expression, ExpressionError};
use options::{
    AVOID, AVOID_UNITS, CONSTRAINT, CPU_RESERVATION, MAX_PER_MACHINE, MEMORY_RESERVATION,
    MOVE_DELAY, PREFER, SPREAD, STICKY,
};

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

const KEYS: [&str; 21] = [
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
        }
    }
}

/// Checks the section of a unit that is being submitted; the first rule that it breaks is the error.
///
/// The original's rules come first, in its order. Ours follow: what a stored unit may have and the scheduler
/// ignores, such as a misspelt key, is an error here. A template's specifiers are taken as they stand, since
/// only its instances tell what they mean.
pub fn check(name: &UnitName, file: &UnitFile) -> Result<(), Invalid> {
    let name = Some(name).filter(|name| !name.is_template());
    let section = Section { file, name };
    let requirements = Requirements::read(&section);
    check_peers(&requirements)?;
    check_combination(&requirements)?;
    check_keys(file)?;
    check_metadata(&section)?;
    check_patterns(&requirements)?;
    options::check(&section)
}

/// Why the API refuses an `[X-Fleet]` section.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A unit of `MachineOf=` is one that `Conflicts=` keeps away.
    #[error(
        "unresolvable requirements: peer {} matches conflict {}",
        quoted(_0),
        quoted(_1)
    )]
    PeerConflicts(String, String),
    /// A unit of `MachineOf=` is one that `Replaces=` pushes away.
    #[error(
        "unresolvable requirements: peer {} matches replace {}",
        quoted(_0),
        quoted(_1)
    )]
    PeerReplaced(String, String),
    /// Two options that exclude each other, in the original's words for them.
    #[error("{0} cannot be used with {1}")]
    Combination(&'static str, &'static str),
    /// A key nobody knows.
    #[error("unrecognized requirement in [X-Fleet] section: {}", quoted(_0))]
    UnknownKey(String),
    /// An item of `MachineMetadata=` that is not `key=value`.
    #[error("invalid MachineMetadata {}: expected key=value", quoted(_0))]
    Metadata(String),
    /// A pattern that matches nothing because it is malformed.
    #[error("invalid pattern {}: syntax error", quoted(_0))]
    Pattern(String),
    /// A malformed expression of `Constraint=`, `Prefer=` or `Avoid=`.
    #[error("invalid {option} {}: {error}", quoted(value))]
    Expression {
        /// Which option.
        option: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        error: ExpressionError,
    },
    /// A value that is not what its option takes.
    #[error("invalid {option} {}: expected {expected}", quoted(value))]
    Value {
        /// Which option.
        option: &'static str,
        /// Its value.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
}

fn check_peers(wanted: &Requirements) -> Result<(), Invalid> {
    let hit = |patterns: &[String]| {
        let peers = wanted.peers.iter().map(|peer| &peer.name);
        let pairs = peers.flat_map(|peer| patterns.iter().map(move |p| (peer, p)));
        let mut hits = pairs.filter(|(peer, pattern)| glob::matches(pattern, peer));
        hits.next()
            .map(|(peer, pattern)| (peer.clone(), pattern.clone()))
    };
    if let Some((peer, pattern)) = hit(&wanted.conflicts) {
        return Err(Invalid::PeerConflicts(peer, pattern));
    }
    if let Some((peer, pattern)) = hit(&wanted.replaces) {
        return Err(Invalid::PeerReplaced(peer, pattern));
    }
    Ok(())
}

fn check_combination(wanted: &Requirements) -> Result<(), Invalid> {
    let pinned = wanted.machine_id.is_some();
    let peers = !wanted.peers.is_empty();
    // beside each unit of a pattern is a place for every machine
    let named = wanted.peers.iter().any(|peer| !peer.is_pattern());
    let conflicts = !wanted.conflicts.is_empty();
    let replaces = !wanted.replaces.is_empty();
    let forbidden = [
        (pinned && peers, "MachineID", "Peers"),
        (pinned && conflicts, "MachineID", "Conflicts"),
        (pinned && wanted.global, "MachineID", "Global"),
        (pinned && replaces, "MachineID", "Replaces"),
        (wanted.global && named, "Global", "Peers"),
        (wanted.global && replaces, "Global", "Replaces"),
        (conflicts && replaces, "Conflicts", "Replaces"),
    ];
    let mut broken = forbidden.iter().filter(|(broken, ..)| *broken);
    broken
        .next()
        .map_or(Ok(()), |&(_, a, b)| Err(Invalid::Combination(a, b)))
}

fn check_keys(file: &UnitFile) -> Result<(), Invalid> {
    let mut keys = file.section(SECTION).map(|option| option.name.as_str());
    let unknown = keys.find(|key| !KEYS.contains(key));
    unknown.map_or(Ok(()), |key| Err(Invalid::UnknownKey(key.to_owned())))
}

fn check_metadata(section: &Section<'_>) -> Result<(), Invalid> {
    let items = section.items(&[LEGACY_METADATA, METADATA]);
    let bad = items.into_iter().find(|item| key_and_value(item).is_none());
    bad.map_or(Ok(()), |item| Err(Invalid::Metadata(item)))
}

fn check_patterns(wanted: &Requirements) -> Result<(), Invalid> {
    let peers = wanted.peers.iter().map(Peer::pattern);
    let avoided = wanted.avoid_units.iter().map(|(_, pattern)| pattern);
    let patterns = wanted.conflicts.iter().chain(&wanted.replaces);
    let mut patterns = patterns.chain(avoided).cloned().chain(peers);
    let bad = patterns.find(|pattern| Pattern::parse(pattern).is_err());
    bad.map_or(Ok(()), |pattern| Err(Invalid::Pattern(pattern)))
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
