//! One machine's part of the schedule, kept up to date.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use etcd_client::KeyValue;
use fleet::{Assignment, Event, MachineId};
use unitfile::UnitName;

use crate::Registry;
use crate::follow::{Follow, Update};
use crate::keys::Key;
use crate::records::{Read, Records};

/// What one machine shall run, as of the last [`changed`](ScheduleWatch::changed). Stays what it was while etcd is away.
pub struct ScheduleWatch {
    /// The units, each with its file's hash and how far to bring it.
    pub assigned: BTreeMap<UnitName, Assignment>,
    /// The `member_since` of the membership that this was decided for.
    pub admitted: Option<i64>,
    /// Units whose rows cannot be read: of these nobody knows what they shall be. Those that could be read before are in
    /// `assigned` as they were.
    pub unreadable: BTreeSet<UnitName>,
    machine: MachineId,
    follow: Follow,
    records: Arc<Records>,
}

impl Registry {
    /// Begins to watch a machine's schedule. Waits for its first state as long as that takes.
    pub async fn schedule_of(&self, machine: &MachineId) -> ScheduleWatch {
        let follow = Follow::start(self.etcd.clone(), self.records.keys.schedule_of(machine));
        let mut watch = ScheduleWatch {
            assigned: BTreeMap::new(),
            admitted: None,
            unreadable: BTreeSet::new(),
            machine: machine.clone(),
            follow,
            records: self.records.clone(),
        };
        watch.changed().await;
        watch
    }
}

impl ScheduleWatch {
    /// Waits for news and takes all that is there. Losing the future loses nothing.
    pub async fn changed(&mut self) {
        let first = self.follow.next().await;
        self.take(first);
        while let Some(more) = self.follow.waiting() {
            self.take(more);
        }
    }

    /// Whether etcd is in reach, so that news would arrive.
    pub fn is_current(&self) -> bool {
        self.follow.is_current()
    }

    fn take(&mut self, update: Update) {
        match update {
            Update::Reset { records, .. } => {
                let before = std::mem::take(&mut self.assigned);
                self.unreadable.clear();
                self.admitted = None;
                records.iter().for_each(|record| self.read(record));
                let kept = before.into_iter();
                let kept = kept.filter(|(unit, _)| self.unreadable.contains(unit));
                self.assigned.extend(kept);
            }
            Update::Events { events, .. } => {
                for event in &events {
                    match event.gone {
                        true => self.apply(self.records.gone(event.record.key())),
                        false => self.read(&event.record),
                    }
                }
            }
        }
    }

    fn read(&mut self, record: &KeyValue) {
        match self.records.read(record) {
            Read::Event(event) => self.apply(Some(event)),
            Read::Garbage(Key::Scheduled(id, unit)) if id == self.machine => {
                self.unreadable.insert(unit);
            }
            // without it nothing is stopped, until the leader has written it anew
            Read::Garbage(Key::Admitted(id)) if id == self.machine => self.admitted = None,
            Read::Garbage(_) | Read::Nothing => {}
        }
    }

    fn apply(&mut self, event: Option<Event>) {
        match event {
            Some(Event::Scheduled(id, unit, row)) if id == self.machine => {
                self.unreadable.remove(&unit);
                match row {
                    Some(row) => drop(self.assigned.insert(unit, row)),
                    None => drop(self.assigned.remove(&unit)),
                }
            }
            Some(Event::Admitted(id, since)) if id == self.machine => self.admitted = since,
            _ => {}
        }
    }
}
