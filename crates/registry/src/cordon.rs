//! The API's writes: machines that get no new units.

use etcd_client::{Txn, TxnOp};
use fleet::{Cordon, MachineId};

use crate::keys::Key;
use crate::{Error, Registry, codec};

impl Registry {
    /// Keeps new units away from a machine, and has it drained if the cordon says so; takes that back with none. The
    /// machine need not be there.
    ///
    /// # Errors
    /// etcd cannot be asked.
    pub async fn cordon(&self, machine: &MachineId, cordon: Option<&Cordon>) -> Result<(), Error> {
        let key = self.records.keys.print(&Key::Cordon(machine.clone()));
        let op = match cordon {
            Some(cordon) => TxnOp::put(key, codec::print_cordon(cordon), None),
            None => TxnOp::delete(key, None),
        };
        let txn = Txn::new().and_then([op]);
        self.etcd.txn("cordoning a machine", txn).await.map(drop)
    }
}
