//! Where a replica keeps what must outlive it.

mod disk;
mod file;
mod memory;
mod rows;
mod tables;

pub(crate) use disk::Disk;
pub use memory::MemoryLog;

use std::path::Path;
use std::sync::Arc;

use crate::replica::Save;
use crate::state::Change;
use crate::{Error, proto::storepb::Progress};

/// What went wrong beneath the log.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A durable log, one that is forgotten with the process, or none.
#[derive(Clone)]
pub(crate) enum Log {
    None,
    Memory(MemoryLog),
    Disk(Arc<Disk>),
}

/// What one commit makes durable together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// New entries of raft's log.
    pub(crate) save: Option<Save>,
    pub(crate) checkpoint: Option<Checkpoint>,
}

/// What the log has done to the state since the last checkpoint. The entries before
/// `progress.applied` are removed with it.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) changes: Vec<Change>,
    pub(crate) progress: Progress,
}

impl Log {
    /// Makes a batch durable. The disk is waited for on a thread of its own, not on the runtime's.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<(), Error> {
        let disk = match self {
            Self::None => return Ok(()),
            Self::Memory(log) => {
                log.commit(batch);
                return Ok(());
            }
            Self::Disk(disk) => Arc::clone(disk),
        };
        let write = tokio::task::spawn_blocking(move || disk.commit(&batch));
        write
            .await
            .unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic()))
    }

    /// Where the file is, if there is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::None | Self::Memory(_) => None,
            Self::Disk(disk) => Some(disk.path()),
        }
    }
}
