//! What is refused when a unit is submitted.

use unitfile::quote::quoted;
use unitfile::{UnitFile, UnitName};

use super::{
    ExpressionError, KEYS, LEGACY_METADATA, METADATA, Peer, Requirements, SECTION, Section,
    key_and_value, options,
};
use crate::fence::{self, Unfenceable};
use crate::glob::{self, Pattern};

/// Checks the section of a unit that is being submitted; the first rule that it breaks is the error.
///
/// The original's rules come first, in its order. Ours follow: what a stored unit may have and the scheduler
/// ignores, such as a misspelt key, is an error here. A template's specifiers are taken as they stand, since
/// only its instances tell what they mean.
pub fn check(unit: &UnitName, file: &UnitFile) -> Result<(), Invalid> {
    let name = Some(unit).filter(|name| !name.is_template());
    let section = Section { file, name };
    let requirements = Requirements::read(&section);
    check_peers(&requirements)?;
    check_combination(&requirements)?;
    check_keys(file)?;
    check_metadata(&section)?;
    check_patterns(&requirements)?;
    options::check(&section)?;
    check_fence(&requirements, unit, file)
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
    /// `Fence=` of a unit whose end cannot be sure.
    #[error(transparent)]
    Fence(#[from] Unfenceable),
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
        (wanted.global && wanted.fence, "Global", "Fence"),
        // a unit of every machine is never moved
        (
            wanted.global && wanted.start_first,
            "Global",
            "MoveOrder=start-first",
        ),
        (
            wanted.global && wanted.reschedule_after.is_some(),
            "Global",
            "RescheduleAfter",
        ),
        (
            wanted.fence && wanted.start_first,
            "Fence",
            "MoveOrder=start-first",
        ),
    ];
    let mut broken = forbidden.iter().filter(|(broken, ..)| *broken);
    broken
        .next()
        .map_or(Ok(()), |&(_, a, b)| Err(Invalid::Combination(a, b)))
}

fn check_fence(wanted: &Requirements, unit: &UnitName, file: &UnitFile) -> Result<(), Invalid> {
    if wanted.fence {
        fence::stop_time(unit, file)?;
    }
    Ok(())
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
