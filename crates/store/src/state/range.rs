//! Reads: a range of keys at a revision, filtered, sorted and cut.

use prost::bytes::Bytes;

use super::Refusal;
use super::keyrange::KeyRange;
use super::mvcc::Mvcc;
use crate::proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use crate::proto::etcdserverpb::{RangeRequest, RangeResponse, ResponseHeader};
use crate::proto::mvccpb::KeyValue;

/// Answers a read whose revision was found good.
pub(crate) fn range(mvcc: &Mvcc, request: &RangeRequest) -> RangeResponse {
    let range = KeyRange::new(request.key.clone(), &request.range_end);
    let mut found: Vec<&KeyValue> = mvcc.scan(&range, revision(mvcc, request)).collect();
    let count = found.len() as i64;
    let mut more = false;
    if request.count_only {
        found.clear();
    } else {
        found.retain(|kv| wanted(request, kv));
        sort(request, &mut found);
        more = cut(request.limit, &mut found);
    }
    let header = ResponseHeader {
        revision: mvcc.revision(),
        ..Default::default()
    };
    let kvs = found
        .into_iter()
        .map(|kv| answer(kv, request.keys_only))
        .collect();
    RangeResponse {
        header: Some(header),
        kvs,
        more,
        count,
    }
}

/// Refuses a read at a revision that is gone or has not come yet.
pub(crate) fn check_revision(mvcc: &Mvcc, request: &RangeRequest) -> Result<(), Refusal> {
    if request.revision > mvcc.revision() {
        return Err(Refusal::FutureRevision);
    }
    if request.revision > 0 && request.revision < mvcc.compacted() {
        return Err(Refusal::Compacted);
    }
    Ok(())
}

/// The revision to read at: what is not positive means now.
fn revision(mvcc: &Mvcc, request: &RangeRequest) -> i64 {
    if request.revision > 0 {
        request.revision
    } else {
        mvcc.revision()
    }
}

/// A bound of 0 is no bound.
fn wanted(request: &RangeRequest, kv: &KeyValue) -> bool {
    let within = |revision: i64, min: i64, max: i64| {
        (min == 0 || revision >= min) && (max == 0 || revision <= max)
    };
    within(
        kv.mod_revision,
        request.min_mod_revision,
        request.max_mod_revision,
    ) && within(
        kv.create_revision,
        request.min_create_revision,
        request.max_create_revision,
    )
}

/// Sorts as asked; keys already come in ascending order. A target without an order means ascending.
fn sort(request: &RangeRequest, found: &mut [&KeyValue]) {
    match request.sort_target() {
        SortTarget::Key => {}
        SortTarget::Version => found.sort_by_key(|kv| kv.version),
        SortTarget::Create => found.sort_by_key(|kv| kv.create_revision),
        SortTarget::Mod => found.sort_by_key(|kv| kv.mod_revision),
        SortTarget::Value => found.sort_by(|a, b| a.value.cmp(&b.value)),
    }
    if request.sort_order() == SortOrder::Descend {
        found.reverse();
    }
}

/// Cuts to the limit, and says whether there was more. 0 is no limit.
fn cut(limit: i64, found: &mut Vec<&KeyValue>) -> bool {
    let limit = usize::try_from(limit).unwrap_or(0);
    let more = limit > 0 && found.len() > limit;
    if more {
        found.truncate(limit);
    }
    more
}

fn answer(kv: &KeyValue, keys_only: bool) -> KeyValue {
    let value = if keys_only {
        Bytes::new()
    } else {
        kv.value.clone()
    };
    KeyValue {
        key: kv.key.clone(),
        value,
        ..*kv
    }
}
