//! Puts and deletions: all that one command writes carries one revision.

use std::sync::Arc;

use prost::bytes::Bytes;

use super::keyrange::KeyRange;
use super::mvcc::Record;
use super::{Change, Refusal, State};
use crate::proto::etcdserverpb::{
    DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, ResponseHeader,
};
use crate::proto::mvccpb::KeyValue;

/// Writes on behalf of one command.
pub(crate) struct Writer<'a> {
    state: &'a mut State,
    changes: &'a mut Vec<Change>,
    /// The revision of what is written; used up only when something is.
    revision: i64,
    sub: u32,
}

/// Refuses a put that leans on a key or a lease that is not there.
pub(crate) fn check_put(state: &State, put: &PutRequest) -> Result<(), Refusal> {
    if (put.ignore_value || put.ignore_lease) && state.mvcc.latest(&put.key).is_none() {
        return Err(Refusal::KeyNotFound);
    }
    if put.lease != 0 && state.leases.get(put.lease).is_none() {
        return Err(Refusal::LeaseNotFound);
    }
    Ok(())
}

impl<'a> Writer<'a> {
    pub(crate) fn begin(state: &'a mut State, changes: &'a mut Vec<Change>) -> Self {
        let revision = state.revision() + 1;
        Self {
            state,
            changes,
            revision,
            sub: 0,
        }
    }

    pub(crate) fn state(&self) -> &State {
        self.state
    }

    pub(crate) fn put(&mut self, put: &PutRequest) -> PutResponse {
        let before = self.state.mvcc.latest(&put.key).cloned();
        self.record(self.version(put, before.as_ref()));
        PutResponse {
            header: self.header(),
            prev_kv: before.filter(|_| put.prev_kv),
        }
    }

    pub(crate) fn delete_range(&mut self, delete: &DeleteRangeRequest) -> DeleteRangeResponse {
        let range = KeyRange::new(delete.key.clone(), &delete.range_end);
        let now = self.state.revision();
        let found: Vec<KeyValue> = self.state.mvcc.scan(&range, now).cloned().collect();
        for kv in &found {
            self.delete(&kv.key);
        }
        DeleteRangeResponse {
            header: self.header(),
            deleted: found.len() as i64,
            prev_kvs: if delete.prev_kv { found } else { Vec::new() },
        }
    }

    /// Deletes a key that exists.
    pub(crate) fn delete(&mut self, key: &Bytes) {
        self.record(KeyValue {
            key: key.clone(),
            mod_revision: self.revision,
            ..Default::default()
        });
    }

    fn version(&self, put: &PutRequest, before: Option<&KeyValue>) -> KeyValue {
        let kept_value = before
            .filter(|_| put.ignore_value)
            .map(|kv| kv.value.clone());
        let kept_lease = before.filter(|_| put.ignore_lease).map(|kv| kv.lease);
        KeyValue {
            key: before.map_or_else(|| put.key.clone(), |kv| kv.key.clone()),
            create_revision: before.map_or(self.revision, |kv| kv.create_revision),
            mod_revision: self.revision,
            version: before.map_or(0, |kv| kv.version) + 1,
            value: kept_value.unwrap_or_else(|| put.value.clone()),
            lease: kept_lease.unwrap_or(put.lease),
        }
    }

    fn record(&mut self, kv: KeyValue) {
        let record = Arc::new(Record { kv, sub: self.sub });
        self.sub += 1;
        self.state.record(record.clone());
        self.changes.push(Change::Recorded(record));
    }

    fn header(&self) -> Option<ResponseHeader> {
        self.state.header()
    }
}
