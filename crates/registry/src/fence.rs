//! Claims of fenced units: who may be running one. See [`fleet::fence`].

use std::collections::BTreeMap;
use std::time::Duration;

use etcd_client::{Compare, CompareOp, GetOptions, KeyValue, Txn, TxnOp};
use fleet::fence::Claim;
use fleet::{Assignment, MachineId};
use unitfile::UnitName;

use crate::keys::Key;
use crate::picture::records_of;
use crate::{Error, Leadership, MemberError, Membership, codec};

const CLAIMING: &str = "claiming a fenced unit";
const RELEASING: &str = "releasing a fenced unit";

/// What came of claiming a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claiming {
    /// It is ours to run, with this fencing token.
    Held(i64),
    /// That machine may be running it still.
    HeldBy(MachineId),
    /// It is not on our schedule, at least not so.
    NotOurs,
    /// Somebody may be running it: the claim, which has this key, makes no sense.
    Garbage(String),
}

impl Membership {
    /// Claims a unit that is on our schedule as `assignment` says, and that will be down `stop` after the end of our lease at the
    /// latest. What this boot has claimed already stays as it is, token and all. `again` says that the unit runs here because this boot has claimed it:
    /// should that claim make no sense by now, it is written anew.
    ///
    /// # Errors
    /// [`MemberError::NotMember`] if the machine is none any more.
    pub async fn claim(
        &self,
        unit: &UnitName,
        assignment: &Assignment,
        stop: Duration,
        again: bool,
    ) -> Result<Claiming, MemberError> {
        let mut seen = 0;
        let (row, assigned) = self.row_of(unit, assignment);
        let is_row = |kv: &KeyValue| kv.key() == row.as_bytes() && kv.value() == assigned;
        loop {
            let txn = self.claim_txn(unit, assignment, stop, seen);
            let answer = self.registry.etcd.txn(CLAIMING, txn).await?;
            let found = records_of(&answer);
            let is_assigned = answer.succeeded() || found.iter().any(is_row);
            let key = self.fence_key(unit);
            let record = found.iter().find(|kv| kv.key() == key.as_bytes());
            let claim = record.and_then(|kv| self.registry.records.read_with(kv, codec::claim));
            match (claim, record) {
                (Some(claim), _) if self.made(&claim) && is_assigned => {
                    return Ok(Claiming::Held(claim.revision));
                }
                (Some(claim), _) if claim.machine != self.machine.id => {
                    return Ok(Claiming::HeldBy(claim.machine));
                }
                (None, Some(_)) if !again => return Ok(Claiming::Garbage(key)),
                // of an earlier boot, garbage in the place of our own, or left of another assignment
                (_, Some(record)) if seen != record.mod_revision() => seen = record.mod_revision(),
                _ if !self.is_registered(&found) => {
                    return Err(MemberError::NotMember(self.machine.id.clone()));
                }
                _ => return Ok(Claiming::NotOurs),
            }
        }
    }

    /// Gives a claim back that this boot has made, once the unit is down. Nothing if somebody else has made one; what makes no sense
    /// has been written over ours.
    ///
    /// # Errors
    /// etcd cannot be asked.
    pub async fn release(&self, unit: &UnitName) -> Result<(), Error> {
        let key = self.fence_key(unit);
        let found = self.registry.etcd.get(RELEASING, key.clone()).await?;
        let Some(record) = found.kvs().first() else {
            return Ok(());
        };
        let claim = self.registry.records.read_with(record, codec::claim);
        if claim.is_some_and(|claim| !self.made(&claim)) {
            return Ok(());
        }
        let unchanged = Compare::mod_revision(key.clone(), CompareOp::Equal, record.mod_revision());
        let txn = Txn::new()
            .when([unchanged])
            .and_then([TxnOp::delete(key, None)]);
        self.registry.etcd.txn(RELEASING, txn).await.map(drop)
    }

    /// The units that this boot has claimed, with their fencing tokens.
    ///
    /// # Errors
    /// etcd cannot be asked.
    pub async fn claims(&self) -> Result<BTreeMap<UnitName, i64>, Error> {
        let records = &self.registry.records;
        let range = records.keys.fences();
        let etcd = &self.registry.etcd;
        let answer = etcd
            .range("reading claims", &range, GetOptions::new())
            .await?;
        let claimed = answer.kvs().iter().filter_map(|kv| {
            let claim = records.read_with(kv, codec::claim)?;
            match records.key(kv.key())? {
                Key::Fence(unit) if self.made(&claim) => Some((unit, claim.revision)),
                _ => None,
            }
        });
        Ok(claimed.collect())
    }

    /// Writes the claim over one of revision `seen`, 0 for none; reads what decides otherwise.
    fn claim_txn(
        &self,
        unit: &UnitName,
        assignment: &Assignment,
        stop: Duration,
        seen: i64,
    ) -> Txn {
        let keys = &self.registry.records.keys;
        let key = self.fence_key(unit);
        let (row, assigned) = self.row_of(unit, assignment);
        let put = TxnOp::put(key.clone(), codec::print_claim(&self.machine, stop), None);
        let machine = keys.print(&Key::Machine(self.machine.id.clone()));
        let read = TxnOp::get(key.clone(), None);
        Txn::new()
            .when([
                self.guard(),
                Compare::value(row.clone(), CompareOp::Equal, assigned),
                Compare::mod_revision(key, CompareOp::Equal, seen),
            ])
            .and_then([put, read.clone()])
            .or_else([read, TxnOp::get(row, None), TxnOp::get(machine, None)])
    }

    /// The schedule's record by which a unit is ours, key and value.
    fn row_of(&self, unit: &UnitName, assignment: &Assignment) -> (String, Vec<u8>) {
        let key = Key::Scheduled(self.machine.id.clone(), unit.clone());
        let assigned = codec::print_unit(assignment.hash, assignment.desired);
        (self.registry.records.keys.print(&key), assigned)
    }

    fn made(&self, claim: &Claim) -> bool {
        (&claim.machine, &claim.boot_id) == (&self.machine.id, &self.machine.boot_id)
    }

    fn is_registered(&self, found: &[KeyValue]) -> bool {
        found.iter().any(|kv| kv.lease() == self.lease)
    }

    fn fence_key(&self, unit: &UnitName) -> String {
        self.registry.records.keys.print(&Key::Fence(unit.clone()))
    }
}

impl Leadership {
    /// Takes a claim away that stands for nothing any more: the machine is gone for long enough, or has booted since. Not if the
    /// machine has come back, or claimed the unit anew.
    ///
    /// # Errors
    /// etcd cannot be asked.
    pub async fn lapse(&self, unit: &UnitName, claim: &Claim) -> Result<(), Error> {
        let keys = &self.registry.records.keys;
        let key = keys.print(&Key::Fence(unit.clone()));
        let unchanged = Compare::mod_revision(key.clone(), CompareOp::Equal, claim.revision);
        let machine = keys.print(&Key::Machine(claim.machine.clone()));
        let gone = Compare::create_revision(machine.clone(), CompareOp::Equal, 0);
        let read = self.registry.etcd.get(RELEASING, machine.clone()).await?;
        let still = match read.kvs().first() {
            None => gone,
            Some(kv) => {
                let id = claim.machine.clone();
                let record = self
                    .registry
                    .records
                    .read_with(kv, |kv| codec::machine(id, kv));
                if record.is_none_or(|record| record.boot_id == claim.boot_id) {
                    return Ok(());
                }
                Compare::mod_revision(machine, CompareOp::Equal, kv.mod_revision())
            }
        };
        let txn = Txn::new()
            .when([self.still_leads(), unchanged, still])
            .and_then([TxnOp::delete(key, None)]);
        self.registry.etcd.txn(RELEASING, txn).await.map(drop)
    }
}
