//! Units that must stay where they are.

use std::collections::BTreeMap;

use fleet::{Cluster, MachineId};
use unitfile::UnitName;

use crate::units;

/// Where units are that must stay there.
#[derive(Debug, Default)]
pub(crate) struct Held(BTreeMap<UnitName, MachineId>);

impl Held {
    /// The units of some machines. Global ones move nowhere.
    pub(crate) fn of(cluster: &Cluster, machines: &[MachineId]) -> Held {
        let rows = machines
            .iter()
            .filter_map(|machine| Some((machine, cluster.schedule.get(machine)?)));
        let units = rows.flat_map(|(machine, rows)| {
            let single = rows.keys().filter(|unit| !units::is_global(unit.as_str()));
            single.map(|unit| (unit.clone(), machine.clone()))
        });
        Held(units.collect())
    }

    /// One that has been moved.
    pub(crate) fn moved(&self, cluster: &Cluster) -> Option<String> {
        let (unit, machine) = self.0.iter().find(|(unit, machine)| {
            let rows = cluster.schedule.get(*machine);
            rows.is_none_or(|rows| !rows.contains_key(*unit))
        })?;
        Some(format!(
            "{unit} was taken from {machine}, which vanished with most others"
        ))
    }
}
