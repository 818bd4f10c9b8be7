//! Where a unit stands: the lines of `POST /fleet/v2/watch`.

use fleet::v2::{MachineUnitState, UnitStatus};
use fleet::{Cluster, DesiredState, MachineId, UnitState, schedule};
use unitfile::UnitName;

use super::{away, terms};
use crate::mirror::Picture;

/// Where the unit of this name stands; a text that is no unit name belongs to no unit.
pub(super) fn of(picture: &mut Picture, name: &str) -> UnitStatus {
    let mut status = UnitName::parse(name)
        .ok()
        .and_then(|name| of_unit(picture, &name))
        .unwrap_or_default();
    status.name = name.to_owned();
    status.states = states(picture.cluster(), name);
    status
}

fn of_unit(picture: &mut Picture, name: &UnitName) -> Option<UnitStatus> {
    let cluster = picture.cluster();
    let unit = cluster.units.get(name)?;
    let global = unit
        .requirements
        .as_ref()
        .is_some_and(|wanted| wanted.global);
    let machine = cluster.targets.get(&unit.name);
    let current = cluster.current_state(&unit.name).unwrap_or_default();
    let mut status = UnitStatus {
        exists: true,
        hash: unit.hash.to_string(),
        global,
        desired_state: unit.desired.to_string(),
        current_state: if global {
            String::new()
        } else {
            current.to_string()
        },
        machine_id: machine.map(ToString::to_string).unwrap_or_default(),
        primary_ip: machine.map_or_else(String::new, |id| address(cluster, id)),
        scheduled: usize::from(machine.is_some()),
        ..UnitStatus::default()
    };
    if let Some(machine) = machine.filter(|id| !cluster.machines.contains_key(*id)) {
        status.waiting = away::waiting(cluster, &unit.name, machine);
    }
    if unit.desired != DesiredState::Inactive && machine.is_none() && !name.is_template() {
        place(picture, name, &mut status);
    }
    Some(status)
}

/// On how many machines a global unit should be, and why a unit that should be on one is on none.
fn place(picture: &mut Picture, name: &UnitName, status: &mut UnitStatus) {
    let (cluster, survey) = picture.surveyed(&terms());
    let refusals = survey.refusals(name);
    let fitting = cluster.machines.len().saturating_sub(refusals.len());
    if status.global {
        status.scheduled = fitting;
    }
    status.waiting = match (&cluster.leader, fitting) {
        (None, _) => "no engine leads".to_owned(),
        (_, 0) => schedule::summary(&refusals, cluster.machines.len()),
        _ => String::new(),
    };
}

/// A machine's address; empty if it is not known.
pub(super) fn address(cluster: &Cluster, machine: &MachineId) -> String {
    let machine = cluster.machines.get(machine);
    machine.map_or_else(String::new, |machine| machine.address.clone())
}

fn states(cluster: &Cluster, name: &str) -> Vec<MachineUnitState> {
    let states = cluster.states.get(name).into_iter().flatten();
    states
        .map(|(machine, found)| state(machine, found))
        .collect()
}

fn state(machine: &MachineId, state: &UnitState) -> MachineUnitState {
    MachineUnitState {
        machine_id: machine.to_string(),
        hash: state.hash.to_string(),
        load: state.load.clone(),
        active: state.active.clone(),
        sub: state.sub.clone(),
        current: state.current.to_string(),
        starting: state.starting,
        problem: state.problem.clone(),
    }
}
