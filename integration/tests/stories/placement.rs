//! Where units go: global units, templates whose instances keep apart, units that share a machine.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use integration::{Cluster, Row};

use crate::told::{SLEEP, stories};

/// The machines of a unit, once it is active on `count` of them.
fn homes(rows: &[Row], count: usize) -> Option<BTreeSet<String>> {
    let active: BTreeSet<String> = rows
        .iter()
        .filter(|row| row.active == "active")
        .map(|row| row.machine.clone())
        .collect();
    (active.len() == count && rows.len() == count).then_some(active)
}

stories! {
    global_units_run_on_every_machine(2)
    fn story(cluster: &mut Cluster) -> Result<()> {
        let said = cluster.start("everywhere.service", &format!("{SLEEP}[X-Fleet]\nGlobal=true\n"))?;
        ensure!(said.contains("Triggered global unit everywhere.service start"), "{said}");
        cluster.wait_where("everywhere.service", "runs on both machines", |rows| homes(rows, 2))?;

        let fleet = integration::Fleet::built()?.conf("agent_ttl=5s");
        cluster.grow(3, &fleet)?;
        cluster.wait_where("everywhere.service", "runs on the new machine too", |rows| homes(rows, 3))?;

        cluster.fleetctl("stop everywhere.service")?;
        cluster.wait_where("everywhere.service", "is stopped everywhere", |rows| {
            rows.iter().all(|row| row.active == "inactive").then_some(())
        })?;
        cluster.fleetctl("destroy everywhere.service")?;
        cluster.wait_where("everywhere.service", "is gone", |rows| rows.is_empty().then_some(()))
    }

    instances_keep_apart(2)
    fn story(cluster: &mut Cluster) -> Result<()> {
        cluster.write_unit("web@.service", &format!("{SLEEP}[X-Fleet]\nConflicts=web@*.service\n"))?;
        cluster.fleetctl("submit web@.service")?;
        cluster.fleetctl("start web@1 web@2")?;
        let (one, two) = (cluster.wait_active("web@1.service")?, cluster.wait_active("web@2.service")?);
        ensure!(one != two, "both are on {one}");

        let output = cluster.try_fleetctl("start --block-attempts=1 web@3")?;
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success() && complaint.contains("conflicts with web@"), "{complaint}");

        cluster.fleetctl("destroy web@1")?;
        ensure!(cluster.wait_active("web@3.service")? == one, "the waiting instance takes the place that is free");
        Ok(())
    }

    followers_share_a_machine(3)
    fn story(cluster: &mut Cluster) -> Result<()> {
        cluster.write_unit("leader.service", SLEEP)?;
        cluster.write_unit("follower.service", &format!("{SLEEP}[X-Fleet]\nMachineOf=leader.service\n"))?;
        cluster.fleetctl("start leader.service follower.service")?;
        let (leader, follower) = (cluster.wait_active("leader.service")?, cluster.wait_active("follower.service")?);
        ensure!(leader == follower, "{leader} and {follower}");
        Ok(())
    }
}
