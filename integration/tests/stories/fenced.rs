//! Units of which there is at most one copy, ever. All machines share the host's monotonic clock: it is the witness.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use integration::Cluster;
use nix::sys::signal::Signal;

use crate::told::{TTL, stories, wait_elsewhere, written};

/// It writes down when it is gone, by the host's monotonic clock.
const DB: &str = "[Service]\nExecStart=/bin/sleep infinity\nExecStopPost=/bin/cp /proc/uptime /root/down\n\
                  TimeoutStopSec=1\n[X-Fleet]\nFence=yes\n";

/// It stays, and has systemd wait for it.
const STUBBORN: &str = "trap '' TERM\nsystemd-notify --ready\n\
                        while :; do systemd-notify EXTEND_TIMEOUT_USEC=60000000; sleep 0.5; done\n";

/// When the unit's process began on a machine, in seconds of the host's monotonic clock.
fn begun(cluster: &Cluster, machine: &str) -> Result<f64> {
    let machine = cluster.machine(machine)?;
    let begun = machine.property("db.service", "ExecMainStartTimestampMonotonic")?;
    Ok(begun.parse::<f64>().with_context(|| format!("{begun:?}"))? / 1e6)
}

fn token(cluster: &Cluster, machine: &str) -> Result<u64> {
    let pid = cluster.machine(machine)?.main_pid("db.service")?;
    let environment = cluster
        .machine(machine)?
        .read(["cat", &format!("/proc/{pid}/environ")])?;
    let mut variables = environment.split('\0');
    let token = variables.find_map(|variable| variable.strip_prefix("FLEET_FENCING_TOKEN="));
    Ok(token.context("no token")?.parse()?)
}

/// Waits until the unit runs on another machine than `victim`, and checks that it was down there before.
fn moves_without_overlap(cluster: &Cluster, victim: &str) -> Result<String> {
    let home = wait_elsewhere(cluster, "db.service", victim)?;
    let down = written(cluster, victim, "/root/down")?;
    let begun = begun(cluster, &home)?;
    ensure!(
        down < begun,
        "it was down on {victim} at {down} s, and began on {home} at {begun} s"
    );
    Ok(home)
}

stories! {
    a_fenced_unit_never_runs_twice(3)
    fn story(cluster: &mut Cluster) -> Result<()> {
        // the store's machine stays out of it
        let first = cluster.machine("m1")?.id().to_owned();
        cluster.fleetctl(&format!("cordon {first}"))?;
        cluster.start("db.service", DB)?;
        cluster.start("other.service", "[Service]\nExecStart=/bin/sleep infinity\n")?;
        let victim = cluster.wait_active("db.service")?;
        let before = token(cluster, &victim)?;

        // fleetd is restarted, and killed: nobody notices
        let pid = cluster.machine(&victim)?.main_pid("db.service")?;
        cluster.machine(&victim)?.read(["systemctl", "restart", "fleet.service"])?;
        cluster.wait_for_members(3)?;
        cluster.machine(&victim)?.signal("fleetd", Signal::SIGKILL)?;
        cluster.wait_for_members(3)?;
        std::thread::sleep(TTL);
        ensure!(cluster.machine(&victim)?.main_pid("db.service")? == pid, "a restart of fleetd touched it");

        // frozen
        cluster.machine(&victim)?.freeze("fleetd")?;
        let home = moves_without_overlap(cluster, &victim)?;
        let after = token(cluster, &home)?;
        ensure!(after > before, "the token was {before}, is {after}");
        cluster.machine(&victim)?.thaw("fleetd")?;
        cluster.wait_for_members(3)?;
        let by_hand = cluster.machine(&victim)?.run(["systemctl", "start", "db.service"])?;
        ensure!(!by_hand.status.success(), "it could be started by hand on {victim}");

        // cut off
        cluster.machine(&home)?.cut()?;
        let third = moves_without_overlap(cluster, &home)?;
        cluster.machine(&home)?.heal()?;
        cluster.wait_for_members(3)?;

        // moved by an operator
        let to = cluster.machine(&home)?.id().to_owned();
        cluster.fleetctl(&format!("move db.service {to}"))?;
        ensure!(moves_without_overlap(cluster, &third)? == home);
        Ok(())
    }

    /// Its file says how long the stop may take, and neither the unit itself nor its machine has a say in that.
    a_fenced_unit_that_asks_for_more_time_to_stop_does_not_get_it(3)
    fn story(cluster: &mut Cluster) -> Result<()> {
        let first = cluster.machine("m1")?.id().to_owned();
        cluster.fleetctl(&format!("cordon {first}"))?;
        for machine in ["m2", "m3"] {
            let machine = cluster.machine(machine)?;
            machine.write_file("/etc/systemd/system/db.service.d/zoo.conf", "[Service]\nTimeoutStopSec=infinity\nSendSIGKILL=no\n")?;
            machine.write_file("/root/db", STUBBORN)?;
            machine.read(["systemctl", "daemon-reload"])?;
        }
        cluster.start("db.service", "[Service]\nType=notify\nNotifyAccess=all\nExecStart=/bin/sh /root/db\n\
                                     ExecStopPost=-/bin/sleep 100\nExecStopPost=/bin/cp /proc/uptime /root/down\n\
                                     TimeoutStopSec=2\n[X-Fleet]\nFence=yes\n")?;
        let victim = cluster.wait_active("db.service")?;
        cluster.machine(&victim)?.cut()?;
        moves_without_overlap(cluster, &victim)?;
        cluster.machine(&victim)?.heal()?;
        cluster.wait_for_members(3)?;
        let said = cluster.machine(&victim)?.journal("fleet-lease-end@*")?;
        ensure!(said.contains("db.service takes longer to stop than others wait for it"), "{said}");

        // nor does it when the machine is back in the meantime
        let victim = cluster.wait_active("db.service")?;
        cluster.machine(&victim)?.cut()?;
        cluster.wait_for_members(2)?;
        ensure!(cluster.machine(&victim)?.property("db.service", "ActiveState")? == "deactivating");
        cluster.machine(&victim)?.heal()?;
        moves_without_overlap(cluster, &victim).map(drop)
    }

    /// Its stop might take three minutes; but what ran before the boot runs no more.
    a_fenced_unit_does_not_wait_for_a_machine_that_has_booted_anew(3)
    fn story(cluster: &mut Cluster) -> Result<()> {
        let first = cluster.machine("m1")?.id().to_owned();
        cluster.fleetctl(&format!("cordon {first}"))?;
        cluster.start("db.service", "[Service]\nExecStart=/bin/sleep infinity\n[X-Fleet]\nFence=yes\n")?;
        let victim = cluster.wait_active("db.service")?;
        let before = token(cluster, &victim)?;
        cluster.machine(&victim)?.kill()?;
        cluster.wait_for_members(2)?;
        let why = cluster.fleetctl("why db.service")?;
        ensure!(why.contains("may be running it still"), "{why}");
        cluster.machine(&victim)?.boot()?;
        let home = cluster.wait_active("db.service")?;
        let after = token(cluster, &home)?;
        ensure!(home != victim && after > before);

        // before its lease has ended
        cluster.machine(&home)?.kill()?;
        cluster.machine(&home)?.boot()?;
        integration::wait_for("it to run again", TTL * 3, || {
            let runs = cluster.wait_active("db.service").and_then(|home| token(cluster, &home));
            match runs {
                Ok(token) if token > after => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
    }

    a_fenced_unit_that_is_slow_to_stop_holds_up_no_other(2)
    fn story(cluster: &mut Cluster) -> Result<()> {
        let only = "TimeoutStopSec=60\n[X-Fleet]\nFence=yes\nConstraint=name!=m1\n";
        cluster.start("slow.service", &format!("[Service]\nExecStart=/bin/sh -c 'trap \"\" TERM; while :; do sleep 1; done'\n{only}"))?;
        let home = cluster.wait_active("slow.service")?;
        cluster.fleetctl("stop --no-block slow")?;
        cluster.wait_where("slow.service", "is being stopped", |rows| {
            matches!(rows, [row] if row.active == "deactivating").then_some(())
        })?;
        cluster.start("db.service", &format!("[Service]\nExecStart=/bin/sleep infinity\n{only}"))?;
        ensure!(cluster.wait_active("db.service")? == home);
        ensure!(cluster.machine(&home)?.property("slow.service", "ActiveState")? == "deactivating", "it was waited for");
        Ok(())
    }

    a_fenced_unit_stops_with_the_control_plane_and_comes_back_with_it(2)
    fn story(cluster: &mut Cluster) -> Result<()> {
        let first = cluster.machine("m1")?.id().to_owned();
        cluster.fleetctl(&format!("cordon {first}"))?;
        cluster.start("db.service", DB)?;
        cluster.start("other.service", "[Service]\nExecStart=/bin/sleep infinity\n")?;
        let home = cluster.wait_active("db.service")?;
        let pid = cluster.machine(&home)?.main_pid("other.service")?;
        cluster.machine(&home)?.cut()?;
        integration::wait_for("the fenced unit to be stopped", TTL + Duration::from_secs(5), || {
            match cluster.machine(&home).and_then(|machine| machine.property("db.service", "ActiveState")) {
                Ok(state) if state == "inactive" => Ok(()),
                Ok(state) => Err(state),
                Err(error) => Err(format!("{error:#}")),
            }
        })?;
        cluster.machine(&home)?.heal()?;
        ensure!(cluster.wait_active("db.service")? == home);
        ensure!(cluster.machine(&home)?.main_pid("other.service")? == pid, "a bystander was touched");
        let told = integration::wait_for("its second start to be told", TTL + Duration::from_secs(5), || {
            match cluster.fleetctl("events db.service") {
                Ok(told) if told.matches("active (running)").count() == 2 => Ok(told),
                Ok(told) => Err(told),
                Err(error) => Err(format!("{error:#}")),
            }
        })?;
        ensure!(told.contains("the machine's lease was not renewed in time"), "{told}");
        ensure!(!told.contains("stopped"), "nobody has ordered that: {told}");
        Ok(())
    }
}
