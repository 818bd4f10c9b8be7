//! The way over: from one cluster to another, and to a folder and back.

use std::time::Duration;

use anyhow::{Result, ensure};
use integration::{Fleet, Lab, Machine, wait_for};

use crate::told::SLEEP;

/// Two machines that are a cluster each; the first one's API is on a port, as the old cluster's was.
fn two_clusters() -> Result<Lab> {
    let mut lab = Lab::unique("moving")?;
    let fleet = Fleet::built()?.conf("embedded_store=true");
    lab.boot_with(2, |machine| {
        machine.write_file(
            "/etc/systemd/system/fleet.socket.d/tcp.conf",
            "[Socket]\nListenStream=49153\n",
        )?;
        machine.install(&fleet)
    })?;
    for machine in lab.machines() {
        wait_for("each to be a cluster", Duration::from_secs(20), || {
            let table = machine.read(["fleetctl", "list-machines", "--no-legend"]);
            let table = table.map_err(|error| format!("{error:#}"))?;
            if table.lines().count() == 1 {
                Ok(())
            } else {
                Err(table)
            }
        })?;
    }
    Ok(lab)
}

fn on(machine: &Machine, line: &str) -> Result<String> {
    machine.read([
        "bash",
        "-c",
        &format!("mkdir -p /root/here && cd /root/here && {line}"),
    ])
}

#[test]
fn a_cluster_moves_unit_by_unit_and_into_a_folder_and_back() -> Result<()> {
    let lab = two_clusters()?;
    let (old, new) = (lab.machine("m1")?, lab.machine("m2")?);
    old.write_file("/root/here/web@.service", SLEEP)?;
    old.write_file(
        "/root/here/all.service",
        format!("{SLEEP}[X-Fleet]\nGlobal=true\n"),
    )?;
    old.write_file("/root/here/idle.service", SLEEP)?;
    on(
        old,
        "fleetctl submit web@.service idle.service && fleetctl start web@{1..3} all && fleetctl load idle",
    )?;

    let import = "fleetctl import --from http://10.99.0.11:49153";
    let plan = on(new, &format!("{import} --dry-run 2>&1"))?;
    ensure!(
        plan.ends_with("6 of 6 units would be imported, 0 left as they are, 0 cannot be taken."),
        "{plan}"
    );
    ensure!(
        on(new, "fleetctl list-unit-files --no-legend")?.is_empty(),
        "a dry run does nothing"
    );
    on(new, &format!("{import} --state inactive"))?;
    ensure!(
        on(new, "fleetctl list-units --no-legend")?.is_empty(),
        "nothing is started"
    );

    let old_pid = old.main_pid("web@2.service")?;
    on(
        new,
        "fleetctl --endpoint http://10.99.0.11:49153 stop web@1 && fleetctl start web@1",
    )?;
    ensure!(new.property("web@1.service", "ActiveState")? == "active");
    ensure!(old.property("web@1.service", "ActiveState")? != "active");
    ensure!(
        old.main_pid("web@2.service")? == old_pid,
        "the others are not touched"
    );
    on(new, &format!("{import} --replace web@2 web@3 all idle"))?;
    let listed = "fleetctl list-unit-files --no-legend --full --fields=unit,hash,dstate";
    on(new, "fleetctl start web@2 web@3")?;

    let before = on(new, listed)?;
    ensure!(
        before
            .lines()
            .filter(|line| line.ends_with("launched"))
            .count()
            == 4,
        "{before}"
    );
    on(
        new,
        "fleetctl export saved && fleetctl destroy $(fleetctl list-unit-files --fields=unit --no-legend)",
    )?;
    ensure!(on(new, listed)?.is_empty());
    on(new, "fleetctl import saved")?;
    ensure!(on(new, listed)? == before, "what comes back is what went");
    let again = on(new, "fleetctl import saved 2>&1")?;
    ensure!(
        again.ends_with("0 of 6 units were imported, 6 left as they are, 0 cannot be taken."),
        "{again}"
    );
    on(new, "fleetctl start web@1 web@2 web@3")?;
    Ok(())
}
