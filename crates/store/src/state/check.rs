//! What can be said against a request before anyone looks at the state.

use std::collections::HashSet;

use prost::bytes::Bytes;

use super::Refusal;
use super::keyrange::KeyRange;
use crate::proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use crate::proto::etcdserverpb::request_op::Request;
use crate::proto::etcdserverpb::{PutRequest, RangeRequest, RequestOp, TxnRequest};
use crate::proto::storepb::command::Op;

/// The most operations in one list of a transaction (etcd's `--max-txn-ops`).
const MAX_TXN_OPS: usize = 128;

/// Refuses a command that is wrong in itself.
pub(crate) fn check(op: &Op) -> Result<(), Refusal> {
    match op {
        Op::Put(put) => check_put(put),
        Op::DeleteRange(delete) => some_key(&delete.key),
        Op::Txn(txn) => check_txn(txn),
        Op::Compact(_) | Op::Grant(_) | Op::Revoke(_) => Ok(()),
    }
}

/// Refuses a read that is wrong in itself.
pub(crate) fn check_range(range: &RangeRequest) -> Result<(), Refusal> {
    some_key(&range.key)?;
    SortOrder::try_from(range.sort_order).map_err(|_| Refusal::InvalidSortOption)?;
    SortTarget::try_from(range.sort_target).map_err(|_| Refusal::InvalidSortOption)?;
    Ok(())
}

/// Refuses a transaction that is wrong in itself.
pub(crate) fn check_txn(txn: &TxnRequest) -> Result<(), Refusal> {
    check_size(txn, MAX_TXN_OPS)?;
    Written::by_txn(txn).map(|_| ())
}

fn check_put(put: &PutRequest) -> Result<(), Refusal> {
    some_key(&put.key)?;
    if put.ignore_value && !put.value.is_empty() {
        return Err(Refusal::ValueProvided);
    }
    if put.ignore_lease && put.lease != 0 {
        return Err(Refusal::LeaseProvided);
    }
    Ok(())
}

fn some_key(key: &Bytes) -> Result<(), Refusal> {
    if key.is_empty() {
        Err(Refusal::EmptyKey)
    } else {
        Ok(())
    }
}

/// The longest of the three lists counts, and a nested transaction has what its parent leaves.
fn check_size(txn: &TxnRequest, allowed: usize) -> Result<(), Refusal> {
    let longest = txn
        .compare
        .len()
        .max(txn.success.len())
        .max(txn.failure.len());
    let left = allowed.checked_sub(longest).ok_or(Refusal::TooManyOps)?;
    txn.compare
        .iter()
        .try_for_each(|compare| some_key(&compare.key))?;
    txn.success
        .iter()
        .chain(&txn.failure)
        .try_for_each(|op| check_op(op, left))
}

fn check_op(op: &RequestOp, left: usize) -> Result<(), Refusal> {
    match &op.request {
        Some(Request::RequestRange(range)) => check_range(range),
        Some(Request::RequestPut(put)) => check_put(put),
        Some(Request::RequestDeleteRange(delete)) => some_key(&delete.key),
        Some(Request::RequestTxn(nested)) => check_size(nested, left),
        None => Err(Refusal::KeyNotFound),
    }
}

/// What a list of operations may write. Within one revision a key can be written once only; to
/// delete it twice is harmless.
#[derive(Default)]
struct Written<'a> {
    puts: HashSet<&'a [u8]>,
    deletes: Vec<KeyRange>,
}

impl<'a> Written<'a> {
    /// Of the two lists only one runs, so they may write the same keys.
    fn by_txn(txn: &'a TxnRequest) -> Result<Self, Refusal> {
        let mut either = Self::by_list(&txn.success)?;
        let other = Self::by_list(&txn.failure)?;
        either.puts.extend(other.puts);
        either.deletes.extend(other.deletes);
        Ok(either)
    }

    fn by_list(ops: &'a [RequestOp]) -> Result<Self, Refusal> {
        let mut all = Self::default();
        for op in ops {
            all.add(Self::by_op(op)?)?;
        }
        Ok(all)
    }

    fn by_op(op: &'a RequestOp) -> Result<Self, Refusal> {
        let mut written = Self::default();
        match &op.request {
            Some(Request::RequestPut(put)) => _ = written.puts.insert(&put.key),
            Some(Request::RequestDeleteRange(delete)) => {
                written
                    .deletes
                    .push(KeyRange::new(delete.key.clone(), &delete.range_end));
            }
            Some(Request::RequestTxn(nested)) => return Self::by_txn(nested),
            _ => {}
        }
        Ok(written)
    }

    fn add(&mut self, next: Self) -> Result<(), Refusal> {
        let twice = next.puts.iter().any(|key| self.puts.contains(key));
        if twice || self.hits(&next.deletes) || next.hits(&self.deletes) {
            return Err(Refusal::DuplicateKey);
        }
        self.puts.extend(next.puts);
        self.deletes.extend(next.deletes);
        Ok(())
    }

    fn hits(&self, deletes: &[KeyRange]) -> bool {
        self.puts
            .iter()
            .any(|key| deletes.iter().any(|range| range.contains(key)))
    }
}
