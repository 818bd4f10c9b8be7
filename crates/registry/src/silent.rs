//! Machines that have not been heard of for so long that they may be about to be lost.

use std::collections::{BTreeMap, BTreeSet};

use fleet::MachineId;
use futures_util::future::join_all;

use crate::Registry;

/// How many leases are asked for at a time.
const AT_A_TIME: usize = 64;

impl Registry {
    /// Those of some machines whose lease has not been renewed when it should have been. Leases that etcd cannot be asked
    /// for count as well kept: then nobody is lost either.
    pub async fn silent(&self, leases: &BTreeMap<MachineId, i64>) -> BTreeSet<MachineId> {
        let leases: Vec<(MachineId, i64)> = leases.clone().into_iter().collect();
        let mut silent = BTreeSet::new();
        for some in leases.chunks(AT_A_TIME) {
            let asked: Vec<_> = some
                .iter()
                .map(|&(_, lease)| self.is_neglected(lease))
                .collect();
            let answers = join_all(asked).await;
            let neglected = some.iter().zip(answers).filter(|(_, neglected)| *neglected);
            silent.extend(neglected.map(|((id, _), _)| id.clone()));
        }
        silent
    }

    async fn is_neglected(&self, lease: i64) -> bool {
        let info = self.etcd.lease_info(lease).await;
        info.is_ok_and(|info| info.is_neglected())
    }
}
