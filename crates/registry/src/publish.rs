//! A machine's word on its units.

use std::collections::{BTreeMap, BTreeSet};

use etcd_client::{PutOptions, Txn, TxnOp};
use fleet::UnitState;
use unitfile::UnitName;

use crate::keys::Key;
use crate::{Error, MAX_TXN_OPS, MemberError, Membership, Telling, codec};

impl Membership {
    /// Publishes what systemd says of units, and takes back what was said of those with none: up to 128 in a
    /// transaction, on the machine's lease. Of two for one unit the later one counts.
    ///
    /// # Errors
    /// [`MemberError::NotMember`] if the record is not on our lease any more: then nothing further was written.
    pub async fn publish(
        &self,
        states: &[(UnitName, Option<UnitState>)],
    ) -> Result<(), MemberError> {
        self.publish_and_tell(states, None).await
    }

    /// The same, and tells of what has happened in the last of these transactions.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn publish_and_tell(
        &self,
        states: &[(UnitName, Option<UnitState>)],
        telling: Option<&Telling>,
    ) -> Result<(), MemberError> {
        let newest: BTreeMap<&UnitName, &Option<UnitState>> =
            states.iter().map(|(unit, state)| (unit, state)).collect();
        let states = newest
            .into_iter()
            .map(|(unit, state)| self.state_op(unit, state));
        let told = telling.map(|telling| telling.op(&self.registry));
        let ops: Vec<TxnOp> = states.chain(told).collect();
        for some in ops.chunks(MAX_TXN_OPS) {
            self.write_guarded("publishing unit states", some).await?;
        }
        Ok(())
    }

    /// The units of which this machine has published a state that is still there. A record that somebody has deleted, or
    /// written over without the machine's lease, is not on that lease any more, and not among these.
    ///
    /// # Errors
    /// [`MemberError::NotMember`] if the lease is gone, and all states with it.
    pub async fn published_units(&self) -> Result<BTreeSet<UnitName>, MemberError> {
        let info = self.registry.etcd.lease_info(self.lease).await?;
        match info.left < 0 {
            true => Err(MemberError::NotMember(self.machine.id.clone())),
            false => Ok(self.registry.units_with_states(&info.keys)),
        }
    }

    fn state_op(&self, unit: &UnitName, state: &Option<UnitState>) -> TxnOp {
        let key = Key::State(unit.clone(), self.machine.id.clone());
        let key = self.registry.records.keys.print(&key);
        let on_lease = PutOptions::new().with_lease(self.lease);
        match state {
            Some(state) => TxnOp::put(key, codec::print_state(state), Some(on_lease)),
            None => TxnOp::delete(key, None),
        }
    }

    async fn write_guarded(&self, what: &'static str, ops: &[TxnOp]) -> Result<(), MemberError> {
        let txn = Txn::new().when([self.guard()]).and_then(ops);
        let succeeded = match self.registry.etcd.txn(what, txn).await {
            Err(error) if error.is_lease_gone() => false,
            answer => answer
                .map_err(|error: Error| MemberError::Registry(error))?
                .succeeded(),
        };
        match succeeded {
            true => Ok(()),
            false => Err(MemberError::NotMember(self.machine.id.clone())),
        }
    }
}
