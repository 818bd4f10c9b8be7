//! The `[X-Fleet]` section, parsed once.

use std::collections::{BTreeMap, BTreeSet};

use unitfile::quote::quoted;
use unitfile::{UnitFile, UnitName, expand};

use crate::glob::{self, Pattern};

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

const KEYS: [&str; 11] = [
    MACHINE_ID,
    MACHINE_OF,
    METADATA,
    CONFLICTS,
    REPLACES,
    GLOBAL,
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
    pub fn of(name: &UnitName, file: &UnitFile) -> Self {
        Self::read(&Section {
            file,
            name: Some(name),
        })
    }

    fn read(section: &Section<'_>) -> Self {
        let conflicts = section.items(&[LEGACY_CONFLICTS, CONFLICTS]);
        let words = conflicts.iter().flat_map(|item| item.split_whitespace());
        Requirements {
            machine_id: section.machine_id(),
            peers: section.items(&[LEGACY_MACHINE_OF, MACHINE_OF]),
            metadata: section.metadata(),
            conflicts: words.map(str::to_owned).collect(),
            replaces: section.items(&[REPLACES]),
            global: section
                .items(&[GLOBAL])
                .last()
                .is_some_and(|value| is_true(value)),
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
    check_patterns(&requirements)
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
}

fn check_peers(wanted: &Requirements) -> Result<(), Invalid> {
    let hit = |patterns: &[String]| {
        let pairs = wanted
            .peers
            .iter()
            .flat_map(|peer| patterns.iter().map(move |p| (peer, p)));
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
    let conflicts = !wanted.conflicts.is_empty();
    let replaces = !wanted.replaces.is_empty();
    let forbidden = [
        (pinned && peers, "MachineID", "Peers"),
        (pinned && conflicts, "MachineID", "Conflicts"),
        (pinned && wanted.global, "MachineID", "Global"),
        (pinned && replaces, "MachineID", "Replaces"),
        (wanted.global && peers, "Global", "Peers"),
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
    let mut patterns = wanted.conflicts.iter().chain(&wanted.replaces);
    let bad = patterns.find(|pattern| Pattern::parse(pattern).is_err());
    bad.map_or(Ok(()), |pattern| Err(Invalid::Pattern(pattern.clone())))
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
