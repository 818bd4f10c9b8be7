//! What can go wrong between us and the registry.

use std::error::Error as _;
use std::fmt;
use std::path::PathBuf;

use fleet::{Machine, MachineId};
use tonic::Code;

/// A call to the registry that failed, after fail-over and retries.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options cannot be used as they are.
    #[error("connecting to etcd: {0}")]
    Options(String),
    /// A file with a certificate or key cannot be read.
    #[error("reading {}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// etcd refused, or could not be reached in time.
    #[error("{what}")]
    Etcd {
        /// What was being done.
        what: &'static str,
        /// What etcd or the network said.
        source: Said,
    },
    /// No answer in time.
    #[error("{what}: no answer from etcd in time")]
    TimedOut {
        /// What was being done.
        what: &'static str,
    },
    /// The server does not speak the v3 API.
    #[error("{what}: the server does not speak etcd's v3 API (etcd 3.2 or later is needed)")]
    NotV3 {
        /// What was being done.
        what: &'static str,
        /// What it said.
        source: Said,
    },
}

/// What etcd or the network said, in a line: the message and its root cause. etcd-client's own text prints all
/// that lies between, in Rust's notation.
#[derive(Debug)]
pub struct Said(pub(crate) etcd_client::Error);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let etcd_client::Error::GRpcStatus(status) = &self.0 else {
            return self.0.fmt(f);
        };
        f.write_str(status.message())?;
        let causes = std::iter::successors(status.source(), |cause| (*cause).source());
        let root = causes.last().map(ToString::to_string);
        match root.filter(|root| root != status.message()) {
            Some(root) => write!(f, ": {root}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Said {}

impl Error {
    /// Whether no server answered in time; the same request may succeed later.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Error::TimedOut { .. } => true,
            Error::Etcd { source, .. } => crate::server::is_transient(&source.0),
            _ => false,
        }
    }

    /// Whether etcd says that the lease does not exist.
    pub(crate) fn is_lease_gone(&self) -> bool {
        matches!(self, Error::Etcd { source, .. } if says(&source.0, Code::NotFound, "lease not found"))
    }

    /// Whether etcd has forgotten the revision that was asked for.
    pub(crate) fn is_compacted(&self) -> bool {
        matches!(self, Error::Etcd { source, .. } if says(&source.0, Code::OutOfRange, "compacted"))
    }
}

fn says(error: &etcd_client::Error, code: Code, words: &str) -> bool {
    matches!(error, etcd_client::Error::GRpcStatus(status)
        if status.code() == code && status.message().contains(words))
}

/// Why a machine could not become a member.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// A live machine with the same machine-id is a member already.
    #[error(
        "machine id {} is taken by a live machine at {:?} (boot {}): machine ids must be unique",
        record.id, record.address, record.boot_id
    )]
    Taken {
        /// The other machine's record.
        record: Box<Machine>,
    },
    /// The registry could not be asked.
    #[error("joining the cluster")]
    Registry(#[from] Error),
}

/// Why a member's write did not happen.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// The lease ended, or another process took the machine's record over: nothing was written.
    #[error("machine {0} is not a member of the cluster any more")]
    NotMember(MachineId),
    /// The registry could not be asked.
    #[error(transparent)]
    Registry(#[from] Error),
}

/// Why changes to the schedule were not all written.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Another leader took over, our lease ended, or a transaction that is not ours was written in our place: campaign again.
    #[error("committing the schedule: not the leader any more")]
    Deposed,
    /// The registry could not be asked; whole changes up to some point may have been written.
    #[error("committing the schedule")]
    Registry(#[from] Error),
}
