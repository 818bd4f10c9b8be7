//! The store's file: raft's log and the state it has led to, in one redb database.
//!
//! A commit writes the new log entries, and that is all an acknowledged command needs. Now and then
//! (the driver says when) a commit is also a checkpoint: it writes the rows that the entries since
//! the last one have made or removed, and drops those entries. So the state is never written out as
//! a whole: the cost of a checkpoint is that of the entries since the last, the log stays short, and
//! a start reads the rows and replays what is left in the log.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable};

use super::rows::{put_checkpoint, put_save};
use super::tables::{HARD_STATE, IDENTITY, LEASES, LOG, META, PROGRESS, RECORDS, Row};
use super::{Batch, Cause, file};
use crate::Error;
use crate::proto::mvccpb::KeyValue;
use crate::proto::storepb::{Identity, Progress};
use crate::replica::Recovered;
use crate::state::{Change, Record, State};

/// The open file.
pub(crate) struct Disk {
    path: PathBuf,
    database: Database,
}

impl Disk {
    /// Opens the file in `dir`; makes both where there is none, for the member `identity` names.
    pub(crate) fn open(dir: &Path, identity: &Identity) -> Result<Self, Error> {
        let (path, database) = file::open(dir, identity)?;
        let disk = Self { path, database };
        disk.check_format()?;
        Ok(disk)
    }

    /// Makes a batch durable: when this returns, it survives a loss of power.
    pub(crate) fn commit(&self, batch: &Batch) -> Result<(), Error> {
        self.write(batch)
            .map_err(|source| self.failed("writing to", source))
    }

    /// Who the file belongs to.
    pub(crate) fn identity(&self) -> Result<Identity, Error> {
        self.meta(IDENTITY)
    }

    /// Raft's part of the file.
    pub(crate) fn recover(&self) -> Result<Recovered, Error> {
        let progress: Progress = self.meta(PROGRESS)?;
        let entries = self.read("reading the log in", |read| {
            read.open_table(LOG)?
                .iter()?
                .map(|row| from_row(row?.1.value()))
                .collect()
        })?;
        let hard_state = self.meta(HARD_STATE)?;
        let recovered = Recovered {
            hard_state,
            entries,
            applied: progress.applied,
        };
        check_log(&recovered).map_err(|reason| self.damaged(reason))?;
        Ok(recovered)
    }

    /// The state's part of the file. Leases come first, because keys hang on them.
    pub(crate) fn load(&self) -> Result<State, Error> {
        let progress: Progress = self.meta(PROGRESS)?;
        let mut state = State::default();
        state.restore(Change::Compacted(progress.compacted));
        self.read("reading the leases in", |read| {
            for row in read.open_table(LEASES)?.iter()? {
                let (id, ttl) = row?;
                state.restore(Change::Granted {
                    id: id.value(),
                    ttl: ttl.value(),
                });
            }
            Ok(())
        })?;
        self.read("reading the keys in", |read| {
            for row in read.open_table(RECORDS)?.iter()? {
                let (revision, kv) = row?;
                let kv: KeyValue = from_row(kv.value())?;
                let record = Record {
                    kv,
                    sub: revision.value().1,
                };
                state.restore(Change::Recorded(Arc::new(record)));
            }
            Ok(())
        })?;
        state.restore_revision(progress.revision);
        Ok(state)
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn check_format(&self) -> Result<(), Error> {
        let found = self.identity()?.format;
        if found == file::FORMAT {
            return Ok(());
        }
        Err(Error::Format {
            path: self.path.clone(),
            found,
            known: file::FORMAT,
        })
    }

    fn write(&self, batch: &Batch) -> Result<(), Cause> {
        let write = self.database.begin_write()?;
        if let Some(save) = &batch.save {
            put_save(&write, save)?;
        }
        if let Some(checkpoint) = &batch.checkpoint {
            put_checkpoint(&write, checkpoint)?;
        }
        Ok(write.commit()?)
    }

    fn meta<T: Row>(&self, name: &'static str) -> Result<T, Error> {
        self.read("reading the meta rows of", |read| {
            let table = read.open_table(META)?;
            let row = table
                .get(name)?
                .ok_or_else(|| format!("there is no {name}"))?;
            from_row(row.value())
        })
    }

    fn read<T>(
        &self,
        doing: &'static str,
        body: impl FnOnce(&redb::ReadTransaction) -> Result<T, Cause>,
    ) -> Result<T, Error> {
        let read = self.database.begin_read().map_err(Cause::from);
        read.and_then(|read| body(&read))
            .map_err(|source| self.failed(doing, source))
    }

    fn failed(&self, doing: &'static str, source: Cause) -> Error {
        Error::File {
            doing,
            path: self.path.clone(),
            source,
        }
    }

    fn damaged(&self, reason: String) -> Error {
        Error::Damaged {
            path: self.path.clone(),
            reason,
        }
    }
}

fn from_row<T: Row>(bytes: &[u8]) -> Result<T, Cause> {
    Ok(T::from_bytes(bytes)?)
}

/// Raft panics on a log with a gap, or one that does not reach what was agreed on.
fn check_log(recovered: &Recovered) -> Result<(), String> {
    let entries = &recovered.entries;
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
        return Err("the log is empty".to_owned());
    };
    let known = first.index..=last.index;
    if !entries
        .windows(2)
        .all(|pair| pair[0].index + 1 == pair[1].index)
    {
        return Err("the log has a gap".to_owned());
    }
    // the commit index may not have been saved for long, and lie before the log
    if recovered.hard_state.commit > last.index || !known.contains(&recovered.applied) {
        return Err("the log does not reach what was committed".to_owned());
    }
    Ok(())
}
