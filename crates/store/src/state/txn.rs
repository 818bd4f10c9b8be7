//! Transactions: compare, then do one of two lists, as one revision or not at all.
//!
//! All comparisons, those of nested transactions too, see the state before the first write. So
//! which lists run is known beforehand, what they need can be checked, and nothing is ever undone.

use std::cmp::Ordering;

use prost::bytes::Bytes;

use super::keyrange::KeyRange;
use super::write::{Writer, check_put};
use super::{Change, Refusal, State, range};
use crate::proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use crate::proto::etcdserverpb::request_op::Request;
use crate::proto::etcdserverpb::response_op::Response;
use crate::proto::etcdserverpb::{Compare, RequestOp, ResponseOp, TxnRequest, TxnResponse};
use crate::proto::mvccpb::KeyValue;

/// A transaction after its comparisons: what will run.
struct Chosen<'a> {
    succeeded: bool,
    steps: Vec<Step<'a>>,
}

enum Step<'a> {
    Plain(&'a Request),
    Nested(Chosen<'a>),
}

impl State {
    /// Carries out a transaction.
    pub(super) fn txn(
        &mut self,
        txn: &TxnRequest,
        changes: &mut Vec<Change>,
    ) -> Result<TxnResponse, Refusal> {
        let chosen = choose(self, txn);
        check(self, &chosen)?;
        Ok(run(&mut self.writer(changes), &chosen))
    }
}

fn choose<'a>(state: &State, txn: &'a TxnRequest) -> Chosen<'a> {
    let succeeded = txn.compare.iter().all(|compare| holds(state, compare));
    let ops = if succeeded {
        &txn.success
    } else {
        &txn.failure
    };
    let steps = ops
        .iter()
        .filter_map(|op| op.request.as_ref())
        .map(|request| match request {
            Request::RequestTxn(nested) => Step::Nested(choose(state, nested)),
            plain => Step::Plain(plain),
        });
    Chosen {
        succeeded,
        steps: steps.collect(),
    }
}

fn check(state: &State, chosen: &Chosen<'_>) -> Result<(), Refusal> {
    chosen.steps.iter().try_for_each(|step| match step {
        Step::Plain(Request::RequestPut(put)) => check_put(state, put),
        Step::Plain(Request::RequestRange(range)) => range::check_revision(&state.mvcc, range),
        Step::Plain(_) => Ok(()),
        Step::Nested(nested) => check(state, nested),
    })
}

fn run(writer: &mut Writer<'_>, chosen: &Chosen<'_>) -> TxnResponse {
    let responses = chosen
        .steps
        .iter()
        .map(|step| run_step(writer, step))
        .collect();
    TxnResponse {
        header: writer.state().header(),
        succeeded: chosen.succeeded,
        responses,
    }
}

fn run_step(writer: &mut Writer<'_>, step: &Step<'_>) -> ResponseOp {
    let response = match step {
        Step::Plain(Request::RequestRange(request)) => {
            Response::ResponseRange(range::range(&writer.state().mvcc, request))
        }
        Step::Plain(Request::RequestPut(put)) => Response::ResponsePut(writer.put(put)),
        Step::Plain(Request::RequestDeleteRange(delete)) => {
            Response::ResponseDeleteRange(writer.delete_range(delete))
        }
        Step::Plain(Request::RequestTxn(_)) => Response::ResponseTxn(TxnResponse::default()),
        Step::Nested(nested) => Response::ResponseTxn(run(writer, nested)),
    };
    ResponseOp {
        response: Some(response),
    }
}

/// A comparison over a range holds when it holds for each of its keys. A key that does not exist
/// counts as zeros, and equals no value.
fn holds(state: &State, compare: &Compare) -> bool {
    let range = KeyRange::new(compare.key.clone(), &compare.range_end);
    let mut found = state.mvcc.scan(&range, state.revision()).peekable();
    if found.peek().is_none() {
        return compare.target() != CompareTarget::Value
            && holds_for(compare, &KeyValue::default());
    }
    found.all(|kv| holds_for(compare, kv))
}

fn holds_for(compare: &Compare, kv: &KeyValue) -> bool {
    let order = match compare.target() {
        CompareTarget::Version => kv.version.cmp(&number(compare)),
        CompareTarget::Create => kv.create_revision.cmp(&number(compare)),
        CompareTarget::Mod => kv.mod_revision.cmp(&number(compare)),
        CompareTarget::Lease => kv.lease.cmp(&number(compare)),
        CompareTarget::Value => kv.value.cmp(&value(compare)),
    };
    match compare.result() {
        CompareResult::Equal => order == Ordering::Equal,
        CompareResult::NotEqual => order != Ordering::Equal,
        CompareResult::Greater => order == Ordering::Greater,
        CompareResult::Less => order == Ordering::Less,
    }
}

/// The number to compare with; one that was not given is 0.
fn number(compare: &Compare) -> i64 {
    match (&compare.target_union, compare.target()) {
        (Some(TargetUnion::Version(n)), CompareTarget::Version)
        | (Some(TargetUnion::CreateRevision(n)), CompareTarget::Create)
        | (Some(TargetUnion::ModRevision(n)), CompareTarget::Mod)
        | (Some(TargetUnion::Lease(n)), CompareTarget::Lease) => *n,
        _ => 0,
    }
}

fn value(compare: &Compare) -> Bytes {
    match &compare.target_union {
        Some(TargetUnion::Value(value)) => value.clone(),
        _ => Bytes::new(),
    }
}

/// Does the transaction only read? Then it need not go through the log.
pub(crate) fn is_read_only(txn: &TxnRequest) -> bool {
    let reads = |op: &RequestOp| match &op.request {
        Some(Request::RequestRange(_)) | None => true,
        Some(Request::RequestTxn(nested)) => is_read_only(nested),
        Some(_) => false,
    };
    txn.success.iter().chain(&txn.failure).all(reads)
}

impl State {
    /// Answers a transaction that only reads.
    pub(crate) fn read_txn(&self, txn: &TxnRequest) -> Result<TxnResponse, Refusal> {
        let chosen = choose(self, txn);
        check(self, &chosen)?;
        Ok(self.read(&chosen))
    }

    fn read(&self, chosen: &Chosen<'_>) -> TxnResponse {
        let read = |step: &Step<'_>| match step {
            Step::Plain(Request::RequestRange(request)) => {
                Some(Response::ResponseRange(range::range(&self.mvcc, request)))
            }
            Step::Plain(_) => None,
            Step::Nested(nested) => Some(Response::ResponseTxn(self.read(nested))),
        };
        let responses = chosen.steps.iter().map(|step| ResponseOp {
            response: read(step),
        });
        TxnResponse {
            header: self.header(),
            succeeded: chosen.succeeded,
            responses: responses.collect(),
        }
    }
}
