//! What can go wrong with a store.

use std::path::PathBuf;

/// An error of the store as a whole; a client's wrong request is not one of these.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory for the store cannot be made or opened.
    #[error("making the store directory {}", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process has the file open.
    #[error("{} is in use by another process; stop it, or give this one a directory of its own", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is not what this store has written: cut short, overwritten, or rotten.
    #[error(
        "{} is damaged ({reason}); put a copy of it back, or move it away to start with an empty store",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found wrong.
        reason: String,
    },
    /// The file was written by a later version of this store.
    #[error("{} has format {found}, and this version knows format {known} only; use a newer version", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The format of the file.
        found: u32,
        /// The format of this version.
        known: u32,
    },
    /// Reading or writing the file failed.
    #[error("{doing} {}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the database said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Raft refused a step: a defect, or a file that does not fit together.
    #[error("stepping the raft state machine")]
    Raft(#[from] raft::Error),
    /// An entry of the log cannot be read.
    #[error("decoding the log entry at index {index}")]
    Entry {
        /// The index of the entry.
        index: u64,
        /// What is wrong with it.
        source: prost::DecodeError,
    },
    /// The server on a listener failed.
    #[error("serving the etcd API")]
    Serve(#[from] tonic::transport::Error),
}
