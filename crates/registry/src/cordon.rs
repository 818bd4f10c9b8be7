//! Operators' orders: machines that get no new units, or are gone for good; units that shall be elsewhere.

use etcd_client::{Compare, CompareOp, Txn, TxnOp};
use fleet::history::{Entry, What};
use fleet::requirements::print_seconds;
use fleet::{Cordon, MachineId};
use unitfile::UnitName;

use crate::keys::Key;
use crate::tell::Telling;
use crate::{Error, Registry, codec};

impl Registry {
    /// Keeps new units away from a machine, and has it drained if the cordon says so; takes that back with none. The
    /// machine need not be there. What is so already is not written again, and no event.
    ///
    /// # Errors
    /// etcd cannot be asked.
    pub async fn cordon(&self, machine: &MachineId, cordon: Option<&Cordon>) -> Result<(), Error> {
        let key = self.records.keys.print(&Key::Cordon(machine.clone()));
        let (is_so, op) = match cordon.map(codec::print_cordon) {
            Some(text) => (
                Compare::value(key.clone(), CompareOp::Equal, text.clone()),
                TxnOp::put(key, text, None),
            ),
            None => (
                Compare::create_revision(key.clone(), CompareOp::Equal, 0),
                TxnOp::delete(key, None),
            ),
        };
        let told = Telling::of(self, machine, vec![order(machine, cordon)]);
        let told = told.map(|told| told.op(self));
        // an order that changes nothing is no event
        let txn = Txn::new().when([is_so]);
        let txn = txn.or_else([op].into_iter().chain(told).collect::<Vec<_>>());
        self.etcd.txn("cordoning a machine", txn).await.map(drop)
    }

    /// Orders the leader to move a unit, if that breaks no rule.
    ///
    /// # Errors
    /// etcd cannot be asked.
    pub async fn order_move(&self, unit: &UnitName, to: &MachineId) -> Result<(), Error> {
        let key = self.records.keys.print(&Key::Move(unit.clone()));
        let txn = Txn::new().and_then([TxnOp::put(key, codec::print_machine_ref(to), None)]);
        self.etcd.txn("moving a unit", txn).await.map(drop)
    }

    /// Nothing waits for a machine that is away any more. A machine that is there is not concerned.
    ///
    /// # Errors
    /// etcd cannot be asked.
    pub async fn forget(&self, machine: &MachineId) -> Result<(), Error> {
        let key = self.records.keys.print(&Key::Forgotten(machine.clone()));
        let txn = Txn::new().and_then([TxnOp::put(key, "{}", None)]);
        self.etcd.txn("forgetting a machine", txn).await.map(drop)
    }
}

/// What is told of an order.
fn order(machine: &MachineId, cordon: Option<&Cordon>) -> Entry {
    let entry = |what| Entry::of(what).on(machine);
    let Some(cordon) = cordon else {
        return entry(What::Uncordoned);
    };
    let what = match cordon.drain {
        None => What::Cordoned,
        Some(_) => What::Drains,
    };
    let grace = print_seconds(cordon.grace.as_secs());
    let grace = format!("its units wait {grace} for it when it is away");
    let grace = (!cordon.grace.is_zero()).then_some(grace);
    let terms: Vec<String> = cordon.drain.map(pace).into_iter().chain(grace).collect();
    let reason = [terms.join(", "), cordon.reason.clone()];
    let said: Vec<String> = reason.into_iter().filter(|text| !text.is_empty()).collect();
    entry(what).because(said.join(": "))
}

fn pace(max: u32) -> String {
    match max {
        u32::MAX => "all at once".to_owned(),
        1 => "one by one".to_owned(),
        max => format!("{max} at a time"),
    }
}
