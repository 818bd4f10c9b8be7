//! How answers are written in scenarios.

use crate::proto::etcdserverpb::response_op::Response;
use crate::proto::etcdserverpb::*;
use crate::proto::mvccpb::event::EventType;
use crate::proto::mvccpb::{Event, KeyValue};
use crate::state::{Page, Refusal, Reply, State};

pub(super) fn refusal(refusal: Refusal) -> String {
    format!("refused: {refusal}\n")
}

pub(super) fn reply(reply: &Reply) -> String {
    match reply {
        Reply::Put(response) => put(response, 0),
        Reply::DeleteRange(response) => deleted(response, 0),
        Reply::Txn(response) => txn(response, 0),
        Reply::Compact(response) => line(0, "compacted", &response.header),
        Reply::Grant(LeaseGrantResponse {
            header, id, ttl, ..
        }) => line(0, &format!("lease {id} for {ttl} s"), header),
        Reply::Revoke(response) => line(0, "revoked", &response.header),
    }
}

pub(super) fn range(response: &RangeResponse, depth: usize) -> String {
    let more = if response.more { ", and more" } else { "" };
    let mut text = line(
        depth,
        &format!("{} found{more}", response.count),
        &response.header,
    );
    response
        .kvs
        .iter()
        .for_each(|kv| text += &inner(depth, &key_value(kv)));
    text
}

pub(super) fn txn(response: &TxnResponse, depth: usize) -> String {
    let which = if response.succeeded { "then" } else { "else" };
    let mut text = line(depth, which, &response.header);
    for op in &response.responses {
        text += &match op.response.as_ref() {
            Some(Response::ResponseRange(response)) => range(response, depth + 1),
            Some(Response::ResponsePut(response)) => put(response, depth + 1),
            Some(Response::ResponseDeleteRange(response)) => deleted(response, depth + 1),
            Some(Response::ResponseTxn(response)) => txn(response, depth + 1),
            None => inner(depth, "nothing"),
        };
    }
    text
}

/// The events of one page; a page of a watch is one response.
pub(super) fn page(page: &Page) -> String {
    let mut text = format!("page, next {}\n", page.next);
    page.events
        .iter()
        .for_each(|event| text += &inner(0, &one_event(event)));
    text
}

pub(super) fn leases(state: &State) -> String {
    let mut text = String::new();
    for (id, ttl) in state.leases() {
        let keys = state.lease(id).into_iter().flat_map(|lease| lease.keys());
        let keys: Vec<_> = keys.map(|key| String::from_utf8_lossy(key)).collect();
        text += &format!("lease {id} for {ttl} s: [{}]\n", keys.join(" "));
    }
    if text.is_empty() {
        "no leases\n".to_owned()
    } else {
        text
    }
}

fn put(response: &PutResponse, depth: usize) -> String {
    let text = line(depth, "put", &response.header);
    text + &response
        .prev_kv
        .iter()
        .map(|kv| inner(depth, &was(kv)))
        .collect::<String>()
}

fn deleted(response: &DeleteRangeResponse, depth: usize) -> String {
    let text = line(
        depth,
        &format!("{} deleted", response.deleted),
        &response.header,
    );
    text + &response
        .prev_kvs
        .iter()
        .map(|kv| inner(depth, &was(kv)))
        .collect::<String>()
}

fn one_event(event: &Event) -> String {
    let kv = event.kv.as_ref().expect("an event has a key");
    let before = event
        .prev_kv
        .as_ref()
        .map(|kv| format!(", {}", was(kv)))
        .unwrap_or_default();
    match event.r#type() {
        EventType::Put => format!("PUT {}{before}", key_value(kv)),
        EventType::Delete => {
            let key = String::from_utf8_lossy(&kv.key);
            format!("DELETE {key} at {}{before}", kv.mod_revision)
        }
    }
}

fn was(kv: &KeyValue) -> String {
    format!("was {}", key_value(kv))
}

fn key_value(kv: &KeyValue) -> String {
    let (key, value) = (
        String::from_utf8_lossy(&kv.key),
        String::from_utf8_lossy(&kv.value),
    );
    let KeyValue {
        create_revision: created,
        mod_revision: modified,
        version,
        lease,
        ..
    } = kv;
    let lease = if *lease == 0 {
        String::new()
    } else {
        format!(" lease {lease}")
    };
    format!("{key}={value} (created {created} modified {modified} version {version}{lease})")
}

fn line(depth: usize, text: &str, header: &Option<ResponseHeader>) -> String {
    let revision = header.as_ref().map_or(0, |header| header.revision);
    format!("{}{text} @{revision}\n", "  ".repeat(depth))
}

fn inner(depth: usize, text: &str) -> String {
    format!("{}{text}\n", "  ".repeat(depth + 1))
}
