//! Machines die, leave, are cut off, come back; fleetd dies and comes back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use integration::Cluster;
use nix::sys::signal::Signal;

use crate::told::{SLEEP, TTL, active_since, now, stories, wait_elsewhere, witnesses};

/// What must be left of a second for the engine and the agent after the lease has ended, or a machine has left.
const SECOND: f64 = 1.0;

/// Starts `count` units, and names one on a machine other than `m1`, which may host the store.
fn some_units(cluster: &Cluster, count: usize) -> Result<(String, String)> {
    cluster.write_unit("job@.service", SLEEP)?;
    let names: Vec<String> = (1..=count).map(|n| format!("job@{n}.service")).collect();
    cluster.fleetctl(&format!("start {}", names.join(" ")))?;
    let rows = cluster.units()?;
    let row = rows.into_iter().find(|row| row.machine != "m1");
    row.map(|row| (row.unit, row.machine))
        .context("no unit away from m1")
}

/// Whether a unit is neither on `victim` now nor was there before: it must not have been touched.
fn bystanders_are_untouched(
    cluster: &Cluster,
    before: &std::collections::BTreeMap<String, (String, String)>,
    victim: &str,
) -> Result<()> {
    let after = witnesses(cluster)?;
    for (unit, witness) in before.iter().filter(|(_, (machine, _))| machine != victim) {
        ensure!(
            after.get(unit) == Some(witness),
            "{unit} was {witness:?}, is {:?}",
            after.get(unit)
        );
    }
    Ok(())
}

stories! {
    power_loss(3)
    fn story(cluster: &mut Cluster) -> Result<()> {
        let (unit, victim) = some_units(cluster, 6)?;
        let before = witnesses(cluster)?;

        let killed = now()?;
        cluster.machine(&victim)?.kill()?;
        let home = wait_elsewhere(cluster, &unit, &victim)?;
        let took = active_since(cluster, &home, &unit)? - killed;
        ensure!(took <= TTL.as_secs_f64() + SECOND, "{unit} was elsewhere only after {took:.2} s");
        cluster.wait_for_members(2)?;
        bystanders_are_untouched(cluster, &before, &victim)?;

        cluster.machine(&victim)?.boot()?;
        cluster.wait_for_members(3)?;
        bystanders_are_untouched(cluster, &before, &victim)?;
        let stale = cluster.machine(&victim)?.property(&unit, "ActiveState")?;
        ensure!(stale == "inactive", "after its reboot {victim} runs {unit}, which is on {home}: {stale}");
        Ok(())
    }

    leaving_in_good_order(3)
    fn story(cluster: &mut Cluster) -> Result<()> {
        let (unit, leaver) = some_units(cluster, 6)?;
        let before = witnesses(cluster)?;

        let asked = now()?;
        cluster.machine(&leaver)?.read(["systemctl", "stop", "fleet.service"])?;
        let home = wait_elsewhere(cluster, &unit, &leaver)?;
        let took = active_since(cluster, &home, &unit)? - asked;
        ensure!(took <= SECOND, "{unit} was handed over only after {took:.2} s");
        bystanders_are_untouched(cluster, &before, &leaver)?;

        let left = cluster.machine(&leaver)?;
        ensure!(left.property(&unit, "ActiveState")? == "inactive", "{leaver} still runs what it handed over");
        ensure!(left.read_file(format!("/etc/systemd/system/{unit}")).is_err(), "its file is still there");
        Ok(())
    }

    restarting_fleetd_touches_nothing(2)
    fn story(cluster: &mut Cluster) -> Result<()> {
        some_units(cluster, 4)?;
        cluster.start("done.service", "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo once >>/root/done'\n")?;
        let done = cluster.wait_where("done.service", "has run", |rows| match rows {
            [row] if row.active == "inactive" => Some(row.machine.clone()),
            _ => None,
        })?;
        let before = witnesses(cluster)?;

        for machine in cluster.lab.machines() {
            machine.read(["systemctl", "restart", "fleet.service"])?;
        }
        cluster.wait_for_members(2)?;
        ensure!(witnesses(cluster)? == before, "after a restart: {:?}, before: {before:?}", witnesses(cluster)?);

        for machine in cluster.lab.machines() {
            machine.signal("fleetd", Signal::SIGKILL)?;
        }
        cluster.wait_for_members(2)?;
        // whoever leads now has looked at everything once this one runs
        cluster.start("last.service", SLEEP)?;
        let mut after = witnesses(cluster)?;
        after.remove("last.service");
        ensure!(after == before, "after SIGKILL: {after:?}, before: {before:?}");
        let runs = cluster.machine(&done)?.read(["cat", "/root/done"])?;
        ensure!(runs == "once", "a finished oneshot ran again: {runs:?}");
        Ok(())
    }

    cut_off_and_back(3)
    fn story(cluster: &mut Cluster) -> Result<()> {
        let (unit, victim) = some_units(cluster, 6)?;
        let id = cluster.machine(&victim)?.id().to_owned();
        cluster.start("pinned.service", &format!("{SLEEP}[X-Fleet]\nMachineID={id}\n"))?;
        let before = witnesses(cluster)?;

        cluster.machine(&victim)?.cut()?;
        wait_elsewhere(cluster, &unit, &victim)?;
        ensure!(cluster.machine(&victim)?.property(&unit, "ActiveState")? == "active", "cut off, a machine goes on");

        cluster.machine(&victim)?.heal()?;
        cluster.wait_for_members(3)?;
        ensure!(cluster.wait_active("pinned.service")? == victim);
        integration::wait_for("the second copy to be stopped", Duration::from_secs(20), || {
            match cluster.machine(&victim).and_then(|machine| machine.property(&unit, "ActiveState")) {
                Ok(state) if state == "inactive" => Ok(()),
                Ok(state) => Err(state),
                Err(error) => Err(format!("{error:#}")),
            }
        })?;
        let after = witnesses(cluster)?;
        ensure!(after["pinned.service"] == before["pinned.service"], "the pinned unit was touched: {:?}, before {:?}", after["pinned.service"], before["pinned.service"]);
        bystanders_are_untouched(cluster, &before, &victim)
    }

    the_store_goes_away_and_comes_back(2)
    fn story(cluster: &mut Cluster) -> Result<()> {
        some_units(cluster, 4)?;
        let before = witnesses(cluster)?;
        match cluster.lab.etcd().is_running() {
            true => {
                cluster.lab.etcd().kill()?;
                cluster.lab.etcd().start()?;
            }
            false => {
                cluster.machine("m1")?.signal("fleetd", Signal::SIGKILL)?;
            }
        }
        cluster.wait_for_members(2)?;
        cluster.start("last.service", SLEEP)?;
        let mut after = witnesses(cluster)?;
        after.remove("last.service");
        ensure!(after == before, "after: {after:?}, before: {before:?}");
        Ok(())
    }

    stopping_and_restarting_fleet_takes_a_moment(2)
    fn story(cluster: &mut Cluster) -> Result<()> {
        some_units(cluster, 6)?;
        for verb in ["restart", "stop", "start", "restart", "stop"] {
            let machine = cluster.machine("m1")?;
            let asked = now()?;
            machine.read(["systemctl", verb, "fleet.service"])?;
            let took = now()? - asked;
            ensure!(took <= 2.0 * SECOND, "systemctl {verb} fleet took {took:.2} s");
        }
        Ok(())
    }

    a_slow_unit_holds_up_no_other_when_its_machine_leaves(2)
    fn story(cluster: &mut Cluster) -> Result<()> {
        let id = cluster.machine("m2")?.id().to_owned();
        let slow = format!("[Service]\nExecStart=/bin/sleep infinity\nExecStop=/bin/sleep 10\n[X-Fleet]\nMachineID={id}\n");
        cluster.start("slow.service", &slow)?;
        let (unit, leaver) = some_units(cluster, 4)?;
        ensure!(leaver == "m2");

        let asked = now()?;
        cluster.machine("m2")?.read(["systemctl", "--no-block", "stop", "fleet.service"])?;
        let home = wait_elsewhere(cluster, &unit, "m2")?;
        let took = active_since(cluster, &home, &unit)? - asked;
        ensure!(took <= SECOND, "{unit} was handed over only after {took:.2} s");
        ensure!(cluster.machine("m2")?.property("slow.service", "ActiveState")? == "deactivating");
        cluster.start("new.service", SLEEP)?;
        ensure!(cluster.wait_active("new.service")? == "m1", "a machine that leaves got a new unit");
        Ok(())
    }
}

/// With the records out of reach a command says so and ends.
#[test]
fn commands_say_that_the_store_is_away() -> Result<()> {
    let lab = integration::Lab::unique("store-away")?;
    let cluster = Cluster::boot(lab, 2, integration::Backing::Etcd, &crate::told::fleet()?)?;
    cluster.start("here.service", SLEEP)?;
    cluster.lab.etcd().freeze()?;
    for line in [
        "start here.service",
        "start other.service",
        "list-units",
        "stop here.service",
    ] {
        cluster.write_unit("other.service", SLEEP)?;
        let asked = now()?;
        let output = cluster.try_fleetctl(line)?;
        let took = now()? - asked;
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(
            !output.status.success() && took < 5.0,
            "fleetctl {line} took {took:.1} s: {complaint}"
        );
        ensure!(
            complaint.contains("unable to communicate with etcd"),
            "fleetctl {line}: {complaint}"
        );
    }
    cluster.lab.etcd().thaw()?;
    cluster.wait_for_members(2)
}
