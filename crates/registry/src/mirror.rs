//! The whole picture, kept up to date.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleet::cluster::Touched;
use fleet::{Cluster, Event, MachineId};

use crate::Registry;
use crate::follow::{Follow, RecordEvent, Update};
use crate::records::Records;

/// Everything under the prefix but events, as of the last [`changed`](Mirror::changed). Stays what it was while etcd is
/// away, and catches up when that is back.
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
                self.cluster = Cluster::default();
                self.leases.clear();
                for record in &records {
                    if let Some(event) = self.records.read(record) {
                        self.note_lease(&event, record.lease());
                        self.cluster.apply(event);
                    }
                }
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

    fn take_event(&mut self, RecordEvent { record, gone }: &RecordEvent, touched: &mut Touched) {
        if self.records.keys.is_event(record.key()) {
            self.events += u64::from(!gone);
            return;
        }
        let event = if *gone {
            self.records.gone(record.key())
        } else {
            self.records.read(record)
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
