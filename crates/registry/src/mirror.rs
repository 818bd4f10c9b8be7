//! The whole picture, kept up to date.

use std::collections::BTreeMap;
use std::sync::Arc;

use etcd_client::KeyValue;
use fleet::cluster::Touched;
use fleet::{Cluster, Event, MachineId, UnitRecord};
use unitfile::UnitName;

use crate::Registry;
use crate::codec;
use crate::follow::{Follow, RecordEvent, Update};
use crate::keys::Key;
use crate::records::{Read, Records};

/// Everything under the prefix but events, as of the last [`changed`](Mirror::changed). Stays what it was while etcd is
/// away, and catches up when that is back. A record that turns into garbage stays what it was, too, unless it is the leader's to
/// write it anew.
pub struct Mirror {
    cluster: Cluster,
    leases: BTreeMap<MachineId, i64>,
    events: u64,
    follow: Follow,
    records: Arc<Records>,
}

impl Registry {
    /// Begins to mirror the registry. Waits for the first picture as long as that takes.
    pub async fn mirror(&self) -> Mirror {
        let keys = &self.records.keys;
        let follow = Follow::parts(self.etcd.clone(), keys.picture(), keys.everything());
        let mut mirror = Mirror {
            cluster: Cluster::default(),
            leases: BTreeMap::new(),
            events: 0,
            follow,
            records: self.records.clone(),
        };
        mirror.changed().await;
        mirror
    }
}

impl Mirror {
    /// The picture.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The lease of each machine that is there.
    pub fn leases(&self) -> &BTreeMap<MachineId, i64> {
        &self.leases
    }

    /// How many records of events have been written since it was begun, or somewhat fewer. They are not kept.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Waits for news and takes all that is there; what that changed is the answer. Losing the future loses nothing.
    pub async fn changed(&mut self) -> Touched {
        let first = self.follow.next().await;
        let mut touched = Touched::default();
        self.take(first, &mut touched);
        while let Some(more) = self.follow.waiting() {
            self.take(more, &mut touched);
        }
        touched
    }

    /// Whether etcd is in reach, so that news would arrive.
    pub fn is_current(&self) -> bool {
        self.follow.is_current()
    }

    fn take(&mut self, update: Update, touched: &mut Touched) {
        let revision = match update {
            Update::Reset { revision, records } => {
                self.reset(&records);
                *touched = Touched::Everything;
                revision
            }
            Update::Events { revision, events } => {
                events
                    .iter()
                    .for_each(|event| self.take_event(event, touched));
                revision
            }
        };
        self.cluster.revision = revision;
    }

    fn reset(&mut self, records: &[KeyValue]) {
        let before = std::mem::take(&mut self.cluster);
        let leases = std::mem::take(&mut self.leases);
        let mut garbage = Vec::new();
        for record in records {
            match self.records.read_knowing(&before.files, record) {
                Read::Event(event) => {
                    self.note_lease(&event, record.lease());
                    self.cluster.apply(event);
                }
                Read::Garbage(key) => garbage.push(key),
                Read::Nothing => {}
            }
        }
        for key in garbage {
            if let Some(event) = known(&before, &key).or_else(|| self.guess(&key)) {
                let lease = match &event {
                    Event::Machine(id, _) => leases.get(id).copied(),
                    _ => None,
                };
                self.note_lease(&event, lease.unwrap_or_default());
                self.cluster.apply(event);
            }
        }
    }

    /// What a record meant that cannot be read and never could: of a unit, its rows in the schedule tell what was wanted last.
    fn guess(&self, key: &Key) -> Option<Event> {
        let Key::Unit(unit) = key else {
            return None;
        };
        let row = self
            .cluster
            .schedule
            .values()
            .find_map(|rows| rows.get(unit))?;
        let record = UnitRecord {
            hash: row.hash,
            desired: row.desired,
        };
        Some(Event::Unit(unit.clone(), Some(record)))
    }

    fn take_event(&mut self, RecordEvent { record, gone }: &RecordEvent, touched: &mut Touched) {
        if self.records.keys.is_event(record.key()) {
            self.events += u64::from(!gone);
            return;
        }
        let event = match gone {
            true => self.records.gone(record.key()),
            false => match self.records.read_knowing(&self.cluster.files, record) {
                Read::Event(event) => Some(event),
                Read::Garbage(key) if is_leaders(&key) => codec::gone(key),
                Read::Garbage(_) | Read::Nothing => None,
            },
        };
        if let Some(event) = event {
            self.note_lease(&event, record.lease());
            self.cluster.apply_noting(event, touched);
        }
    }

    fn note_lease(&mut self, event: &Event, lease: i64) {
        match event {
            Event::Machine(id, Some(_)) => drop(self.leases.insert(id.clone(), lease)),
            Event::Machine(id, None) => drop(self.leases.remove(id)),
            _ => {}
        }
    }
}

/// Whether the leader writes such records: one that cannot be read is to it as one that is missing, and is written anew.
fn is_leaders(key: &Key) -> bool {
    matches!(
        key,
        Key::Scheduled(..) | Key::Target(_) | Key::Admitted(_) | Key::Away(_) | Key::Failed(_)
    )
}

/// What a record meant when it could be read. What is not for the leader to write anew stays so.
fn known(before: &Cluster, key: &Key) -> Option<Event> {
    Some(match key {
        Key::File(hash) => Event::File(*hash, Some(before.files.get(hash)?.clone())),
        Key::Unit(unit) => Event::Unit(unit.clone(), Some(unit_record(before, unit)?)),
        Key::Machine(id) => Event::Machine(id.clone(), Some(before.machines.get(id)?.clone())),
        Key::Metadata(id, name) => {
            let value = before.metadata.get(id)?.get(name)?;
            Event::Metadata(id.clone(), name.clone(), Some(value.clone()))
        }
        Key::Cordon(id) => Event::Cordon(id.clone(), Some(before.cordons.get(id)?.clone())),
        Key::Move(unit) => Event::Move(unit.clone(), Some(before.moves.get(unit)?.clone())),
        Key::Fence(unit) => Event::Claim(unit.clone(), Some(before.claims.get(unit)?.clone())),
        Key::State(unit, id) => {
            let state = before.states.get(unit)?.get(id)?;
            Event::State(unit.clone(), id.clone(), Some(state.clone()))
        }
        Key::Leader => Event::Leader(Some(before.leader.clone()?)),
        _ => return None,
    })
}

fn unit_record(before: &Cluster, unit: &UnitName) -> Option<UnitRecord> {
    let unit = before.units.get(unit)?;
    Some(UnitRecord {
        hash: unit.hash,
        desired: unit.desired,
    })
}
