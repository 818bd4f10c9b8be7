//! Why a machine may not take a unit, and how that is told.

use std::collections::BTreeMap;
use std::fmt;

use unitfile::UnitName;

use crate::{MachineId, Resources};

/// Why a machine may not take a unit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// `MachineID=` names another machine.
    OtherMachine(String),
    /// The machine lacks one of the values that `MachineMetadata=` asks of a key: `key=value`, alternatives
    /// separated by `|`.
    Metadata(String),
    /// An expression of `Constraint=` does not hold for the machine's metadata.
    Constraint(String),
    /// A unit of `MachineOf=` is not there.
    PeerElsewhere(String),
    /// `MachineOf=` leads from the unit back to itself, by way of the units in this text: none can be first.
    PeerCycle(String),
    /// A unit is there that conflicts.
    Conflict(UnitName),
    /// A unit is there that replaces it.
    Replaced(UnitName),
    /// As many instances of the template are there as `MaxPerMachine=` allows.
    Enough(u32),
    /// What the unit reserves is more than others leave.
    NoRoom(Resources),
    /// The machine is about to leave the cluster.
    Leaving,
    /// The machine has not been heard of for long.
    Silent,
    /// The machine cannot write unit files.
    Unwritable,
    /// An operator keeps new units away from the machine; why, if that was said.
    Cordoned(String),
    /// An operator wants the unit elsewhere.
    Ordered,
    /// It has failed there so often in a row.
    Failing(u32),
    /// The unit file is missing from the registry.
    NoFile,
}

/// One line that says why a unit waits. `refusals` are those of [`refusals`](super::refusals), `total` is the number
/// of live machines.
pub fn summary(refusals: &[(MachineId, Refusal)], total: usize) -> String {
    if total == 0 {
        return "there are no machines".to_owned();
    }
    if refusals.len() < total {
        return "it has not been scheduled yet".to_owned();
    }
    if let Some(everywhere) = refusals
        .iter()
        .find_map(|(_, refusal)| of_the_unit(refusal))
    {
        return everywhere;
    }
    format!("no machine fits: {}", counted(refusals).join("; "))
}

/// The longest list of reasons that still is one line.
const REASONS: usize = 4;

/// What no machine has to do with.
fn of_the_unit(refusal: &Refusal) -> Option<String> {
    match refusal {
        Refusal::NoFile | Refusal::PeerCycle(_) => Some(refusal.to_string()),
        _ => None,
    }
}

/// Each reason with the number of machines that have it, the most frequent first.
fn counted(refusals: &[(MachineId, Refusal)]) -> Vec<String> {
    let mut counts: BTreeMap<&Refusal, usize> = BTreeMap::new();
    for (_, refusal) in refusals {
        *counts.entry(refusal).or_default() += 1;
    }
    let mut reasons: Vec<(&Refusal, usize)> = counts.into_iter().collect();
    reasons.sort_by_key(|&(_, machines)| std::cmp::Reverse(machines));
    let rest: usize = reasons
        .iter()
        .skip(REASONS)
        .map(|(_, machines)| machines)
        .sum();
    let told = reasons.iter().take(REASONS).enumerate();
    let mut told: Vec<String> = told.map(|(at, &(r, n))| phrase(r, n, at == 0)).collect();
    if rest > 0 {
        told.push(format!("{rest} more for other reasons"));
    }
    told
}

/// `2 machines lack metadata region=eu`; only the first phrase of a line says what is counted.
fn phrase(refusal: &Refusal, machines: usize, first: bool) -> String {
    let one = machines == 1;
    let noun = match (first, one) {
        (false, _) => "",
        (true, true) => " machine",
        (true, false) => " machines",
    };
    format!("{machines}{noun} {}", told_of(refusal, one))
}

fn told_of(refusal: &Refusal, one: bool) -> String {
    let verb = |singular: &'static str, plural| if one { singular } else { plural };
    match refusal {
        Refusal::OtherMachine(id) => format!("{} not MachineID={id}", verb("is", "are")),
        Refusal::Metadata(wanted) => format!("{} metadata {wanted}", verb("lacks", "lack")),
        Refusal::Constraint(text) => format!("{} not {text}", verb("is", "are")),
        Refusal::PeerElsewhere(unit) => {
            format!(
                "{} {unit}, named by MachineOf=",
                verb("is without", "are without")
            )
        }
        Refusal::Conflict(unit) => format!("{} with {unit}", verb("conflicts", "conflict")),
        Refusal::Replaced(unit) => format!("{} {unit}, which replaces it", verb("has", "have")),
        Refusal::Enough(max) => format!("{} MaxPerMachine={max} of them", verb("has", "have")),
        Refusal::NoRoom(asked) => format!("{} no room for {asked}", verb("has", "have")),
        Refusal::Leaving => verb("is leaving", "are leaving").to_owned(),
        Refusal::Ordered | Refusal::Failing(_) => refusal.to_string(),
        Refusal::Silent => verb("is silent", "are silent").to_owned(),
        Refusal::Unwritable => "can write no unit files".to_owned(),
        Refusal::Cordoned(why) => verb("is cordoned", "are cordoned").to_owned() + &aside(why),
        Refusal::PeerCycle(_) | Refusal::NoFile => refusal.to_string(),
    }
}

/// What an operator has said, in a line with others.
fn aside(text: &str) -> String {
    match text {
        "" => String::new(),
        text => format!(" ({})", text.replace('\n', " ")),
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::OtherMachine(id) => write!(f, "MachineID={id} names another machine"),
            Refusal::Metadata(wanted) => write!(f, "lacks metadata {wanted}"),
            Refusal::Constraint(text) => write!(f, "Constraint={text} does not hold"),
            Refusal::PeerElsewhere(unit) => write!(f, "{unit}, named by MachineOf=, is not there"),
            Refusal::PeerCycle(way) => write!(f, "MachineOf= goes round in a circle: {way}"),
            Refusal::Conflict(unit) => write!(f, "conflicts with {unit}"),
            Refusal::Replaced(unit) => write!(f, "replaced by {unit}"),
            Refusal::Enough(max) => write!(f, "has MaxPerMachine={max} of them already"),
            Refusal::NoRoom(asked) => write!(f, "has no room for {asked}"),
            Refusal::Leaving => f.write_str("the machine is leaving"),
            Refusal::Ordered => f.write_str("an operator wants it elsewhere"),
            Refusal::Silent => f.write_str("the machine has not been heard of for long"),
            Refusal::Unwritable => f.write_str("the machine can write no unit files"),
            Refusal::Cordoned(why) => write!(f, "the machine is cordoned{}", aside(why)),
            Refusal::Failing(1) => f.write_str("it has failed there"),
            Refusal::Failing(times) => write!(f, "it has failed there {times} times"),
            Refusal::NoFile => f.write_str("the unit file is missing"),
        }
    }
}
