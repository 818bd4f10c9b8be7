//! How commands are written in scenarios, one to a line; `#` begins a remark.
//!
//! ```text
//! put KEY VALUE [lease=N] [prev] [ignore-value] [ignore-lease]
//! get KEYS [rev=N] [limit=N] [desc] [by=key|version|create|mod|value] [keys] [count]
//!          [min-mod=N] [max-mod=N] [min-create=N] [max-create=N]
//! del KEYS [prev]
//! txn, if TARGET KEYS OP VALUE, then COMMAND, else COMMAND, end    (a COMMAND may be `txn` again)
//! compact REVISION
//! grant ID TTL | revoke ID | leases
//! watch KEYS from=N [prev] [noput] [nodelete] [limit=N] [bytes=N]
//! ```
//!
//! KEYS is `a` (one key), `a*` (a prefix), `a..b` (from a up to b) or `a..` (from a on); `-` is the
//! empty string.

use prost::bytes::Bytes;

use crate::proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use crate::proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use crate::proto::etcdserverpb::request_op::Request;
use crate::proto::etcdserverpb::*;
use crate::proto::storepb::command::Op;
use crate::state::{Interest, KeyRange, Limit};

/// One command.
pub(super) enum Command {
    Op(Op),
    Get(RangeRequest),
    Watch(Watch),
    Leases,
}

/// A watch that reads from the history.
pub(super) struct Watch {
    pub(super) interest: Interest,
    pub(super) from: i64,
    pub(super) limit: Limit,
}

/// The commands of a part.
pub(super) fn commands(text: &str) -> Vec<Command> {
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'));
    let mut commands = Vec::new();
    while let Some(line) = lines.next() {
        commands.push(command(&words(line), &mut lines));
    }
    commands
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace()
        .map(|word| if word == "-" { "" } else { word })
        .collect()
}

fn command(words: &[&str], lines: &mut dyn Iterator<Item = &str>) -> Command {
    match words {
        ["put", key, value, options @ ..] => Command::Op(Op::Put(put(key, value, options))),
        ["put", key] => Command::Op(Op::Put(put(key, "", &[]))),
        ["get", keys, options @ ..] => Command::Get(get(keys, options)),
        ["del", keys, options @ ..] => Command::Op(Op::DeleteRange(del(keys, options))),
        ["txn"] => Command::Op(Op::Txn(txn(lines))),
        ["compact", revision] => Command::Op(Op::Compact(CompactionRequest {
            revision: revision.parse().unwrap(),
            physical: false,
        })),
        ["grant", id, ttl] => Command::Op(Op::Grant(LeaseGrantRequest {
            id: id.parse().unwrap(),
            ttl: ttl.parse().unwrap(),
        })),
        ["revoke", id] => Command::Op(Op::Revoke(LeaseRevokeRequest {
            id: id.parse().unwrap(),
        })),
        ["leases"] => Command::Leases,
        ["watch", keys, options @ ..] => Command::Watch(watch(keys, options)),
        _ => panic!("not a command: {words:?}"),
    }
}

fn put(key: &str, value: &str, options: &[&str]) -> PutRequest {
    PutRequest {
        key: bytes(key),
        value: bytes(value),
        lease: number(options, "lease", 0),
        prev_kv: options.contains(&"prev"),
        ignore_value: options.contains(&"ignore-value"),
        ignore_lease: options.contains(&"ignore-lease"),
    }
}

fn get(keys: &str, options: &[&str]) -> RangeRequest {
    let (key, range_end) = range(keys);
    let order = if options.contains(&"desc") {
        SortOrder::Descend
    } else {
        SortOrder::None
    };
    RangeRequest {
        key,
        range_end,
        limit: number(options, "limit", 0),
        revision: number(options, "rev", 0),
        sort_order: order.into(),
        sort_target: sort_target(options).into(),
        keys_only: options.contains(&"keys"),
        count_only: options.contains(&"count"),
        min_mod_revision: number(options, "min-mod", 0),
        max_mod_revision: number(options, "max-mod", 0),
        min_create_revision: number(options, "min-create", 0),
        max_create_revision: number(options, "max-create", 0),
        ..Default::default()
    }
}

fn sort_target(options: &[&str]) -> SortTarget {
    let by = options
        .iter()
        .find_map(|option| option.strip_prefix("by="))
        .unwrap_or("key");
    SortTarget::from_str_name(&by.to_uppercase()).unwrap()
}

fn del(keys: &str, options: &[&str]) -> DeleteRangeRequest {
    let (key, range_end) = range(keys);
    DeleteRangeRequest {
        key,
        range_end,
        prev_kv: options.contains(&"prev"),
    }
}

fn txn(lines: &mut dyn Iterator<Item = &str>) -> TxnRequest {
    let mut txn = TxnRequest::default();
    loop {
        match words(lines.next().expect("a txn ends with `end`")).as_slice() {
            ["end"] => return txn,
            ["if", target, keys, sign, value] => {
                txn.compare.push(compare(target, keys, sign, value));
            }
            ["then", rest @ ..] => txn.success.push(operation(rest, lines)),
            ["else", rest @ ..] => txn.failure.push(operation(rest, lines)),
            other => panic!("not part of a txn: {other:?}"),
        }
    }
}

fn operation(words: &[&str], lines: &mut dyn Iterator<Item = &str>) -> RequestOp {
    let request = match command(words, lines) {
        Command::Op(Op::Put(put)) => Request::RequestPut(put),
        Command::Op(Op::DeleteRange(delete)) => Request::RequestDeleteRange(delete),
        Command::Op(Op::Txn(txn)) => Request::RequestTxn(txn),
        Command::Get(get) => Request::RequestRange(get),
        _ => panic!("not an operation of a txn: {words:?}"),
    };
    RequestOp {
        request: Some(request),
    }
}

fn compare(target: &str, keys: &str, sign: &str, value: &str) -> Compare {
    let (key, range_end) = range(keys);
    let number = || value.parse().unwrap();
    let (target, union) = match target {
        "version" => (CompareTarget::Version, TargetUnion::Version(number())),
        "create" => (CompareTarget::Create, TargetUnion::CreateRevision(number())),
        "mod" => (CompareTarget::Mod, TargetUnion::ModRevision(number())),
        "lease" => (CompareTarget::Lease, TargetUnion::Lease(number())),
        _ => (CompareTarget::Value, TargetUnion::Value(bytes(value))),
    };
    let result = match sign {
        "=" => CompareResult::Equal,
        "!=" => CompareResult::NotEqual,
        ">" => CompareResult::Greater,
        _ => CompareResult::Less,
    };
    let (target, result) = (target.into(), result.into());
    Compare {
        result,
        target,
        key,
        target_union: Some(union),
        range_end,
    }
}

fn watch(keys: &str, options: &[&str]) -> Watch {
    let (key, end) = range(keys);
    let interest = Interest {
        range: KeyRange::new(key, &end),
        puts: !options.contains(&"noput"),
        deletes: !options.contains(&"nodelete"),
        prev_kv: options.contains(&"prev"),
    };
    let events = number(options, "limit", 1_000).try_into().unwrap();
    let bytes = number(options, "bytes", 1_000_000).try_into().unwrap();
    let limit = Limit { events, bytes };
    Watch {
        interest,
        from: number(options, "from", 1),
        limit,
    }
}

fn range(keys: &str) -> (Bytes, Bytes) {
    if let Some(prefix) = keys.strip_suffix('*') {
        let mut end = prefix.as_bytes().to_vec();
        *end.last_mut().unwrap() += 1;
        return (bytes(prefix), end.into());
    }
    match keys.split_once("..") {
        None => (bytes(keys), Bytes::new()),
        Some((start, "")) => (bytes(start), Bytes::from_static(b"\0")),
        Some((start, end)) => (bytes(start), bytes(end)),
    }
}

fn number(options: &[&str], name: &str, default: i64) -> i64 {
    let value = options
        .iter()
        .filter_map(|option| option.split_once('='))
        .find(|(n, _)| *n == name);
    value.map_or(default, |(_, value)| value.parse().unwrap())
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}
