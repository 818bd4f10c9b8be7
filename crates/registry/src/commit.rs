//! Writing the schedule.
//!
//! Each transaction compares the create-revision of `leader`, so that a deposed leader writes nothing. It
//! also compares and rewrites `commit`, so that each is done once and in order: without that, an attempt
//! that was held up on its way and repeated by us could arrive after a later transaction, and put a unit
//! on two machines.

use std::collections::BTreeSet;

use etcd_client::{Compare, CompareOp, DeleteOptions, Txn, TxnOp};
use fleet::history::{Entry, MANY, counted};
use fleet::schedule::Change;
use fleet::{Event, MachineId};
use futures_util::future::try_join_all;
use unitfile::Hash;

use crate::backoff::chance;
use crate::codec::{self, CommitRow};
use crate::keys::Key;
use crate::leadership::Leadership;
use crate::picture::records_of;
use crate::{CommitError, Error, MAX_TXN_OPS, Telling};

const COMMITTING: &str = "committing the schedule";
/// Files are collected in transactions of their own, so many at a time.
const COLLECTING: usize = 16;

/// What a commit has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Committed {
    /// The revision of its last write; 0 if there was none. A picture of an earlier revision does not show it all.
    pub revision: i64,
    /// Unit files that were deleted.
    pub collected: usize,
}

impl Leadership {
    /// Writes changes to the schedule in their order. A change is written whole or not at all, and as many go in one
    /// transaction as fit. Two things are out of order: unit files go at the end, each only if nobody wrote it meanwhile;
    /// and a machine that is dismissed loses its admission first. It may be there again without knowing yet that its lease
    /// has ended: with its rows gone and its admission left, it would stop what it runs.
    ///
    /// # Errors
    /// [`CommitError::Deposed`] if we do not lead any more; changes of earlier transactions are written then.
    pub async fn commit(&mut self, changes: &[Change]) -> Result<Committed, CommitError> {
        self.commit_and_tell(changes, &|_| Vec::new()).await
    }

    /// The same, and tells of each change, by its place, in the transaction that writes it; of a great many by number only.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub async fn commit_and_tell(
        &mut self,
        changes: &[Change],
        told: &(dyn Fn(usize) -> Vec<Entry> + Sync),
    ) -> Result<Committed, CommitError> {
        let in_full = changes.len() <= MANY;
        let mut batch = Batch {
            in_full,
            ..Batch::default()
        };
        let mut revision = 0;
        let dismissed = changes.iter().filter_map(|change| self.dismissal(change));
        let dismissed = dismissed.map(|ops| (None, ops));
        let written = changes.iter().enumerate();
        let written = written.map(|(at, change)| (Some(at), self.ops(change)));
        for (at, ops) in dismissed.chain(written).collect::<Vec<_>>() {
            if !batch.takes(&ops) {
                let next = Batch {
                    in_full,
                    ..Batch::default()
                };
                let full = std::mem::replace(&mut batch, next);
                revision = self.write(full).await?.unwrap_or(revision);
            }
            batch.add(ops);
            batch.told.extend(at.map(told).into_iter().flatten());
        }
        revision = self.write(batch).await?.unwrap_or(revision);
        self.collect(changes, revision).await
    }

    /// Tells of what no change makes happen; of a great many by number only.
    ///
    /// # Errors
    /// etcd cannot be asked. Who does not lead any more tells nothing.
    pub async fn tell_of(&self, told: Vec<Entry>) -> Result<(), Error> {
        let in_full = told.len() <= MANY;
        let Some(op) = self.tell(told, in_full) else {
            return Ok(());
        };
        let txn = Txn::new().when([self.still_leads()]).and_then([op]);
        self.registry
            .etcd
            .txn("telling of events", txn)
            .await
            .map(drop)
    }

    /// Writes one batch; the revision of it, if it was not empty.
    async fn write(&mut self, batch: Batch) -> Result<Option<i64>, CommitError> {
        if batch.ops.is_empty() {
            return Ok(None);
        }
        let row = CommitRow {
            leader: self.revision,
            nonce: chance(),
        };
        let answer = self
            .registry
            .etcd
            .txn(COMMITTING, self.txn(batch, &row))
            .await?;
        self.last_commit = match answer.succeeded() {
            true => answer.header().map_or(0, |header| header.revision()),
            false => self
                .written_before(&row, &records_of(&answer))
                .ok_or(CommitError::Deposed)?,
        };
        Ok(Some(self.last_commit))
    }

    fn txn(&self, batch: Batch, row: &CommitRow) -> Txn {
        let commit = self.registry.records.keys.print(&Key::Commit);
        let in_order = Compare::mod_revision(commit.clone(), CompareOp::Equal, self.last_commit);
        let mut ops: Vec<TxnOp> = batch.ops.into_iter().map(Op::into_txn).collect();
        ops.extend(self.tell(batch.told, batch.in_full));
        ops.push(TxnOp::put(commit.clone(), codec::print_commit(row), None));
        Txn::new()
            .when([self.still_leads(), in_order])
            .and_then(ops)
            .or_else([TxnOp::get(commit, None)])
    }

    fn tell(&self, told: Vec<Entry>, in_full: bool) -> Option<TxnOp> {
        let told = if in_full { told } else { counted(told) };
        Some(Telling::of(&self.registry, &self.machine, told)?.op(&self.registry))
    }

    /// The revision at which this very transaction was written, by an attempt whose answer got lost.
    fn written_before(&self, row: &CommitRow, found: &[etcd_client::KeyValue]) -> Option<i64> {
        let record = found.first()?;
        let written = self.registry.records.read_with(record, codec::commit)?;
        (written == *row).then_some(record.mod_revision())
    }

    /// Deletes the unit files that `changes` name.
    async fn collect(
        &self,
        changes: &[Change],
        mut revision: i64,
    ) -> Result<Committed, CommitError> {
        let files = changes.iter().filter_map(|change| match change {
            Change::Collect { file, revision } => Some(self.collect_one(*file, *revision)),
            _ => None,
        });
        let mut files: Vec<_> = files.collect();
        let mut collected = 0;
        while !files.is_empty() {
            let some = files.drain(..files.len().min(COLLECTING));
            for deleted in try_join_all(some).await?.into_iter().flatten() {
                revision = revision.max(deleted);
                collected += 1;
            }
        }
        Ok(Committed {
            revision,
            collected,
        })
    }

    async fn collect_one(&self, file: Hash, seen: i64) -> Result<Option<i64>, Error> {
        let key = self.registry.records.keys.print(&Key::File(file));
        let unused = Compare::mod_revision(key.clone(), CompareOp::Equal, seen);
        let txn = Txn::new()
            .when([self.still_leads(), unused])
            .and_then([TxnOp::delete(key, None)]);
        let answer = self
            .registry
            .etcd
            .txn("collecting a unit file", txn)
            .await?;
        let revision = answer.header().map_or(0, |header| header.revision());
        Ok(answer.succeeded().then_some(revision))
    }

    /// The end of a machine's admission, if that is what a change is about.
    fn dismissal(&self, change: &Change) -> Option<Vec<Op>> {
        let Change::Dismiss { machine } = change else {
            return None;
        };
        let admission = self.op(Event::Admitted(machine.clone(), None));
        admission.map(|op| vec![op])
    }

    /// What a change does to the records in its turn; nothing for a file's collection, which has its own transaction.
    fn ops(&self, change: &Change) -> Vec<Op> {
        if let Change::Dismiss { machine } = change {
            // rows that no change has named
            return vec![self.rows_of(machine)];
        }
        let events = change.events().into_iter();
        events.filter_map(|event| self.op(event)).collect()
    }

    fn op(&self, event: Event) -> Option<Op> {
        let (key, value) = match event {
            Event::Scheduled(id, unit, row) => (
                Key::Scheduled(id, unit),
                row.map(|row| codec::print_unit(row.hash, row.desired)),
            ),
            Event::Target(unit, id) => (
                Key::Target(unit),
                id.map(|id| codec::print_machine_ref(&id)),
            ),
            Event::Away(id, away) => (Key::Away(id), away.as_ref().map(codec::print_away)),
            Event::Move(unit, None) => (Key::Move(unit), None),
            Event::Failed(unit, failed) => {
                let row = failed.as_ref().map(codec::print_failed);
                (Key::Failed(unit), row)
            }
            Event::Forgotten(id, false) => (Key::Forgotten(id), None),
            Event::Admitted(id, since) => (Key::Admitted(id), since.map(codec::print_admitted)),
            _ => return None,
        };
        let key = self.registry.records.keys.print(&key).into_bytes();
        Some(Op {
            key,
            action: value.map_or(Action::Delete, Action::Put),
        })
    }

    fn rows_of(&self, machine: &MachineId) -> Op {
        let rows = self.registry.records.keys.schedule_rows(machine);
        Op {
            key: rows.start,
            action: Action::DeleteUpTo(rows.end),
        }
    }
}

/// One operation on the records.
struct Op {
    key: Vec<u8>,
    action: Action,
}

enum Action {
    Put(Vec<u8>),
    Delete,
    DeleteUpTo(Vec<u8>),
}

impl Op {
    fn into_txn(self) -> TxnOp {
        match self.action {
            Action::Put(value) => TxnOp::put(self.key, value, None),
            Action::Delete => TxnOp::delete(self.key, None),
            Action::DeleteUpTo(end) => {
                TxnOp::delete(self.key, Some(DeleteOptions::new().with_range(end)))
            }
        }
    }
}

/// Changes that go in one transaction: few enough, and with no key touched twice, which etcd refuses.
#[derive(Default)]
struct Batch {
    ops: Vec<Op>,
    keys: BTreeSet<Vec<u8>>,
    ranges: Vec<(Vec<u8>, Vec<u8>)>,
    /// What the changes make to tell.
    told: Vec<Entry>,
    /// It is told one by one.
    in_full: bool,
}

impl Batch {
    /// Whether a change of these operations still fits. An empty batch takes any.
    fn takes(&self, ops: &[Op]) -> bool {
        // two operations are left: for the `commit` record, and for what is told
        let room = self.ops.len() + ops.len() + 2 <= MAX_TXN_OPS;
        self.ops.is_empty() || (room && !ops.iter().any(|op| self.touches(op)))
    }

    fn touches(&self, op: &Op) -> bool {
        let in_range = |(start, end): &(Vec<u8>, Vec<u8>)| *start <= op.key && op.key < *end;
        let range_hits = match &op.action {
            Action::DeleteUpTo(end) => self
                .keys
                .range(op.key.clone()..end.clone())
                .next()
                .is_some(),
            _ => false,
        };
        range_hits || self.keys.contains(&op.key) || self.ranges.iter().any(in_range)
    }

    fn add(&mut self, ops: Vec<Op>) {
        for op in ops {
            match &op.action {
                Action::DeleteUpTo(end) => self.ranges.push((op.key.clone(), end.clone())),
                _ => drop(self.keys.insert(op.key.clone())),
            }
            self.ops.push(op);
        }
    }
}
