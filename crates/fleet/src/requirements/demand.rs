//! What a unit asks of a machine itself, whoever else is there.

use std::collections::{BTreeMap, BTreeSet};

use super::Expression;

/// The weight of a preference that names none.
pub const WEIGHT: i32 = 50;

/// Requirements and preferences about a machine's metadata. Units that ask the same share one list of machines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Demand {
    /// `MachineMetadata=`: for each key, the values of which the machine must have one.
    pub metadata: BTreeMap<String, BTreeSet<String>>,
    /// `Constraint=`: all must hold.
    pub constraints: Vec<Expression>,
    /// `Prefer=` with negative weights, `Avoid=` with positive ones: what speaks against a machine where they hold.
    pub preferences: Vec<(i32, Expression)>,
    /// `Spread=`: keys over whose values the instances of a template are spread, with weights.
    pub spread: Vec<(i32, String)>,
}

impl Demand {
    /// Whether a machine with this metadata meets all of it.
    pub fn is_met(&self, metadata: &BTreeMap<String, String>) -> bool {
        self.lacking(metadata).next().is_none() && self.unmet(metadata).next().is_none()
    }

    /// What `MachineMetadata=` asks that a machine with this metadata lacks: `key=value|value`.
    pub fn lacking<'a>(
        &'a self,
        metadata: &'a BTreeMap<String, String>,
    ) -> impl Iterator<Item = String> + 'a {
        let met = |key: &String, values: &BTreeSet<String>| {
            let value = metadata.get(key);
            value.is_some_and(|value| values.contains(value))
        };
        let lacking = self.metadata.iter();
        let lacking = lacking.filter(move |(key, values)| !met(key, values));
        lacking.map(|(key, values)| {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            format!("{key}={}", values.join("|"))
        })
    }

    /// The expressions of `Constraint=` that do not hold for it.
    pub fn unmet<'a>(
        &'a self,
        metadata: &'a BTreeMap<String, String>,
    ) -> impl Iterator<Item = &'a Expression> + 'a {
        let constraints = self.constraints.iter();
        constraints.filter(|expression| !expression.holds(metadata))
    }

    /// What the preferences say against a machine with this metadata.
    pub fn cost(&self, metadata: &BTreeMap<String, String>) -> i32 {
        let holding = self.preferences.iter();
        let holding = holding.filter(|(_, expression)| expression.holds(metadata));
        holding.map(|(weight, _)| weight).sum()
    }

    /// The values of the keys over which instances are spread; a machine without a key has the empty one.
    pub fn values(&self, metadata: &BTreeMap<String, String>) -> Vec<String> {
        let keys = self.spread.iter().map(|(_, key)| key);
        keys.map(|key| metadata.get(key).cloned().unwrap_or_default())
            .collect()
    }
}
