//! Whether a cluster has come to rest: everything is where it belongs, once, and fleet says the same.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use integration::{Cluster, Machine, wait_for};

use super::units::{Home, Unit};
use super::witness::{self, Copy, Picture};

/// Far more than a cluster takes, lease, slow stops, boots and all.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until all that is wanted runs, with machine `without` if there is one being left out of it. Tells how long that took.
///
/// # Errors
/// It takes too long; the message says what was missing.
pub(super) fn settle(
    cluster: &Cluster,
    units: &[Unit],
    without: Option<&str>,
) -> Result<(Picture, Duration)> {
    let start = Instant::now();
    let machines: Vec<&Machine> = cluster
        .lab
        .machines()
        .iter()
        .filter(|machine| Some(machine.name()) != without)
        .collect();
    let what = match without {
        Some(machine) => format!("the cluster without {machine} to converge"),
        None => "the cluster to converge".to_owned(),
    };
    let picture = wait_for(&what, PATIENCE, || {
        look(cluster, &machines, units).map_err(|error| format!("{error:#}"))
    })?;
    Ok((picture, start.elapsed()))
}

/// What is there, if it is all in order.
fn look(cluster: &Cluster, machines: &[&Machine], units: &[Unit]) -> Result<Picture> {
    for machine in machines {
        is_member(machine, machines.len())?;
    }
    let picture = witness::picture(machines.iter().copied(), units)?;
    let names: BTreeSet<&str> = machines.iter().map(|machine| machine.name()).collect();
    for unit in units {
        is_at_home(unit, &names, &picture)?;
    }
    fleet_says_the_same(cluster, machines, &picture)?;
    Ok(picture)
}

/// fleetd is up there, and knows of all the others.
fn is_member(machine: &Machine, count: usize) -> Result<()> {
    let state = machine.property("fleet.service", "ActiveState")?;
    ensure!(
        state == "active",
        "fleet.service on {} is {state}",
        machine.name()
    );
    let table = machine.read(["fleetctl", "list-machines", "--no-legend"])?;
    let seen = table.lines().count();
    ensure!(
        seen == count,
        "{} sees {seen} of {count} machines:\n{table}",
        machine.name()
    );
    Ok(())
}

/// The unit is wherever it should be and nowhere else, and does what it should.
fn is_at_home(unit: &Unit, machines: &BTreeSet<&str>, picture: &Picture) -> Result<()> {
    let copies = || picture.iter().filter(|(place, _)| place.0 == unit.name);
    let places: BTreeSet<&str> = copies().map(|(place, _)| place.1.as_str()).collect();
    let right = match &unit.home {
        Home::One => places.len() == 1,
        Home::Only(machine) => places.iter().eq(machines.get(machine.as_str())),
        Home::Every => &places == machines,
    };
    ensure!(right, "{} is on {places:?}", unit.name);
    for ((_, machine), copy) in copies() {
        ensure!(is_well(unit, copy), "{} on {machine} is {copy}", unit.name);
    }
    Ok(())
}

fn is_well(unit: &Unit, copy: &Copy) -> bool {
    match unit.once {
        true => copy.active == "inactive" && copy.result == "success",
        false => copy.active == "active",
    }
}

/// `fleetctl list-units` shows just what systemd has.
fn fleet_says_the_same(cluster: &Cluster, machines: &[&Machine], picture: &Picture) -> Result<()> {
    let Some(console) = machines.first() else {
        return Ok(());
    };
    let rows = cluster.units_seen_by(console)?;
    let said: BTreeSet<_> = rows
        .into_iter()
        .map(|row| (row.unit, row.machine, row.active, row.sub))
        .collect();
    let seen: BTreeSet<_> = picture
        .iter()
        .map(|((unit, machine), copy)| {
            (
                unit.clone(),
                machine.clone(),
                copy.active.clone(),
                copy.sub.clone(),
            )
        })
        .collect();
    let differ: Vec<_> = said.symmetric_difference(&seen).collect();
    ensure!(differ.is_empty(), "fleet and systemd differ in {differ:?}");
    Ok(())
}
