//! Units of every kind: activated by a socket, a timer, a path; ending by themselves; failing.

use std::time::Duration;

use anyhow::{Result, ensure};
use integration::{Cluster, wait_for};

use crate::told::{SLEEP, stories};

const MARK: &str = "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo ran >>/root/mark'\n";

fn wait_for_mark(cluster: &Cluster, machine: &str) -> Result<()> {
    let machine = cluster.machine(machine)?;
    wait_for("the service to have run", Duration::from_secs(20), || {
        machine
            .read_file("/root/mark")
            .map(drop)
            .map_err(|error| format!("{error:#}"))
    })
}

stories! {
    a_socket_starts_its_service(2)
    fn story(cluster: &mut Cluster) -> Result<()> {
        cluster.write_unit("echo.socket", include_str!("../../../unitfiles/examples/echo.socket"))?;
        cluster.write_unit("echo.service", include_str!("../../../unitfiles/examples/echo.service"))?;
        cluster.fleetctl("load echo.service")?;
        cluster.fleetctl("start echo.socket")?;
        let home = cluster.wait_active("echo.socket")?;
        cluster.wait_where("echo.service", "is loaded beside its socket", |rows| match rows {
            [row] if row.machine == home && row.active == "inactive" => Some(()),
            _ => None,
        })?;
        let talk = "set -e; exec 3<>/dev/tcp/127.0.0.1/7007; echo hello >&3; read -t 10 answer <&3; echo \"$answer\"";
        ensure!(cluster.machine(&home)?.read(["bash", "-c", talk])? == "hello");
        ensure!(cluster.wait_active("echo.service")? == home, "the first client starts the service");

        cluster.fleetctl("destroy echo.socket echo.service")?;
        for unit in ["echo.socket", "echo.service"] {
            cluster.wait_where(unit, "is gone", |rows| rows.is_empty().then_some(()))?;
        }
        let refused = cluster.machine(&home)?.run(["bash", "-c", talk])?;
        ensure!(!refused.status.success(), "the port still answers");
        Ok(())
    }

    a_timer_starts_its_service(1)
    fn story(cluster: &mut Cluster) -> Result<()> {
        cluster.write_unit("mark.service", MARK)?;
        cluster.write_unit("mark.timer", "[Timer]\nOnActiveSec=1s\nAccuracySec=100ms\n")?;
        cluster.fleetctl("load mark.service")?;
        cluster.fleetctl("start mark.timer")?;
        ensure!(cluster.machine("m1")?.property("mark.timer", "ActiveState")? == "active");
        wait_for_mark(cluster, "m1")
    }

    a_path_starts_its_service(1)
    fn story(cluster: &mut Cluster) -> Result<()> {
        cluster.write_unit("mark.service", MARK)?;
        cluster.write_unit("mark.path", "[Path]\nPathExists=/root/go\n")?;
        cluster.fleetctl("load mark.service")?;
        cluster.fleetctl("start mark.path")?;
        ensure!(cluster.machine("m1")?.read_file("/root/mark").is_err(), "too early");
        cluster.machine("m1")?.write_file("/root/go", "")?;
        wait_for_mark(cluster, "m1")?;
        cluster.fleetctl("destroy mark.path mark.service").map(drop)
    }

    a_oneshot_is_a_success(1)
    fn story(cluster: &mut Cluster) -> Result<()> {
        let said = cluster.start("mark.service", MARK)?;
        ensure!(said.contains("Unit mark.service launched on "), "{said}");
        wait_for_mark(cluster, "m1")?;
        cluster.wait_where("mark.service", "has ended well", |rows| match rows {
            [row] if row.active == "inactive" && row.sub == "dead" => Some(()),
            _ => None,
        })
    }

    a_failing_unit_is_tried_elsewhere_once(2)
    fn story(cluster: &mut Cluster) -> Result<()> {
        cluster.write_unit("bad.service", "[Service]\nExecStart=/bin/false\n[X-Fleet]\nRescheduleAfter=2\n")?;
        cluster.try_fleetctl("start bad.service")?;
        let first = cluster.wait_where("bad.service", "has failed", |rows| match rows {
            [row] if row.active == "failed" => Some(row.machine.clone()),
            _ => None,
        })?;
        let second = cluster.wait_where("bad.service", "is elsewhere", |rows| match rows {
            [row] if row.active == "failed" && row.machine != first => Some(row.machine.clone()),
            _ => None,
        })?;
        let why = cluster.fleetctl("why bad.service")?;
        ensure!(why.contains("fits, but it kept failing there"), "{why}");
        wait_for("fleet to give it up there, too", Duration::from_secs(20), || {
            let why = cluster.fleetctl("why bad.service").map_err(|error| format!("{error:#}"))?;
            match why.contains("failed 2 times: it is not started here again (RescheduleAfter=2)") {
                true => Ok(()),
                false => Err(why),
            }
        })?;
        cluster.wait_where("bad.service", "stays", |rows| match rows {
            [row] if row.machine == second => Some(()),
            _ => None,
        })
    }

    a_failing_unit_is_told_and_holds_up_nobody(1)
    fn story(cluster: &mut Cluster) -> Result<()> {
        cluster.write_unit("bad.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n")?;
        cluster.write_unit("worse.service", "[Service]\nExecStart=relative/path\n")?;
        cluster.write_unit("good.service", SLEEP)?;
        let output = cluster.try_fleetctl("start bad.service worse.service good.service")?;
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success(), "starting units that fail is no success");
        ensure!(complaint.contains("bad.service") || complaint.contains("worse.service"), "{complaint}");
        ensure!(cluster.wait_active("good.service")? == "m1");
        cluster.wait_where("bad.service", "is shown as failed", |rows| match rows {
            [row] if row.active == "failed" => Some(()),
            _ => None,
        })?;
        cluster.fleetctl("destroy bad.service worse.service")?;
        cluster.wait_where("worse.service", "is gone", |rows| rows.is_empty().then_some(()))
    }
}
