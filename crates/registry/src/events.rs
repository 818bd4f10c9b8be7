//! Events as they are read: the newest first, or as they come.
//!
//! Their order is that of their revisions, not that of their keys: machines' clocks differ, and a decision comes before
//! what comes of it.

use std::sync::Arc;

use etcd_client::{GetOptions, KeyValue};
use fleet::history::Entry;

use crate::codec::{self, Garbage};
use crate::follow::{Follow, RecordEvent, Update};
use crate::keys::{Key, Range};
use crate::records::Records;
use crate::tell::EntryRow;
use crate::{Error, MAX_TXN_OPS, Registry};

const READING: &str = "reading events";

/// What somebody had to tell at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// The revision at which it was written.
    pub revision: i64,
    /// When, in milliseconds since the Unix epoch, by the writer's clock.
    pub time: u64,
    /// What.
    pub entries: Vec<Entry>,
}

/// The records of events that are kept.
#[derive(Debug)]
pub struct EventList {
    /// What is written later has a higher revision.
    pub revision: i64,
    registry: Registry,
    /// Those that have not been read yet, in the order in which they were written.
    keys: Vec<Stored>,
}

/// A record that is there: when it was written, and its key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stored {
    pub(crate) revision: i64,
    pub(crate) key: Vec<u8>,
}

impl Registry {
    /// Finds out which records of events there are.
    ///
    /// # Errors
    /// etcd cannot be asked.
    pub async fn events(&self) -> Result<EventList, Error> {
        let (revision, keys) = self.stored_events().await?;
        Ok(EventList {
            revision,
            registry: self.clone(),
            keys,
        })
    }

    /// What is told of after a revision, for as long as somebody wants to know.
    pub fn events_after(&self, revision: i64) -> EventWatch {
        EventWatch {
            follow: Follow::after(self.etcd.clone(), self.records.keys.events(), revision),
            told: revision,
            records: self.records.clone(),
        }
    }

    /// How many records of events there are.
    pub(crate) async fn count_events(&self) -> Result<usize, Error> {
        let options = GetOptions::new().with_count_only();
        let range = self.records.keys.events();
        let answer = self.etcd.range(READING, &range, options).await?;
        Ok(usize::try_from(answer.count()).unwrap_or_default())
    }

    /// The records of events, without their values, in the order in which they were written; and as of when.
    pub(crate) async fn stored_events(&self) -> Result<(i64, Vec<Stored>), Error> {
        let options = GetOptions::new().with_keys_only();
        let range = self.records.keys.events();
        let mut answer = self.etcd.range(READING, &range, options).await?;
        let revision = answer.header().map_or(0, |header| header.revision());
        let stored = |record: KeyValue| Stored {
            revision: record.mod_revision(),
            key: record.key().to_vec(),
        };
        let mut keys: Vec<Stored> = answer.take_kvs().into_iter().map(stored).collect();
        keys.sort_unstable();
        Ok((revision, keys))
    }
}

impl EventList {
    /// Only what was written after that revision.
    pub fn after(&mut self, revision: i64) {
        self.keys.retain(|stored| stored.revision > revision);
    }

    /// The newest of the records that have not been read yet, in the order in which they were written; none if all have been.
    ///
    /// # Errors
    /// etcd cannot be asked.
    pub async fn older(&mut self) -> Result<Option<Vec<EventRecord>>, Error> {
        if self.keys.is_empty() {
            return Ok(None);
        }
        let some = self.keys.len().saturating_sub(MAX_TXN_OPS);
        let ranges: Vec<Range> = self.keys.split_off(some).into_iter().map(key).collect();
        // as they are now: one that has been deleted meanwhile is left out
        let (_, mut found) = self.registry.read_at(READING, 0, &ranges).await?;
        found.sort_unstable_by_key(KeyValue::mod_revision);
        let read = |record| self.registry.records.events_of(record);
        Ok(Some(found.iter().filter_map(read).collect()))
    }
}

fn key(stored: Stored) -> Range {
    Range {
        start: stored.key,
        end: Vec::new(),
    }
}

/// Events as they come.
pub struct EventWatch {
    follow: Follow,
    /// All up to this revision has been told of.
    told: i64,
    records: Arc<Records>,
}

impl EventWatch {
    /// What has been told next. Waits through any outage. Losing the future loses nothing.
    pub async fn next(&mut self) -> Vec<EventRecord> {
        loop {
            let update = self.follow.next().await;
            let news = self.take(update);
            if !news.is_empty() {
                return news;
            }
        }
    }

    fn take(&mut self, update: Update) -> Vec<EventRecord> {
        let (revision, mut records) = match update {
            Update::Reset { revision, records } => (revision, records),
            Update::Events { revision, events } => {
                let written = |event: RecordEvent| (!event.gone).then_some(event.record);
                (revision, events.into_iter().filter_map(written).collect())
            }
        };
        records.retain(|record| record.mod_revision() > self.told);
        records.sort_by_key(KeyValue::mod_revision);
        // a registry that was restored from a backup has gone back
        self.told = revision;
        let read = |record| self.records.events_of(record);
        records.iter().filter_map(read).collect()
    }
}

impl Records {
    /// What a record of events tells; what makes no sense in it is left out.
    fn events_of(&self, record: &KeyValue) -> Option<EventRecord> {
        let Some(Key::Event(id)) = self.key(record.key()) else {
            self.name(record, &"no record of events has such a key".into());
            return None;
        };
        let rows: Vec<serde_json::Value> = self.read_with(record, |record| codec::json(record))?;
        let entry = |row| match read_entry(row) {
            Ok(entry) => Some(entry),
            Err(why) => {
                self.name(record, &why);
                None
            }
        };
        Some(EventRecord {
            revision: record.mod_revision(),
            time: id.time,
            entries: rows.into_iter().filter_map(entry).collect(),
        })
    }
}

fn read_entry(row: serde_json::Value) -> Result<Entry, Garbage> {
    serde_json::from_value::<EntryRow>(row)?.try_into()
}
