//! Units that come and go, to see that a cluster obeys.

use std::time::Duration;

use anyhow::{Result, ensure};
use integration::{Cluster, Machine, wait_for};

/// Far more than it takes to start or to remove a unit.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts a unit on every machine and takes it away again: the leader and all agents must be at work. That a
/// cluster is as it should be tells nothing of those who have had nothing to do.
///
/// # Errors
/// It does not get everywhere, or does not go.
pub(super) fn everywhere(cluster: &Cluster) -> Result<()> {
    let name = "probe.service";
    cluster.write_unit(
        name,
        "[Service]\nExecStart=/bin/sleep infinity\n[X-Fleet]\nGlobal=true\n",
    )?;
    cluster.fleetctl(&format!("start --no-block {name}"))?;
    let machines = cluster.lab.machines();
    machines
        .iter()
        .try_for_each(|machine| wait_active(machine, name))?;
    take_away(cluster, name, machines)
}

/// A unit for one machine.
///
/// # Errors
/// No fleetd takes it.
pub(super) fn order(cluster: &Cluster, name: &str, machine: &Machine) -> Result<()> {
    let id = machine.id();
    let text = format!("[Service]\nExecStart=/bin/sleep infinity\n[X-Fleet]\nMachineID={id}\n");
    cluster.write_unit(name, &text)?;
    cluster
        .fleetctl(&format!("start --no-block {name}"))
        .map(drop)
}

/// Waits until a unit runs on a machine.
///
/// # Errors
/// It takes too long.
pub(super) fn wait_active(machine: &Machine, name: &str) -> Result<()> {
    wait_for_property(machine, name, "ActiveState", "active")
}

/// Takes a unit out of the cluster, and waits until those machines have nothing of it.
///
/// # Errors
/// Something is left.
pub(super) fn take_away(cluster: &Cluster, name: &str, machines: &[Machine]) -> Result<()> {
    cluster.fleetctl(&format!("destroy {name}"))?;
    for machine in machines {
        wait_for_property(machine, name, "LoadState", "not-found")?;
        let file = machine.read_file(format!("/etc/systemd/system/{name}"));
        ensure!(
            file.is_err(),
            "the file of {name} is left on {}",
            machine.name()
        );
    }
    Ok(())
}

fn wait_for_property(machine: &Machine, name: &str, property: &str, wanted: &str) -> Result<()> {
    let what = format!("{name} on {} to be {wanted}", machine.name());
    wait_for(&what, PATIENCE, || match machine.property(name, property) {
        Ok(value) if value == wanted => Ok(()),
        Ok(value) => Err(value),
        Err(error) => Err(format!("{error:#}")),
    })
}
