//! From a picture of the cluster to the objects of API v1.

use fleet::{Cluster, Machine, MachineId, Unit, UnitState, v1};
use unitfile::UnitName;

/// All units, by name.
pub(super) fn units(cluster: &Cluster) -> Vec<v1::Unit> {
    cluster
        .units
        .values()
        .map(|found| unit(cluster, found))
        .collect()
}

/// One unit.
pub(super) fn unit(cluster: &Cluster, unit: &Unit) -> v1::Unit {
    let machine = cluster.targets.get(&unit.name);
    let file = cluster.files.get(&unit.hash);
    let options = file.map(|record| record.file.options()).unwrap_or_default();
    v1::Unit {
        // a global unit has no one machine: clients expect `inactive`
        current_state: cluster
            .current_state(&unit.name)
            .unwrap_or_default()
            .to_string(),
        desired_state: unit.desired.to_string(),
        machine_id: machine.map(ToString::to_string).unwrap_or_default(),
        name: unit.name.to_string(),
        options: options.iter().map(option).collect(),
    }
}

/// All states that machines have published, by unit and machine.
pub(super) fn states(cluster: &Cluster) -> Vec<v1::UnitState> {
    let units = cluster.states.iter();
    units
        .flat_map(|(name, states)| states.iter().map(move |(id, found)| state(name, id, found)))
        .collect()
}

/// What one machine says of a unit.
pub(super) fn state(name: &UnitName, machine: &MachineId, state: &UnitState) -> v1::UnitState {
    v1::UnitState {
        hash: state.hash.to_string(),
        machine_id: machine.to_string(),
        name: name.to_string(),
        systemd_active_state: state.active.clone(),
        systemd_load_state: state.load.clone(),
        systemd_sub_state: state.sub.clone(),
    }
}

/// The members of the cluster with the metadata that placement sees.
pub(super) fn machines(cluster: &Cluster) -> Vec<v1::Machine> {
    let machine = |machine: &Machine| v1::Machine {
        id: machine.id.to_string(),
        metadata: cluster.metadata_of(machine),
        primary_ip: machine.address.clone(),
    };
    cluster.machines.values().map(machine).collect()
}

fn option(option: &unitfile::UnitOption) -> v1::UnitOption {
    v1::UnitOption {
        name: option.name.clone(),
        section: option.section.clone(),
        value: option.value.clone(),
    }
}
