//! From what etcd holds to what the picture understands; garbage is named once and ignored.

use std::collections::HashSet;
use std::sync::atomic::AtomicU32;
use std::sync::{Mutex, PoisonError};

use etcd_client::KeyValue;
use fleet::Event;

use crate::codec::{self, Files, Garbage};
use crate::keys::{Key, Keys};

/// After so many garbage records a further one is not remembered, and may be named again.
const REMEMBERED: usize = 10_000;

/// What a record that is there means.
pub(crate) enum Read {
    /// This.
    Event(Event),
    /// It cannot be read. Somebody has written over what stood there, or meant well and made a mistake: nothing is stopped
    /// and nothing moved because of it.
    Garbage(Key),
    /// Nothing to the picture.
    Nothing,
}

/// Reads records under one prefix.
pub(crate) struct Records {
    pub(crate) keys: Keys,
    /// Numbers the records of events that are written.
    pub(crate) events: AtomicU32,
    named: Mutex<HashSet<Vec<u8>>>,
}

impl Records {
    pub(crate) fn new(prefix: &str) -> Self {
        Records {
            keys: Keys::new(prefix),
            events: AtomicU32::new(0),
            named: Mutex::new(HashSet::new()),
        }
    }

    /// What a record that is there means.
    pub(crate) fn read(&self, kv: &KeyValue) -> Read {
        self.read_knowing(&Files::new(), kv)
    }

    /// The same where some unit files are known, which are not taken apart again.
    pub(crate) fn read_knowing(&self, files: &Files, kv: &KeyValue) -> Read {
        let Some(key) = self.keys.parse(kv.key()) else {
            self.name(kv, &"no such kind of record".into());
            return Read::Nothing;
        };
        match codec::decode(key.clone(), kv, files) {
            Ok(event) => event.map_or(Read::Nothing, Read::Event),
            Err(why) => {
                self.name(kv, &why);
                Read::Garbage(key)
            }
        }
    }

    /// The same for a picture that is read once: what cannot be read counts as absent.
    pub(crate) fn event(&self, kv: &KeyValue) -> Option<Event> {
        match self.read(kv) {
            Read::Event(event) => Some(event),
            Read::Garbage(_) | Read::Nothing => None,
        }
    }

    /// What it means that a record went away.
    pub(crate) fn gone(&self, key: &[u8]) -> Option<Event> {
        self.keys.parse(key).and_then(codec::gone)
    }

    /// Reads one record with `decode`; one that makes no sense counts as absent.
    pub(crate) fn read_with<T>(
        &self,
        kv: &KeyValue,
        decode: impl FnOnce(&KeyValue) -> Result<T, Garbage>,
    ) -> Option<T> {
        decode(kv).inspect_err(|why| self.name(kv, why)).ok()
    }

    /// The key that a record stands under.
    pub(crate) fn key(&self, key: &[u8]) -> Option<Key> {
        self.keys.parse(key)
    }

    /// Names a record that makes no sense, the first time.
    pub(crate) fn name(&self, kv: &KeyValue, why: &Garbage) {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let first = if named.len() < REMEMBERED {
            named.insert(kv.key().to_vec())
        } else {
            !named.contains(kv.key())
        };
        if first {
            let key = String::from_utf8_lossy(kv.key());
            tracing::warn!(%key, revision = kv.mod_revision(), %why, "ignoring a record that makes no sense");
        }
    }
}
