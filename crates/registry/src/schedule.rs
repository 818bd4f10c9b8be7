//! One machine's part of the schedule, kept up to date.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleet::{Assignment, Event, MachineId};
use unitfile::UnitName;

use crate::Registry;
use crate::follow::{Follow, Update};
use crate::records::Records;

/// What one machine shall run, as of the last [`changed`](ScheduleWatch::changed). Stays what it was while etcd is away.
pub struct ScheduleWatch {
    /// The units, each with its file's hash and how far to bring it.
    pub assigned: BTreeMap<UnitName, Assignment>,
    /// The `member_since` of the membership that this was decided for.
    pub admitted: Option<i64>,
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
                self.assigned.clear();
                self.admitted = None;
                records
                    .iter()
                    .for_each(|record| self.apply(self.records.clone().read(record)));
            }
            Update::Events { events, .. } => {
                for event in &events {
                    let records = self.records.clone();
                    let key = event.record.key();
                    self.apply(if event.gone {
                        records.gone(key)
                    } else {
                        records.read(&event.record)
                    });
                }
            }
        }
    }

    fn apply(&mut self, event: Option<Event>) {
        match event {
            Some(Event::Scheduled(id, unit, Some(row))) if id == self.machine => {
                self.assigned.insert(unit, row);
            }
            Some(Event::Scheduled(id, unit, None)) if id == self.machine => {
                self.assigned.remove(&unit);
            }
            Some(Event::Admitted(id, since)) if id == self.machine => self.admitted = since,
            _ => {}
        }
    }
}
