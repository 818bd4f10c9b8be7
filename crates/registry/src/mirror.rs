//! The whole picture, kept up to date.

use std::sync::Arc;

use fleet::cluster::Touched;
use fleet::{Cluster, Event};

use crate::Registry;
use crate::follow::{Follow, RecordEvent, Update};
use crate::records::Records;

/// Everything under the prefix, as of the last [`changed`](Mirror::changed). Stays what it was while etcd is
/// away, and catches up when that is back.
pub struct Mirror {
    cluster: Cluster,
    decisive: i64,
    follow: Follow,
    records: Arc<Records>,
}

impl Registry {
    /// Begins to mirror the registry. Waits for the first picture as long as that takes.
    pub async fn mirror(&self) -> Mirror {
        let follow = Follow::start(self.etcd.clone(), self.records.keys.everything());
        let mut mirror = Mirror {
            cluster: Cluster::default(),
            decisive: 0,
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

    /// Revision of the last change that a plan may depend on: what systemd says of a unit is none, unless a machine
    /// takes it back.
    pub fn decisive(&self) -> i64 {
        self.decisive
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
                let events = records
                    .iter()
                    .filter_map(|record| self.records.read(record));
                events.for_each(|event| self.cluster.apply(event));
                *touched = Touched::Everything;
                self.decisive = revision;
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
        let event = if *gone {
            self.records.gone(record.key())
        } else {
            self.records.read(record)
        };
        if let Some(event) = event {
            // what systemd says decides nothing; that a machine is done with a unit may
            if !matches!(event, Event::State(.., Some(_))) {
                self.decisive = record.mod_revision();
            }
            self.cluster.apply_noting(event, touched);
        }
    }
}
