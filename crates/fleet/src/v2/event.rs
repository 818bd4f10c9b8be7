//! What has happened, as it stands on the wire.

use serde::{Deserialize, Serialize};

use crate::history::Entry;

/// One thing that has happened.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Event {
    /// When, in milliseconds since the Unix epoch, by the clock of the machine that tells it.
    pub time: u64,
    /// The registry's revision at which it was told: later events have higher ones, whatever the machines' clocks say.
    pub revision: i64,
    /// What, in a word: one of [`What`](crate::history::What).
    pub what: String,
    /// To which unit; empty if it is about a machine, or about several units.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// How many things alike it stands for: 1, unless a great many happened at once.
    #[serde(skip_serializing_if = "is_one")]
    pub count: usize,
    /// On which machine, or to which.
    #[serde(rename = "machineID", skip_serializing_if = "String::is_empty")]
    pub machine_id: String,
    /// The machine that the unit has left for another.
    #[serde(rename = "fromMachineID", skip_serializing_if = "String::is_empty")]
    pub from_machine_id: String,
    /// Why, in a line.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

// serde hands it a reference
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_one(count: &usize) -> bool {
    *count <= 1
}

fn text(name: Option<&impl ToString>) -> String {
    name.map(ToString::to_string).unwrap_or_default()
}

impl Event {
    /// An entry of the record that was written then, in milliseconds since the Unix epoch, and at that revision.
    pub fn of(entry: &Entry, written: u64, revision: i64) -> Self {
        let at = entry.at.map(|at| u64::try_from(at.as_millis()));
        Event {
            time: at.and_then(Result::ok).unwrap_or(written),
            revision,
            what: entry.what.to_string(),
            unit: text(entry.unit.as_ref()),
            count: entry.count,
            machine_id: text(entry.machine.as_ref()),
            from_machine_id: text(entry.from.as_ref()),
            reason: entry.reason.clone(),
        }
    }
}
