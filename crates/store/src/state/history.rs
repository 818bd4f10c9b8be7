//! What watchers see: the events of some keys from a revision on, read from the known records.

use super::keyrange::KeyRange;
use super::mvcc::{Mvcc, Record};
use crate::proto::mvccpb::Event;
use crate::proto::mvccpb::event::EventType;

/// Which events somebody wants.
#[derive(Debug, Clone)]
pub(crate) struct Interest {
    pub(crate) range: KeyRange,
    pub(crate) puts: bool,
    pub(crate) deletes: bool,
    /// Whether each event brings what the key held before.
    pub(crate) prev_kv: bool,
}

/// Some events, and the revision to go on from.
#[derive(Debug, PartialEq)]
pub(crate) struct Page {
    pub(crate) events: Vec<Event>,
    pub(crate) next: i64,
}

/// How much a page may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) events: usize,
    /// Bytes of keys and values.
    pub(crate) bytes: usize,
}

/// The events from revision `from` on. A page ends with a whole revision, because the events of one
/// revision must reach the watcher together; so it may hold a little more than the limit.
pub(crate) fn events(
    mvcc: &Mvcc,
    interest: &Interest,
    from: i64,
    limit: Limit,
) -> Result<Page, i64> {
    if from < mvcc.compacted() {
        return Err(mvcc.compacted());
    }
    let mut page = Page {
        events: Vec::new(),
        next: from,
    };
    let mut bytes = 0;
    for record in mvcc.since(from) {
        let revision = record.kv.mod_revision;
        let full = page.events.len() >= limit.events || bytes >= limit.bytes;
        if full && revision >= page.next {
            return Ok(page);
        }
        page.next = revision + 1;
        if interest.wants(record) {
            let event = event(mvcc, interest, record);
            bytes += size(&event);
            page.events.push(event);
        }
    }
    page.next = page.next.max(mvcc.revision() + 1);
    Ok(page)
}

fn size(event: &Event) -> usize {
    let both = event.kv.iter().chain(&event.prev_kv);
    both.map(|kv| kv.key.len() + kv.value.len()).sum()
}

impl Interest {
    fn wants(&self, record: &Record) -> bool {
        let kind = if record.is_tombstone() {
            self.deletes
        } else {
            self.puts
        };
        kind && self.range.contains(&record.kv.key)
    }
}

fn event(mvcc: &Mvcc, interest: &Interest, record: &Record) -> Event {
    let kind = if record.is_tombstone() {
        EventType::Delete
    } else {
        EventType::Put
    };
    let before = || mvcc.before(&record.kv.key, record.kv.mod_revision).cloned();
    Event {
        r#type: kind.into(),
        kv: Some(record.kv.clone()),
        prev_kv: interest.prev_kv.then(before).flatten(),
    }
}
