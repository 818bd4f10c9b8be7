//! An operator's orders about machines: cordon, drain, and taking them back.

use std::time::Duration;

use anyhow::{Result, ensure};
use integration::{Cluster, wait_for};

use crate::told::{SLEEP, TTL, stories, witnesses};

stories! {
    a_machine_is_drained_and_comes_back(3)
    fn story(cluster: &mut Cluster) -> Result<()> {
        cluster.write_unit("web@.service", SLEEP)?;
        cluster.write_unit("tail.service", &format!("{SLEEP}[X-Fleet]\nMachineOf=web@1.service\n"))?;
        cluster.write_unit("all.service", &format!("{SLEEP}[X-Fleet]\nGlobal=true\n"))?;
        cluster.write_unit("pinned.service", &format!("{SLEEP}[X-Fleet]\nMachineMetadata=name=m2\n"))?;
        cluster.fleetctl("start $(seq -f web@%g 1 9) tail all pinned")?;
        cluster.wait_where("all.service", "is everywhere", |rows| {
            (rows.len() == 3 && rows.iter().all(|row| row.active == "active")).then_some(())
        })?;
        let before = witnesses(cluster)?;
        let m2 = cluster.machine("m2")?.id().to_owned();

        let output = cluster.try_fleetctl(&format!("drain {} --max 2 --reason 'new disk'", &m2[..8]))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(complaint.contains("Unit pinned.service stays: no machine fits: 2 machines lack metadata name=m2"), "{complaint}");
        ensure!(output.status.code() == Some(1), "something stays: {said}");
        let left: Vec<String> = cluster.units()?.into_iter().filter(|row| row.machine == "m2").map(|row| row.unit).collect();
        ensure!(left == ["all.service", "pinned.service"], "{left:?}");
        let moved = before.iter().filter(|(unit, (machine, _))| machine == "m2" && unit.starts_with("web"));
        ensure!(said.matches(" launched on ").count() >= moved.count(), "{said}");
        for row in cluster.units()? {
            ensure!(row.active == "active", "{row:?}");
        }
        // who was elsewhere was not touched
        let after = witnesses(cluster)?;
        for (unit, (machine, pid)) in &before {
            let stays = machine != "m2" && !unit.starts_with("all") && !unit.starts_with("tail");
            ensure!(!stays || after[unit] == (machine.clone(), pid.clone()), "{unit} was touched");
        }

        cluster.fleetctl(&format!("drain {m2} --no-block"))?;
        let state = cluster.fleetctl("list-machines --fields=ip,state --no-legend")?;
        ensure!(state.contains("10.99.0.12\tdraining: new disk") && state.contains("10.99.0.11\t-"), "{state}");
        cluster.start("new.service", &format!("{SLEEP}[X-Fleet]\nMachineMetadata=name=m2\nMachineMetadata=name=m1\n"))?;
        ensure!(cluster.wait_active("new.service")? == "m1", "nothing new goes there");
        let why = cluster.fleetctl("why new")?;
        ensure!(why.contains("the machine is cordoned"), "{why}");
        cluster.fleetctl(&format!("uncordon {m2}"))?;
        cluster.fleetctl("destroy new.service")?;
        cluster.start("next.service", &format!("{SLEEP}[X-Fleet]\nMachineMetadata=name=m2\n"))?;
        ensure!(cluster.wait_active("next.service")? == "m2");
        cluster.fleetctl(&format!("drain {m2} --no-block"))?;
        cluster.fleetctl(&format!("uncordon {m2}"))?;
        let told = cluster.fleetctl(&format!("events {m2} --lines all"))?;
        for order in ["drains", "uncordoned"] {
            ensure!(told.contains(order), "{order}: {told}");
        }
        ensure!(told.contains("2 at a time: new disk") && told.contains("one by one: new disk"), "{told}");
        ensure!(!told.contains("drained"), "two units have stayed: {told}");

        cluster.fleetctl("destroy pinned next")?;
        cluster.fleetctl(&format!("drain {m2}"))?;
        wait_for("the drain's end to be told", TTL, || match cluster.fleetctl(&format!("events {m2} --kind drained")) {
            Ok(told) if told.contains("drained") => Ok(()),
            Ok(told) => Err(told),
            Err(error) => Err(format!("{error:#}")),
        })?;

        // two at once: no unit goes from one to the other
        cluster.fleetctl(&format!("uncordon {m2}"))?;
        let m1 = cluster.machine("m1")?.id().to_owned();
        cluster.fleetctl(&format!("drain {m1} {m2} --max 5"))?;
        let stray = cluster.units()?.into_iter().find(|row| row.machine != "m3" && row.unit != "all.service");
        ensure!(stray.is_none(), "{stray:?}");
        Ok(())
    }

    a_cluster_is_evened_out(2)
    fn story(cluster: &mut Cluster) -> Result<()> {
        let m2 = cluster.machine("m2")?.id().to_owned();
        cluster.fleetctl(&format!("cordon {m2}"))?;
        cluster.write_unit("job@.service", SLEEP)?;
        cluster.write_unit("db.service", &format!("{SLEEP}[X-Fleet]\nSticky=yes\n"))?;
        cluster.fleetctl("start $(seq -f job@%g 1 5) db")?;
        cluster.fleetctl(&format!("uncordon {m2}"))?;
        let before = witnesses(cluster)?;

        let shown = cluster.fleetctl("rebalance")?;
        ensure!(shown.contains("Machines carry 0 to 6, and 3 to 3 then.") && shown.contains("Nothing has been moved"), "{shown}");
        ensure!(witnesses(cluster)? == before, "to ask moves nothing");
        let applied = cluster.fleetctl("rebalance --max-moves 1 --apply")?;
        ensure!(applied.matches(" launched on ").count() == 1, "{applied}");
        cluster.fleetctl("rebalance --apply")?;
        let after = witnesses(cluster)?;
        let moved: Vec<&String> = after.keys().filter(|unit| after[*unit].0 == "m2").collect();
        ensure!(moved.len() == 3 && after["db.service"] == before["db.service"], "{after:?}");
        for (unit, witness) in before.iter().filter(|(unit, _)| !moved.contains(unit)) {
            ensure!(after[unit] == *witness, "{unit} was touched");
        }
        ensure!(cluster.fleetctl("rebalance")?.contains("Nothing to move"));

        // a sticky unit moves if it is told to
        cluster.fleetctl(&format!("move db {}", &m2[..8]))?;
        ensure!(cluster.wait_active("db.service")? == "m2");
        cluster.start("pinned.service", &format!("{SLEEP}[X-Fleet]\nMachineMetadata=name=m1\n"))?;
        let refused = cluster.try_fleetctl(&format!("move pinned {m2}"))?;
        let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure!(complaint.contains("the machine may not take it: lacks metadata name=m1"), "{complaint}");
        ensure!(!cluster.try_fleetctl(&format!("move nobody {m2}"))?.status.success());
        Ok(())
    }

    units_that_stop_slowly_are_moved_and_drained_one_by_one(2)
    fn story(cluster: &mut Cluster) -> Result<()> {
        let ids = ["m1", "m2"].map(|name| cluster.machine(name).map(|machine| machine.id().to_owned()));
        let [m1, m2] = ids;
        let (m1, m2) = (m1?, m2?);
        cluster.write_unit("slow@.service", &format!("{SLEEP}ExecStop=/bin/sleep 4\n"))?;
        cluster.fleetctl(&format!("cordon {m1}"))?;
        cluster.fleetctl("start slow@1 slow@2 slow@3")?;
        cluster.fleetctl(&format!("uncordon {m1}"))?;

        let moved = cluster.try_fleetctl(&format!("move slow@3 {m1}"))?;
        let complaint = String::from_utf8_lossy(&moved.stderr).into_owned();
        ensure!(moved.status.success(), "{complaint}");
        ensure!(complaint.contains("Waiting for slow@3.service") && complaint.contains("has not stopped it yet"), "{complaint}");

        cluster.fleetctl(&format!("drain {m2}"))?;
        let up = |unit| -> Result<u64> { Ok(cluster.machine("m1")?.property(unit, "ActiveEnterTimestampMonotonic")?.parse()?) };
        let apart = up("slow@1.service")?.abs_diff(up("slow@2.service")?);
        ensure!(apart > 4_000_000, "they came up {apart} us apart");
        wait_for("the drain's end to be told", TTL, || match cluster.fleetctl(&format!("events {m2} --lines 1")) {
            Ok(told) if told.contains("drained") => Ok(()),
            Ok(told) => Err(told),
            Err(error) => Err(format!("{error:#}")),
        })
    }

    the_drain_goes_on_without_the_command_and_under_another_leader(3)
    fn story(cluster: &mut Cluster) -> Result<()> {
        cluster.write_unit("slow@.service", "[Service]\nExecStartPre=/bin/sleep 0.3\nExecStart=/bin/sleep infinity\n")?;
        cluster.fleetctl("start $(seq -f slow@%g 1 9)")?;
        let m3 = cluster.machine("m3")?.id().to_owned();
        cluster.fleetctl(&format!("drain {m3} --no-block"))?;
        cluster.machine("m2")?.read(["systemctl", "restart", "fleet.service"])?;
        cluster.machine("m1")?.read(["systemctl", "restart", "fleet.service"])?;
        wait_for("m3 to be empty", Duration::from_secs(30), || {
            let rows = cluster.units().map_err(|error| format!("{error:#}"))?;
            let done = rows.len() == 9 && rows.iter().all(|row| row.machine != "m3" && row.active == "active");
            if done { Ok(()) } else { Err(format!("{rows:?}")) }
        })
    }
}
