//! Events as they are written: a record of them goes into the transaction that makes them happen.

use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use etcd_client::TxnOp;
use fleet::MachineId;
use fleet::history::{Entry, MANY, counted};
use serde::{Deserialize, Serialize};
use unitfile::UnitName;

use crate::codec::{self, Garbage};
use crate::keys::{EventId, Key};
use crate::{Membership, Registry};

/// Numbers above are not given out: a record's has six digits.
const NUMBERS: u32 = 1_000_000;

/// A record of events that is to be written: the same one however often that is tried.
#[derive(Debug, Clone)]
pub struct Telling {
    id: EventId,
    entries: Vec<Entry>,
}

impl Membership {
    /// What this machine has to tell, dated now; none if that is nothing. Entries without a machine are about this one.
    pub fn telling(&self, mut entries: Vec<Entry>) -> Option<Telling> {
        let id = &self.machine.id;
        for entry in &mut entries {
            entry.machine.get_or_insert_with(|| id.clone());
        }
        Telling::of(&self.registry, id, entries)
    }
}

impl Telling {
    pub(crate) fn of(
        registry: &Registry,
        machine: &MachineId,
        mut entries: Vec<Entry>,
    ) -> Option<Telling> {
        if entries.is_empty() {
            return None;
        }
        // that a machine is lost is why its units move
        entries.sort_by_key(|entry| entry.unit.is_some());
        let entries = if entries.len() > MANY {
            counted(entries)
        } else {
            entries
        };
        let id = EventId {
            time: now(),
            machine: machine.clone(),
            number: registry.records.events.fetch_add(1, Ordering::Relaxed) % NUMBERS,
        };
        Some(Telling { id, entries })
    }

    pub(crate) fn op(&self, registry: &Registry) -> TxnOp {
        let key = registry.records.keys.print(&Key::Event(self.id.clone()));
        let rows: Vec<EntryRow> = self.entries.iter().map(EntryRow::from).collect();
        TxnOp::put(key, codec::print(&rows), None)
    }
}

/// In milliseconds since the Unix epoch, by the clock on the wall, which is what people compare it with.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

#[derive(Serialize, Deserialize)]
pub(crate) struct EntryRow {
    what: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    count: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    machine: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    reason: String,
    /// In milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<u64>,
}

fn one() -> usize {
    1
}

// serde hands it a reference
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_one(count: &usize) -> bool {
    *count == 1
}

impl From<&Entry> for EntryRow {
    fn from(entry: &Entry) -> Self {
        let text = |id: &Option<MachineId>| id.as_ref().map(ToString::to_string);
        EntryRow {
            what: entry.what.to_string(),
            unit: entry.unit.as_ref().map(ToString::to_string),
            count: entry.count,
            machine: text(&entry.machine),
            from: text(&entry.from),
            reason: entry.reason.clone(),
            at: entry
                .at
                .map(|at| u64::try_from(at.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

impl TryFrom<EntryRow> for Entry {
    type Error = Garbage;

    fn try_from(row: EntryRow) -> Result<Self, Garbage> {
        let machine = |text: Option<String>| text.map(|text| MachineId::parse(&text)).transpose();
        let unit = row.unit.map(|text| UnitName::parse(&text)).transpose();
        Ok(Entry {
            what: row.what.parse()?,
            unit: unit?,
            count: row.count,
            machine: machine(row.machine)?,
            from: machine(row.from)?,
            reason: row.reason,
            at: row.at.map(std::time::Duration::from_millis),
        })
    }
}
