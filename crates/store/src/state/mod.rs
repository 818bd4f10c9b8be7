//! The replicated state machine: revisioned keys and the leases they hang on.
//!
//! Pure: no clock, no chance, no I/O. Two states that applied the same commands are the same, so
//! lease ids are chosen, and the end of a lease is decided, by whoever proposes the command.

mod check;
mod history;
mod keyrange;
mod lease;
#[cfg(test)]
mod model;
mod mvcc;
mod range;
mod refusal;
#[cfg(test)]
mod scenarios;
mod txn;
mod write;

pub(crate) use check::{check, check_range, check_txn};
pub(crate) use history::{Interest, Limit, Page};
pub(crate) use keyrange::KeyRange;
pub(crate) use lease::Lease;
pub(crate) use mvcc::Record;
pub(crate) use refusal::Refusal;
pub(crate) use txn::is_read_only;

use std::sync::Arc;

use crate::proto::etcdserverpb::*;
use crate::proto::storepb::command::Op;
use lease::Leases;
use mvcc::Mvcc;
use write::Writer;

/// All that the replicas agree on.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    mvcc: Mvcc,
    leases: Leases,
}

/// What a command answers. Headers carry the revision only; the server adds who it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reply {
    Put(PutResponse),
    DeleteRange(DeleteRangeResponse),
    Txn(TxnResponse),
    Compact(CompactionResponse),
    Grant(LeaseGrantResponse),
    Revoke(LeaseRevokeResponse),
}

/// One thing a command did to the state: what the file records, watchers see and timers follow.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// A key was put or deleted.
    Recorded(Arc<Record>),
    /// A compaction dropped this record.
    Forgot(Arc<Record>),
    /// Revisions below this one are gone.
    Compacted(i64),
    /// A lease began; seconds.
    Granted { id: i64, ttl: i64 },
    /// A lease ended.
    Revoked(i64),
}

/// The outcome of one command.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) reply: Result<Reply, Refusal>,
    pub(crate) changes: Vec<Change>,
}

impl State {
    /// Carries out one command. A refused one changes nothing.
    pub(crate) fn apply(&mut self, op: &Op) -> Applied {
        let mut changes = Vec::new();
        let reply = match op {
            Op::Put(put) => self.put(put, &mut changes).map(Reply::Put),
            Op::DeleteRange(delete) => Ok(Reply::DeleteRange(
                self.writer(&mut changes).delete_range(delete),
            )),
            Op::Txn(txn) => self.txn(txn, &mut changes).map(Reply::Txn),
            Op::Compact(compact) => self.compact(compact, &mut changes).map(Reply::Compact),
            Op::Grant(grant) => self.grant(grant, &mut changes).map(Reply::Grant),
            Op::Revoke(revoke) => self.revoke(revoke, &mut changes).map(Reply::Revoke),
        };
        Applied { reply, changes }
    }

    /// Takes over a change that another state, or an earlier life of this one, has made.
    ///
    /// Records must come in the order of their revisions.
    pub(crate) fn restore(&mut self, change: Change) {
        match change {
            Change::Recorded(record) => self.record(record),
            Change::Forgot(record) => self.mvcc.forget(&record),
            Change::Compacted(revision) => self.mvcc.set_compacted(revision),
            Change::Granted { id, ttl } => self.leases.grant(id, ttl),
            Change::Revoked(id) => self.leases.remove(id),
        }
    }

    /// Sets the revision that the last command reached: compaction may have dropped its record.
    pub(crate) fn restore_revision(&mut self, revision: i64) {
        self.mvcc.set_revision(revision);
    }

    /// The revision of the last write; 1 in a state that was never written.
    pub(crate) fn revision(&self) -> i64 {
        self.mvcc.revision()
    }

    /// The revision of the last compaction, -1 when there was none.
    pub(crate) fn compacted(&self) -> i64 {
        self.mvcc.compacted()
    }

    /// Answers a read.
    pub(crate) fn range(&self, request: &RangeRequest) -> Result<RangeResponse, Refusal> {
        range::check_revision(&self.mvcc, request)?;
        Ok(range::range(&self.mvcc, request))
    }

    /// What has happened from revision `from` on to the keys of `interest`, up to the end of the
    /// revision that reaches the limit.
    ///
    /// # Errors
    /// The compacted revision when `from` lies before it.
    pub(crate) fn events(&self, interest: &Interest, from: i64, limit: Limit) -> Result<Page, i64> {
        history::events(&self.mvcc, interest, from, limit)
    }

    /// The lease with this id.
    pub(crate) fn lease(&self, id: i64) -> Option<&Lease> {
        self.leases.get(id)
    }

    /// The ids and TTLs (seconds) of all leases, in the order of their ids.
    pub(crate) fn leases(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.leases.iter().map(|(id, lease)| (id, lease.ttl()))
    }

    fn put(&mut self, put: &PutRequest, changes: &mut Vec<Change>) -> Result<PutResponse, Refusal> {
        write::check_put(self, put)?;
        Ok(self.writer(changes).put(put))
    }

    fn compact(
        &mut self,
        request: &CompactionRequest,
        changes: &mut Vec<Change>,
    ) -> Result<CompactionResponse, Refusal> {
        if request.revision <= self.compacted() {
            return Err(Refusal::Compacted);
        }
        if request.revision > self.revision() {
            return Err(Refusal::FutureRevision);
        }
        let forgotten = self.mvcc.compact(request.revision);
        changes.extend(forgotten.into_iter().map(Change::Forgot));
        changes.push(Change::Compacted(request.revision));
        Ok(CompactionResponse {
            header: self.header(),
        })
    }

    fn grant(
        &mut self,
        request: &LeaseGrantRequest,
        changes: &mut Vec<Change>,
    ) -> Result<LeaseGrantResponse, Refusal> {
        let (id, ttl) = self.leases.admit(request)?;
        self.leases.grant(id, ttl);
        changes.push(Change::Granted { id, ttl });
        Ok(LeaseGrantResponse {
            header: self.header(),
            id,
            ttl,
            error: String::new(),
        })
    }

    /// Ends a lease and deletes its keys, all in one revision.
    fn revoke(
        &mut self,
        request: &LeaseRevokeRequest,
        changes: &mut Vec<Change>,
    ) -> Result<LeaseRevokeResponse, Refusal> {
        let lease = self.leases.get(request.id).ok_or(Refusal::LeaseNotFound)?;
        let keys: Vec<_> = lease.keys().cloned().collect();
        let mut writer = self.writer(changes);
        for key in &keys {
            writer.delete(key);
        }
        self.leases.remove(request.id);
        changes.push(Change::Revoked(request.id));
        Ok(LeaseRevokeResponse {
            header: self.header(),
        })
    }

    fn writer<'a>(&'a mut self, changes: &'a mut Vec<Change>) -> Writer<'a> {
        Writer::begin(self, changes)
    }

    /// Adds a record and moves its key to the lease it names.
    fn record(&mut self, record: Arc<Record>) {
        let kv = &record.kv;
        let before = self.mvcc.latest(&kv.key).map_or(0, |old| old.lease);
        self.leases.attach(&kv.key, before, kv.lease);
        self.mvcc.insert(record);
    }

    fn header(&self) -> Option<ResponseHeader> {
        Some(ResponseHeader {
            revision: self.revision(),
            ..Default::default()
        })
    }
}
