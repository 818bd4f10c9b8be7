//! What a write puts into the tables.

use redb::WriteTransaction;

use super::tables::{HARD_STATE, LEASES, LOG, META, PROGRESS, RECORDS, Row};
use super::{Cause, Checkpoint};
use crate::proto::storepb::Progress;
use crate::replica::Save;
use crate::state::{Change, Record};

pub(super) fn put_save(write: &WriteTransaction, save: &Save) -> Result<(), Cause> {
    let mut log = write.open_table(LOG)?;
    for entry in &save.entries {
        log.insert(entry.index, entry.to_bytes().as_slice())?;
    }
    if let Some(hard_state) = &save.hard_state {
        let mut meta = write.open_table(META)?;
        meta.insert(HARD_STATE, hard_state.to_bytes().as_slice())?;
    }
    Ok(())
}

pub(super) fn put_checkpoint(
    write: &WriteTransaction,
    checkpoint: &Checkpoint,
) -> Result<(), Cause> {
    put_changes(write, &checkpoint.changes)?;
    put_progress(write, &checkpoint.progress)?;
    let mut log = write.open_table(LOG)?;
    Ok(log.retain_in(..checkpoint.progress.applied, |_, _| false)?)
}

fn put_changes(write: &WriteTransaction, changes: &[Change]) -> Result<(), Cause> {
    let mut records = write.open_table(RECORDS)?;
    let mut leases = write.open_table(LEASES)?;
    for change in changes {
        match change {
            Change::Recorded(record) => {
                records.insert(row_key(record), record.kv.to_bytes().as_slice())?;
            }
            Change::Forgot(record) => _ = records.remove(row_key(record))?,
            Change::Granted { id, ttl } => _ = leases.insert(id, ttl)?,
            Change::Revoked(id) => _ = leases.remove(id)?,
            Change::Compacted(_) => {}
        }
    }
    Ok(())
}

pub(super) fn put_progress(write: &WriteTransaction, progress: &Progress) -> Result<(), Cause> {
    write
        .open_table(META)?
        .insert(PROGRESS, progress.to_bytes().as_slice())?;
    Ok(())
}

fn row_key(record: &Record) -> (i64, u32) {
    (record.kv.mod_revision, record.sub)
}
