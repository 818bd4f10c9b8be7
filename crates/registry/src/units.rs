//! The API's writes: units, with their files.
//!
//! Many units go in few transactions. Each is compared on what its writer has seen of it; those that
//! changed meanwhile are told apart by reading them in the same transaction, and the others are written again
//! without them.

use std::collections::BTreeSet;

use etcd_client::{Compare, CompareOp, KeyValue, Txn, TxnOp};
use fleet::DesiredState;
use unitfile::{Hash, UnitFile, UnitName};

use crate::keys::Key;
use crate::picture::records_of;
use crate::{Error, MAX_TXN_OPS, Registry, codec};

/// etcd refuses requests of more than 1.5 MiB (its `--max-request-bytes`); the rest is left for keys.
const MAX_TXN_BYTES: usize = 1024 * 1024;

/// One unit to write.
#[derive(Debug, Clone)]
pub struct UnitWrite<'a> {
    /// Its name.
    pub name: UnitName,
    /// Which unit file.
    pub hash: Hash,
    /// That file's content. It may be left out only where `expected` is the revision of a unit that has this
    /// hash already: then the file is in the registry, and stays.
    pub file: Option<&'a UnitFile>,
    /// How far it should be brought.
    pub desired: DesiredState,
    /// What must be there for the write to happen.
    pub expected: Expected,
}

/// What a writer has seen of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is there is replaced.
    Any,
    /// There is no such unit.
    Absent,
    /// The unit has not been written since this revision.
    Revision(i64),
}

/// What became of one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is in the registry since this revision.
    Done(i64),
    /// Somebody else wrote, made or deleted the unit meanwhile: nothing was written.
    Conflict,
}

impl Registry {
    /// Writes units, each with its file in the same transaction. The outcomes stand in the order of `writes`.
    ///
    /// # Errors
    /// etcd cannot be asked, or refuses, for instance a file of more than 1.5 MiB. Units before that point may have been written.
    pub async fn put_units(&self, writes: &[UnitWrite<'_>]) -> Result<Vec<Written>, Error> {
        let mut outcomes = vec![Written::Conflict; writes.len()];
        for batch in batches(writes) {
            self.put_batch(writes, batch, &mut outcomes).await?;
        }
        Ok(outcomes)
    }

    /// Deletes a unit; tells whether there was one. Its schedule and its file are left to the leader.
    ///
    /// # Errors
    /// etcd cannot be asked.
    pub async fn delete_unit(&self, name: &UnitName) -> Result<bool, Error> {
        const WHAT: &str = "deleting a unit";
        let key = self.records.keys.print(&Key::Unit(name.clone()));
        loop {
            let found = self.etcd.get(WHAT, key.clone()).await?;
            let Some(record) = found.kvs().first() else {
                return Ok(false);
            };
            let seen = Compare::mod_revision(key.clone(), CompareOp::Equal, record.mod_revision());
            let txn = Txn::new()
                .when([seen])
                .and_then([TxnOp::delete(key.clone(), None)])
                .or_else(read(&key));
            let answer = self.etcd.txn(WHAT, txn).await?;
            if answer.succeeded() || records_of(&answer).is_empty() {
                return Ok(true);
            }
        }
    }

    /// Writes one batch, without those that turn out to be in conflict.
    async fn put_batch(
        &self,
        writes: &[UnitWrite<'_>],
        mut batch: Vec<usize>,
        outcomes: &mut [Written],
    ) -> Result<(), Error> {
        while !batch.is_empty() {
            let answer = self
                .etcd
                .txn("writing units", self.put_txn(writes, &batch))
                .await?;
            let revision = answer.header().map_or(0, |header| header.revision());
            if answer.succeeded() {
                batch
                    .iter()
                    .for_each(|&at| outcomes[at] = Written::Done(revision));
                return Ok(());
            }
            let found = records_of(&answer);
            let before = batch.len();
            batch.retain(|&at| match self.judge(&writes[at], &found) {
                Some(outcome) => {
                    outcomes[at] = outcome;
                    false
                }
                None => true,
            });
            if batch.len() == before {
                // every comparison would hold by now: a conflict came and went
                tracing::debug!("units were in conflict and no longer are: writing them again");
            }
        }
        Ok(())
    }

    fn put_txn(&self, writes: &[UnitWrite<'_>], batch: &[usize]) -> Txn {
        let (mut compares, mut puts, mut reads) = (Vec::new(), Vec::new(), Vec::new());
        let mut files = BTreeSet::new();
        for write in batch.iter().map(|&at| &writes[at]) {
            let key = self.unit_key(write);
            compares.extend(comparison(&key, write.expected));
            if let Some(file) = write.file.filter(|_| files.insert(write.hash)) {
                let file_key = self.records.keys.print(&Key::File(write.hash));
                puts.push(TxnOp::put(file_key, codec::print_file(file), None));
            }
            reads.extend(read(&key));
            puts.push(TxnOp::put(
                key,
                codec::print_unit(write.hash, write.desired),
                None,
            ));
        }
        Txn::new().when(compares).and_then(puts).or_else(reads)
    }

    /// What became of a write whose batch failed; none if it was not the reason.
    fn judge(&self, write: &UnitWrite<'_>, found: &[KeyValue]) -> Option<Written> {
        let key = self.unit_key(write);
        let there = found.iter().find(|kv| kv.key() == key.as_bytes());
        let revision = there.map_or(0, KeyValue::mod_revision);
        let holds = match write.expected {
            Expected::Any => true,
            Expected::Absent => there.is_none(),
            Expected::Revision(seen) => revision == seen,
        };
        // an attempt whose answer got lost has written it: the conflict is with ourselves
        let ours =
            there.is_some_and(|kv| kv.value() == codec::print_unit(write.hash, write.desired));
        match (holds, ours) {
            (true, _) => None,
            (false, true) => Some(Written::Done(revision)),
            (false, false) => Some(Written::Conflict),
        }
    }

    fn unit_key(&self, write: &UnitWrite<'_>) -> String {
        self.records.keys.print(&Key::Unit(write.name.clone()))
    }
}

fn comparison(key: &str, expected: Expected) -> Option<Compare> {
    match expected {
        Expected::Any => None,
        Expected::Absent => Some(Compare::create_revision(key, CompareOp::Equal, 0)),
        Expected::Revision(seen) => Some(Compare::mod_revision(key, CompareOp::Equal, seen)),
    }
}

fn read(key: &str) -> [TxnOp; 1] {
    [TxnOp::get(key, None)]
}

/// Indices of writes that fit into one transaction together: by their number, by their size, and because
/// a key may be written only once in it.
fn batches(writes: &[UnitWrite<'_>]) -> Vec<Vec<usize>> {
    let mut batches = vec![Vec::new()];
    let (mut ops, mut bytes, mut names) = (0, 0, BTreeSet::new());
    for (at, write) in writes.iter().enumerate() {
        let size = write.file.map_or(0, |file| codec::print_file(file).len());
        let fits = ops + 2 <= MAX_TXN_OPS && bytes + size <= MAX_TXN_BYTES;
        if !fits || !names.insert(&write.name) {
            batches.push(Vec::new());
            (ops, bytes, names) = (0, 0, BTreeSet::from([&write.name]));
        }
        (ops, bytes) = (ops + 2, bytes + size);
        if let Some(batch) = batches.last_mut() {
            batch.push(at);
        }
    }
    batches
}
