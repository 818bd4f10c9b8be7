//! The API's writes: metadata laid over the machines' own.

use std::collections::BTreeMap;

use etcd_client::{Txn, TxnOp};
use fleet::MachineId;

use crate::keys::Key;
use crate::{Error, MAX_TXN_OPS, Registry, codec};

/// One value to set or, with none, to take back. An empty value hides what the machine itself says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataChange {
    /// Which machine; it need not be there.
    pub machine: MachineId,
    /// Which key.
    pub key: String,
    /// The value.
    pub value: Option<String>,
}

impl Registry {
    /// Changes machines' metadata: up to 128 values in one transaction. Of two changes of one key the later one counts.
    ///
    /// # Errors
    /// etcd cannot be asked; whole transactions before that may have been written.
    pub async fn change_metadata(&self, changes: &[MetadataChange]) -> Result<(), Error> {
        let key =
            |change: &MetadataChange| Key::Metadata(change.machine.clone(), change.key.clone());
        let rows: BTreeMap<String, &Option<String>> = changes
            .iter()
            .map(|change| (self.records.keys.print(&key(change)), &change.value))
            .collect();
        let ops: Vec<TxnOp> = rows
            .into_iter()
            .map(|(key, value)| match value {
                Some(value) => TxnOp::put(key, codec::print_metadata(value), None),
                None => TxnOp::delete(key, None),
            })
            .collect();
        for some in ops.chunks(MAX_TXN_OPS) {
            self.etcd
                .txn("changing metadata", Txn::new().and_then(some))
                .await?;
        }
        Ok(())
    }
}
