//! The state next to the simplest model of it: after each command, a copy of all keys.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use prost::bytes::Bytes;

use super::{Change, Interest, KeyRange, Limit, State};
use crate::proto::etcdserverpb::request_op::Request;
use crate::proto::etcdserverpb::*;
use crate::proto::mvccpb::event::EventType;
use crate::proto::mvccpb::{Event, KeyValue};
use crate::proto::storepb::command::Op;

const ALL: Limit = Limit {
    events: usize::MAX,
    bytes: usize::MAX,
};

type Keys = BTreeMap<Bytes, KeyValue>;

/// What every revision looked like, from revision 1 on.
struct Model {
    revisions: Vec<Keys>,
    leases: BTreeMap<i64, i64>,
    compacted: i64,
}

impl Model {
    fn new() -> Self {
        Self {
            revisions: vec![Keys::new()],
            leases: BTreeMap::new(),
            compacted: -1,
        }
    }

    fn revision(&self) -> i64 {
        self.revisions.len() as i64
    }

    fn at(&self, revision: i64) -> &Keys {
        &self.revisions[revision as usize - 1]
    }

    fn apply(&mut self, op: &Op) {
        let mut keys = self.at(self.revision()).clone();
        let before = keys.clone();
        let wrote = self.change(&mut keys, op);
        if wrote || keys != before {
            self.revisions.push(keys);
        }
    }

    fn change(&mut self, keys: &mut Keys, op: &Op) -> bool {
        match op {
            Op::Put(put) => self.put(keys, put),
            Op::DeleteRange(delete) => Self::delete(keys, delete),
            Op::Txn(txn) => txn.success.iter().fold(false, |wrote, op| {
                wrote
                    | match op.request.as_ref().unwrap() {
                        Request::RequestPut(put) => self.put(keys, put),
                        Request::RequestDeleteRange(delete) => Self::delete(keys, delete),
                        _ => false,
                    }
            }),
            Op::Compact(compact) => {
                if compact.revision <= self.revision() {
                    self.compacted = self.compacted.max(compact.revision);
                }
                false
            }
            Op::Grant(grant) => {
                self.leases.entry(grant.id).or_insert(grant.ttl);
                false
            }
            Op::Revoke(revoke) => {
                self.leases.remove(&revoke.id);
                keys.retain(|_, kv| kv.lease != revoke.id);
                false
            }
        }
    }

    fn put(&self, keys: &mut Keys, put: &PutRequest) -> bool {
        if put.lease != 0 && !self.leases.contains_key(&put.lease) {
            return false;
        }
        let revision = self.revision() + 1;
        let kv = keys.entry(put.key.clone()).or_insert_with(|| KeyValue {
            key: put.key.clone(),
            create_revision: revision,
            ..Default::default()
        });
        kv.version += 1;
        kv.mod_revision = revision;
        kv.value = put.value.clone();
        kv.lease = put.lease;
        true
    }

    fn delete(keys: &mut Keys, delete: &DeleteRangeRequest) -> bool {
        let range = KeyRange::new(delete.key.clone(), &delete.range_end);
        let before = keys.len();
        keys.retain(|key, _| !range.contains(key));
        keys.len() < before
    }

    /// The difference between each revision and the one before it.
    fn events(&self, from: i64) -> Vec<Event> {
        (from.max(2)..=self.revision())
            .flat_map(|revision| self.events_of(revision))
            .collect()
    }

    fn events_of(&self, revision: i64) -> Vec<Event> {
        let (before, after) = (self.at(revision - 1), self.at(revision));
        let puts = after
            .values()
            .filter(|kv| kv.mod_revision == revision)
            .map(|kv| Event {
                r#type: EventType::Put.into(),
                kv: Some(kv.clone()),
                prev_kv: before.get(&kv.key).cloned(),
            });
        let deletes = before
            .values()
            .filter(|kv| !after.contains_key(&kv.key))
            .map(|kv| Event {
                r#type: EventType::Delete.into(),
                kv: Some(KeyValue {
                    key: kv.key.clone(),
                    mod_revision: revision,
                    ..Default::default()
                }),
                prev_kv: Some(kv.clone()),
            });
        sorted(puts.chain(deletes).collect())
    }
}

/// In the order of revisions and, within one, of keys: a transaction may write in any order.
fn sorted(mut events: Vec<Event>) -> Vec<Event> {
    events.sort_by_key(|event| {
        event
            .kv
            .as_ref()
            .map(|kv| (kv.mod_revision, kv.key.clone()))
    });
    events
}

fn all() -> KeyRange {
    KeyRange::new(Bytes::from_static(b"\0"), &Bytes::from_static(b"\0"))
}

fn everything() -> Interest {
    Interest {
        range: all(),
        puts: true,
        deletes: true,
        prev_kv: true,
    }
}

fn read(state: &State, revision: i64) -> Vec<KeyValue> {
    let end = Bytes::from_static(b"\0");
    let request = RangeRequest {
        key: end.clone(),
        range_end: end,
        revision,
        ..Default::default()
    };
    state.range(&request).unwrap().kvs
}

fn key() -> impl Strategy<Value = Bytes> {
    prop_oneof![Just("a"), Just("a/1"), Just("a/2"), Just("b"), Just("c")].prop_map(Bytes::from)
}

fn put() -> impl Strategy<Value = PutRequest> {
    (key(), 0..100u8, prop_oneof![3 => Just(0i64), 1 => 1..4i64]).prop_map(|(key, value, lease)| {
        PutRequest {
            key,
            value: vec![value].into(),
            lease,
            ..Default::default()
        }
    })
}

fn delete() -> impl Strategy<Value = DeleteRangeRequest> {
    (key(), prop_oneof![Just(""), Just("b"), Just("\0")]).prop_map(|(key, end)| {
        DeleteRangeRequest {
            key,
            range_end: Bytes::from(end),
            prev_kv: false,
        }
    })
}

/// A transaction that writes some keys, each once.
fn txn() -> impl Strategy<Value = TxnRequest> {
    let keys = proptest::sample::subsequence(vec!["a", "a/1", "a/2", "b", "c"], 0..5);
    let op = |key: &'static str, delete: bool| {
        let key = Bytes::from(key);
        RequestOp {
            request: Some(if delete {
                Request::RequestDeleteRange(DeleteRangeRequest {
                    key,
                    ..Default::default()
                })
            } else {
                Request::RequestPut(PutRequest {
                    key,
                    value: "t".into(),
                    ..Default::default()
                })
            }),
        }
    };
    (keys, any::<u8>()).prop_map(move |(keys, deletes)| TxnRequest {
        success: keys
            .into_iter()
            .enumerate()
            .map(|(i, k)| op(k, deletes >> i & 1 == 1))
            .collect(),
        ..Default::default()
    })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => put().prop_map(Op::Put),
        3 => delete().prop_map(Op::DeleteRange),
        3 => txn().prop_map(Op::Txn),
        1 => (1..40i64).prop_map(|revision| Op::Compact(CompactionRequest { revision, physical: false })),
        2 => (1..4i64).prop_map(|id| Op::Grant(LeaseGrantRequest { id, ttl: 60 })),
        1 => (1..4i64).prop_map(|id| Op::Revoke(LeaseRevokeRequest { id })),
    ]
}

fn assert_same(state: &State, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(state.revision(), model.revision());
    prop_assert_eq!(state.compacted(), model.compacted);
    for revision in model.compacted.max(1)..=model.revision() {
        let expected: Vec<_> = model.at(revision).values().cloned().collect();
        prop_assert_eq!(read(state, revision), expected, "at revision {}", revision);
    }
    let leases: Vec<_> = state.leases().collect();
    prop_assert_eq!(leases, model.leases.clone().into_iter().collect::<Vec<_>>());
    // what the compacted revision itself brought, and what was before it, may be forgotten
    let from = (model.compacted + 1).max(1);
    let page = state.events(&everything(), from, ALL).unwrap();
    prop_assert_eq!(sorted(page.events), model.events(from));
    Ok(())
}

proptest! {
    #[test]
    fn the_state_remembers_every_revision_since_the_compaction(ops in prop::collection::vec(op(), 1..60)) {
        let (mut state, mut model) = (State::default(), Model::new());
        for op in &ops {
            state.apply(op);
            model.apply(op);
            assert_same(&state, &model)?;
        }
    }

    #[test]
    fn a_state_restored_from_its_changes_is_the_same(ops in prop::collection::vec(op(), 1..60)) {
        let (mut state, mut copy, mut model) = (State::default(), State::default(), Model::new());
        for op in &ops {
            state.apply(op).changes.into_iter().for_each(|change| copy.restore(change));
            model.apply(op);
        }
        assert_same(&copy, &model)?;
        // also when only what is left is restored, as from the file
        let mut reopened = State::default();
        left(&state).into_iter().for_each(|change| reopened.restore(change));
        reopened.restore_revision(state.revision());
        assert_same(&reopened, &model)?;
    }
}

/// The changes that a file holds in the end.
fn left(state: &State) -> Vec<Change> {
    let compacted = std::iter::once(Change::Compacted(state.compacted()));
    let leases = state.leases().map(|(id, ttl)| Change::Granted { id, ttl });
    let records = state.mvcc.records().into_iter().map(Change::Recorded);
    compacted.chain(leases).chain(records).collect()
}
