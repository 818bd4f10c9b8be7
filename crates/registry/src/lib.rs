//! The cluster's records in etcd: keys, snapshot and watch, leases, leadership, fenced writes.
//!
//! A [`Registry`] is a connection. [`Registry::join`] makes this machine a member, [`Registry::mirror`]
//! keeps a whole picture up to date, [`Registry::schedule_of`] one machine's part of the schedule;
//! [`Registry::picture`] reads once. Writes are guarded by what their writer must hold: the revision of
//! the unit that the API read, the [`Membership`] of the machine, the [`Leadership`] of the engine.
//!
//! Strings end here: everything given and taken is a type of `fleet` or `unitfile`. A record that makes no
//! sense is named in a warning, once, and left out.

mod backoff;
mod codec;
mod commit;
mod cordon;
mod error;
mod etcd;
mod events;
mod fence;
mod follow;
mod keys;
mod leadership;
mod lease;
mod list;
mod member;
mod metadata;
mod mirror;
mod options;
mod picture;
mod publish;
mod records;
mod schedule;
mod server;
mod silent;
mod tally;
mod tell;
mod trim;
mod units;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use backoff::Backoff;
pub use commit::Committed;
pub use error::{CommitError, Error, JoinError, MemberError, Said};
pub use etcd_client::Channel;
pub use events::{EventList, EventRecord, EventWatch};
pub use fence::Claiming;
pub use keys::Table;
pub use leadership::Leadership;
pub use lease::Lost;
pub use member::Membership;
pub use metadata::MetadataChange;
pub use mirror::Mirror;
pub use options::{DEFAULT_PREFIX, Options};
pub use picture::UnitPicture;
pub use schedule::ScheduleWatch;
pub use tally::Operation;
pub use tell::Telling;
pub use trim::{KEPT, Trim};
pub use units::{Expected, UnitWrite, Written};

use etcd::Etcd;
use records::Records;
use server::Server;

/// etcd refuses transactions of more operations (its `--max-txn-ops`).
pub(crate) const MAX_TXN_OPS: usize = 128;

/// A connection to the registry. Cheap to clone; every clone shares the connection.
#[derive(Clone)]
pub struct Registry {
    etcd: Arc<Etcd>,
    records: Arc<Records>,
}

impl Registry {
    /// Prepares a connection to etcd. No server is asked yet: one that is away shows in the first call.
    ///
    /// # Errors
    /// Options that cannot be used, such as an endpoint that is no URL or a certificate that cannot be read.
    pub async fn connect(options: &Options) -> Result<Self, Error> {
        let etcd = Etcd::new(options.servers().await?, options.request_timeout);
        Ok(Self::new(etcd, &options.prefix))
    }

    /// Uses a channel that exists, such as the embedded store's.
    ///
    /// # Errors
    /// None that are known: nothing is sent yet.
    pub async fn from_channel(
        channel: Channel,
        prefix: &str,
        request_timeout: Duration,
    ) -> Result<Self, Error> {
        let client = etcd_client::Client::from_channel(channel, None)
            .await
            .map_err(|source| Error::Etcd {
                what: "connecting to the store",
                source: Said(source),
            })?;
        let etcd = Etcd::new(vec![Server::new(client, None)], request_timeout);
        Ok(Self::new(etcd, prefix))
    }

    fn new(etcd: Etcd, prefix: &str) -> Self {
        Registry {
            etcd: Arc::new(etcd),
            records: Arc::new(Records::new(prefix)),
        }
    }

    /// Asks etcd for one small record: whether it answers, and the revision that it is at.
    ///
    /// # Errors
    /// Whatever keeps it from answering in time.
    pub async fn ping(&self) -> Result<i64, Error> {
        let leader = self.records.keys.print(&keys::Key::Leader);
        let answer = self.etcd.get("asking etcd whether it is there", leader);
        Ok(answer.await?.header().map_or(0, |header| header.revision()))
    }

    /// How long ago etcd last answered anything; none if it never did.
    pub fn last_contact(&self) -> Option<Duration> {
        self.etcd.last_contact()
    }

    /// The requests so far, by what they were for. Watches and what they bring are not counted.
    pub fn operations(&self) -> BTreeMap<&'static str, Operation> {
        self.etcd.tally.operations()
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}
