//! The schedule as it stands, for people who ask: the rules that place units, without a plan.

use std::collections::BTreeMap;

use unitfile::UnitName;

use super::draft::Draft;
use super::{Planner, Refusal, Terms};
use crate::cluster::Touched;
use crate::{Cluster, MachineId};

/// A cluster with every unit where it may stay. Kept from question to question, so that an answer costs what has changed and what is
/// asked.
#[derive(Default)]
pub struct Survey(Planner);

impl Survey {
    /// Of a cluster as it is now.
    pub fn of(cluster: &Cluster, terms: &Terms) -> Self {
        let mut survey = Survey::default();
        survey.update(cluster, &Touched::Everything, terms);
        survey
    }

    /// Takes in what is new in `cluster` since the last time, which is `touched`.
    pub fn update(&mut self, cluster: &Cluster, touched: &Touched, terms: &Terms) {
        self.0.look(cluster, touched, terms);
        self.0.draft.rest();
    }

    /// For a unit that waits: why each machine may not take it, in order of machine id. Machines that may take it
    /// are left out.
    pub fn refusals(&self, unit: &UnitName) -> Vec<(MachineId, Refusal)> {
        self.draft().refusals(unit)
    }

    /// For a unit that should be on a machine: every machine, in order of id, with all that keeps the unit from it. Nothing
    /// does where the unit is, or could be. Empty if the unit should be nowhere, or there is no such unit.
    pub fn obstacles(&self, unit: &UnitName) -> Vec<(MachineId, Vec<Refusal>)> {
        self.draft().obstacles(unit)
    }

    /// The units that a drain cannot take off a machine, and why, in a line each. Global units are none of them.
    pub fn staying(&self, machine: &MachineId) -> BTreeMap<UnitName, String> {
        let host = self.draft().hosts.find(machine.as_str());
        host.map_or_else(BTreeMap::new, |host| self.draft().staying(host))
    }

    pub(super) fn into_draft(self) -> Draft {
        self.0.draft
    }

    fn draft(&self) -> &Draft {
        &self.0.draft
    }
}
