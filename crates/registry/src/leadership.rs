//! Who leads: the holder of the record `leader`, for as long as its lease lives.

use etcd_client::{Compare, CompareOp, KeyValue, PutOptions, Txn, TxnOp};

use fleet::MachineId;
use fleet::history::{Entry, What};

use crate::follow::{Follow, Update};
use crate::keys::{Key, Table};
use crate::picture::records_of;
use crate::{Error, MemberError, Membership, Registry, codec};

/// The proof that every write to the schedule must present.
#[derive(Debug)]
pub struct Leadership {
    pub(crate) registry: Registry,
    /// Who leads.
    pub(crate) machine: MachineId,
    /// Create-revision of the `leader` record: tells one leadership from the next.
    pub revision: i64,
    /// Mod-revision of the `commit` record, as we have seen or written it; 0 if there is none.
    pub(crate) last_commit: i64,
}

impl Membership {
    /// Tries to become the leader. None if there is one. A process that adopted its predecessor's lease goes on
    /// with its leadership.
    ///
    /// # Errors
    /// [`MemberError::NotMember`] if the machine is none any more.
    pub async fn campaign(&self) -> Result<Option<Leadership>, MemberError> {
        let not_member = || MemberError::NotMember(self.machine.id.clone());
        let answer = match self
            .registry
            .etcd
            .txn("campaigning", self.campaign_txn())
            .await
        {
            Err(error) if error.is_lease_gone() => return Err(not_member()),
            answer => answer?,
        };
        let found = records_of(&answer);
        let find = |key: &Key| {
            let key = self.registry.records.keys.print(key);
            found.iter().find(|kv| kv.key() == key.as_bytes())
        };
        let ours = |record: &&KeyValue| record.lease() == self.lease;
        find(&self.record()).filter(ours).ok_or_else(not_member)?;
        let name = codec::print_machine_ref(&self.machine.id);
        let is_stray = |record: &&KeyValue| {
            let foreign = ours(record) && record.value() != name;
            record.lease() == 0 || foreign
        };
        if let Some(stray) = find(&Key::Leader).filter(is_stray) {
            self.registry.take_away(stray).await?;
            return Ok(None);
        }
        let leader = find(&Key::Leader).filter(ours);
        Ok(leader.map(|leader| Leadership {
            registry: self.registry.clone(),
            machine: self.machine.id.clone(),
            revision: leader.create_revision(),
            last_commit: find(&Key::Commit).map_or(0, KeyValue::mod_revision),
        }))
    }

    fn campaign_txn(&self) -> Txn {
        let keys = &self.registry.records.keys;
        let leader = keys.print(&Key::Leader);
        let vacant = Compare::create_revision(leader.clone(), CompareOp::Equal, 0);
        let on_lease = PutOptions::new().with_lease(self.lease);
        let put = TxnOp::put(
            leader,
            codec::print_machine_ref(&self.machine.id),
            Some(on_lease),
        );
        let reads =
            [Key::Leader, Key::Commit, self.record()].map(|key| TxnOp::get(keys.print(&key), None));
        let told = Entry::of(What::Leading).on(&self.machine.id);
        let told = self.telling(vec![told]).map(|told| told.op(&self.registry));
        let writes = std::iter::once(put).chain(told);
        Txn::new()
            .when([vacant, self.guard()])
            .and_then(writes.chain(reads.clone()).collect::<Vec<_>>())
            .or_else(reads)
    }

    /// Waits until this machine may stand for election: nobody leads, or a record says that nobody alive does, or that it does
    /// itself (etcd was restored from a backup). Waits through any outage.
    pub async fn leader_gone(&self) {
        let range = self.registry.records.keys.table(Table::Leader);
        let mut follow = Follow::start(self.registry.etcd.clone(), range);
        let vacant = |record: &KeyValue| record.lease() == 0 || record.lease() == self.lease;
        loop {
            let gone = match follow.next().await {
                Update::Reset { records, .. } => records.iter().all(vacant),
                Update::Events { events, .. } => events
                    .iter()
                    .any(|event| event.gone || vacant(&event.record)),
            };
            if gone {
                return;
            }
        }
    }

    fn record(&self) -> Key {
        Key::Machine(self.machine.id.clone())
    }
}

impl Registry {
    /// A record that hangs on no lease, or on the lease of a machine that did not write it, is no leader's, and would stay.
    async fn take_away(&self, stray: &KeyValue) -> Result<(), Error> {
        tracing::warn!(
            value = %String::from_utf8_lossy(stray.value()),
            "the record of the leader is nobody's, or not what its machine wrote: taking it away"
        );
        let key = stray.key().to_vec();
        let unchanged = Compare::mod_revision(key.clone(), CompareOp::Equal, stray.mod_revision());
        let txn = Txn::new()
            .when([unchanged])
            .and_then([TxnOp::delete(key, None)]);
        self.etcd.txn("campaigning", txn).await.map(drop)
    }
}

impl Leadership {
    /// Gives the leadership up, so that another machine takes it at once.
    ///
    /// # Errors
    /// etcd cannot be asked; then it ends with the machine's lease.
    pub async fn resign(self) -> Result<(), Error> {
        let leader = self.registry.records.keys.print(&Key::Leader);
        let txn = Txn::new()
            .when([self.still_leads()])
            .and_then([TxnOp::delete(leader, None)]);
        self.registry.etcd.txn("resigning", txn).await.map(|_| ())
    }

    /// Holds while we lead.
    pub(crate) fn still_leads(&self) -> Compare {
        let leader = self.registry.records.keys.print(&Key::Leader);
        Compare::create_revision(leader, CompareOp::Equal, self.revision)
    }
}
