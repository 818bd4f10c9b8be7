//! The schedule's records, sorted by unit.

use std::collections::BTreeMap;

use unitfile::UnitName;

use super::wanted::Units;
use crate::{Assignment, Cluster, MachineId};

/// What is recorded of one unit.
#[derive(Default)]
pub(super) struct Records<'a> {
    pub(super) target: Option<&'a MachineId>,
    /// In order of machine id.
    pub(super) rows: Vec<(&'a MachineId, &'a Assignment)>,
}

impl<'a> Records<'a> {
    pub(super) fn row(&self, machine: &MachineId) -> Option<&'a Assignment> {
        let place = self
            .rows
            .binary_search_by(|(id, _)| (*id).cmp(machine))
            .ok()?;
        Some(self.rows[place].1)
    }

    /// The machines that have a row.
    pub(super) fn machines(&self) -> impl Iterator<Item = &'a MachineId> + '_ {
        self.rows.iter().map(|(machine, _)| *machine)
    }

    /// The target, if there is a row where it points to.
    pub(super) fn backed_target(&self) -> Option<&'a MachineId> {
        self.target.filter(|machine| self.row(machine).is_some())
    }
}

/// All records.
pub(super) struct Recorded<'a> {
    /// Of the units that are wanted, by index.
    pub(super) wanted: Vec<Records<'a>>,
    /// Of names that should be nowhere.
    pub(super) unwanted: BTreeMap<&'a UnitName, Records<'a>>,
}

impl<'a> Recorded<'a> {
    pub(super) fn of(cluster: &'a Cluster, units: &Units<'a>) -> Self {
        let mut all = Recorded {
            wanted: (0..units.len()).map(|_| Records::default()).collect(),
            unwanted: BTreeMap::new(),
        };
        for (unit, machine) in &cluster.targets {
            all.entry(units, unit).target = Some(machine);
        }
        for (machine, rows) in &cluster.schedule {
            for (unit, assignment) in rows {
                all.entry(units, unit).rows.push((machine, assignment));
            }
        }
        all
    }

    fn entry(&mut self, units: &Units<'a>, name: &'a UnitName) -> &mut Records<'a> {
        match units.find(name.as_str()) {
            Some(unit) => &mut self.wanted[unit],
            None => self.unwanted.entry(name).or_default(),
        }
    }
}
