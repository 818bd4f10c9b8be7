//! Machines that cannot write unit files: they get no more units, and those that they cannot have go elsewhere.

use std::collections::BTreeSet;

use super::Refusal;
use super::draft::Draft;
use crate::{Cluster, MachineId};

impl Draft {
    /// The machines that say of a unit that they cannot write its file; of one that is no more it does not matter.
    pub(super) fn stuck_on(&self, cluster: &Cluster, unit: usize) -> BTreeSet<MachineId> {
        let name = &self.units.get(unit).name;
        let states = cluster.states.get(name);
        let states = states.filter(|_| cluster.units.contains_key(name));
        let states = states.into_iter().flatten();
        let stuck = states.filter(|(_, state)| state.unwritable);
        stuck.map(|(machine, _)| machine.clone()).collect()
    }

    /// A unit is stuck on these machines and on no other. Where none is any more, units may come again.
    pub(super) fn sync_stuck(&mut self, unit: usize, machines: &BTreeSet<MachineId>) {
        for id in machines {
            self.stuck.entry(id.clone()).or_default().insert(unit);
        }
        let mut well = Vec::new();
        self.stuck.retain(|id, units| {
            if !machines.contains(id) {
                units.remove(&unit);
            }
            if units.is_empty() {
                well.push(id.clone());
            }
            !units.is_empty()
        });
        let hosts = well.iter().filter_map(|id| self.hosts.find(id.as_str()));
        self.reopened.extend(hosts);
    }

    /// Moves what a machine cannot have where another one takes it, with those that can only go together; once for each unit file, since
    /// there may be no room elsewhere either. What waits for its machine even when that is away waits for this, too.
    pub(super) fn move_stuck(&mut self, cluster: &Cluster) {
        let stuck: BTreeSet<usize> = self.stuck.values().flatten().copied().collect();
        for unit in self.by_name(stuck) {
            let Some(from) = self.stuck_at(cluster, unit) else {
                continue;
            };
            self.move_once(unit, from, &Refusal::Unwritable);
        }
    }

    /// The machine that a unit has to leave because it is stuck there.
    fn stuck_at(&self, cluster: &Cluster, unit: usize) -> Option<usize> {
        let known = self.units.get(unit);
        let wanted = known.wanted.as_ref()?.requirements.as_ref()?;
        let moved = self.has_moved(cluster, unit);
        let host = known.backed_target().filter(|&host| {
            let here = self.stuck.get(&self.hosts.get(host).id);
            let seated = known.seats.contains(host) && self.hosts.get(host).is_live();
            seated && here.is_some_and(|units| units.contains(&unit))
        });
        host.filter(|_| !(moved || wanted.sticky || wanted.global))
    }
}
