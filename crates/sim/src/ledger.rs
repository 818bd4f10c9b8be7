//! Every record as it was written, revision by revision, by an observer whom no fault touches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use etcd_client::{Client, Event, EventType, WatchOptions, WatchStream};
use fleet::MachineId;
use tokio::time::Instant;
use unitfile::UnitName;

use crate::host::PREFIX;
use crate::trace::Trace;

/// What the observer has seen. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    rows: Arc<Mutex<Rows>>,
}

/// A record of the schedule, and when it was written last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) value: String,
    pub(crate) revision: i64,
    pub(crate) at: Instant,
}

#[derive(Debug, Default)]
struct Rows {
    revision: i64,
    /// `schedule/<machine>/<unit>`, by unit and machine.
    schedule: BTreeMap<String, BTreeMap<String, Row>>,
    /// `target/<unit>`.
    targets: BTreeMap<String, String>,
    /// When `unit/<unit>` was written last, by revision.
    units: BTreeMap<String, i64>,
}

impl Ledger {
    /// Begins to observe an empty store.
    pub(crate) async fn open(client: Client, trace: Trace) -> anyhow::Result<Ledger> {
        let ledger = Ledger {
            rows: Arc::default(),
        };
        let stream = ledger.watch(&client).await?;
        tokio::spawn(ledger.clone().observe(client, stream, trace));
        Ok(ledger)
    }

    /// The last revision that was seen.
    pub(crate) fn revision(&self) -> i64 {
        self.lock().revision
    }

    /// The schedule's record for a unit on a machine.
    pub(crate) fn row(&self, unit: &str, machine: &str) -> Option<Row> {
        self.lock().schedule.get(unit)?.get(machine).cloned()
    }

    /// Whether that is still the schedule's record for a unit on a machine.
    pub(crate) fn holds(&self, unit: &UnitName, machine: &MachineId, row: &Row) -> bool {
        let rows = self.lock();
        let machines = rows.schedule.get(unit.as_str());
        machines.and_then(|machines| machines.get(machine.as_str())) == Some(row)
    }

    /// When it was last said what is wanted of a unit, by revision.
    pub(crate) fn wanted_since(&self, unit: &UnitName) -> Option<i64> {
        self.lock().units.get(unit.as_str()).copied()
    }

    /// What comes after all that has been seen.
    async fn watch(&self, client: &Client) -> Result<WatchStream, etcd_client::Error> {
        let next = self.revision() + 1;
        let options = WatchOptions::new().with_prefix().with_start_revision(next);
        client.watch_client().watch(PREFIX, Some(options)).await
    }

    async fn observe(self, client: Client, mut stream: WatchStream, trace: Trace) {
        loop {
            while let Ok(Some(response)) = stream.message().await {
                let events = response.events();
                for of_one_revision in events.chunk_by(|a, b| revision(a) == revision(b)) {
                    self.take(of_one_revision, &trace);
                }
            }
            trace.tell("the observer waits for the store");
            stream = match self.watch(&client).await {
                Ok(stream) => stream,
                Err(error) => return trace.violation(format_args!("nobody observes: {error}")),
            };
        }
    }

    /// Takes what one transaction wrote, and judges the outcome.
    fn take(&self, events: &[Event], trace: &Trace) {
        let mut rows = self.lock();
        rows.revision = events.first().map_or(0, revision);
        let mut touched = BTreeSet::new();
        for event in events {
            let Some(change) = Change::read(event) else {
                continue;
            };
            trace.tell(&change);
            touched.extend(rows.take(&change).map(str::to_owned));
        }
        for unit in touched {
            if let Some(wrong) = rows.wrong(&unit) {
                trace.violation(wrong);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    /// Takes a change; gives the unit whose place it concerns.
    fn take<'a>(&mut self, change: &Change<'a>) -> Option<&'a str> {
        let mut words = change.key.splitn(3, '/');
        match (words.next(), words.next(), words.next()) {
            (Some("schedule"), Some(machine), Some(unit)) => {
                let row = change.value.map(|value| Row {
                    value: value.to_owned(),
                    revision: change.revision,
                    at: Instant::now(),
                });
                let machines = self.schedule.entry(unit.to_owned()).or_default();
                set(machines, machine, row);
                Some(unit)
            }
            (Some("target"), Some(unit), None) => {
                set(&mut self.targets, unit, change.value.map(str::to_owned));
                Some(unit)
            }
            (Some("unit"), Some(unit), None) => {
                set(&mut self.units, unit, change.value.map(|_| change.revision));
                None
            }
            _ => None,
        }
    }

    /// What is wrong with a unit's place: one that is not global is on the machine of its target record, and on no
    /// other.
    fn wrong(&self, unit: &str) -> Option<String> {
        let machines: Vec<&String> = self.schedule.get(unit)?.keys().collect();
        if machines.is_empty() || crate::units::is_global(unit) {
            return None;
        }
        let target = self.targets.get(unit).map_or("", String::as_str);
        let fits = machines.len() == 1 && target.contains(&format!("{:?}", machines[0]));
        (!fits).then(|| format!("{unit} is assigned to {machines:?}, its target is {target:?}"))
    }
}

/// One record that was written, or deleted if it has no value.
struct Change<'a> {
    revision: i64,
    key: &'a str,
    value: Option<&'a str>,
}

impl<'a> Change<'a> {
    fn read(event: &'a Event) -> Option<Change<'a>> {
        let record = event.kv()?;
        let put = event.event_type() == EventType::Put;
        Some(Change {
            revision: record.mod_revision(),
            key: record.key_str().ok()?.strip_prefix(PREFIX)?,
            value: record.value_str().ok().filter(|_| put),
        })
    }
}

impl std::fmt::Display for Change<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Change {
            revision,
            key,
            value,
        } = self;
        match value {
            // the text of unit files says nothing that the unit's name does not
            Some(_) if key.starts_with("file/") => write!(f, "{revision} {key}"),
            Some(value) => write!(f, "{revision} {key} = {value}"),
            None => write!(f, "{revision} {key} is gone"),
        }
    }
}

fn revision(event: &Event) -> i64 {
    event.kv().map_or(0, etcd_client::KeyValue::mod_revision)
}

fn set<T>(map: &mut BTreeMap<String, T>, key: &str, value: Option<T>) {
    match value {
        Some(value) => drop(map.insert(key.to_owned(), value)),
        None => drop(map.remove(key)),
    }
}
