//! The tables of the store's file, and how their rows are spelt.

use prost::Message as _;
use prost_raft::Message as _;
use raft::eraftpb::{Entry, HardState};
use redb::TableDefinition;

use crate::proto::mvccpb::KeyValue;
use crate::proto::storepb::{Identity, Progress};

/// Single facts by name: see the constants below.
pub(super) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// Raft's log by index.
pub(super) const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
/// The versions of all keys, by revision and place in it.
pub(super) const RECORDS: TableDefinition<(i64, u32), &[u8]> = TableDefinition::new("records");
/// The TTL (seconds) of each lease by id.
pub(super) const LEASES: TableDefinition<i64, i64> = TableDefinition::new("leases");

pub(super) const IDENTITY: &str = "identity";
pub(super) const HARD_STATE: &str = "hard-state";
pub(super) const PROGRESS: &str = "progress";

/// A value that is stored as the bytes of a protobuf message.
pub(super) trait Row: Sized {
    fn to_bytes(&self) -> Vec<u8>;
    fn from_bytes(bytes: &[u8]) -> Result<Self, String>;
}

macro_rules! row {
    ($($type:ty),+) => {$(
        impl Row for $type {
            fn to_bytes(&self) -> Vec<u8> {
                self.encode_to_vec()
            }

            fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
                Self::decode(bytes).map_err(|error| error.to_string())
            }
        }
    )+};
}

row!(Entry, HardState, KeyValue, Identity, Progress);
