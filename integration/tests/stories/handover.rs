//! Units that are up elsewhere before they are stopped. All machines share the host's monotonic clock: it is the witness.

use anyhow::{Result, ensure};
use integration::Cluster;

use crate::told::{active_since, stories, wait_elsewhere, written};

/// It takes a second to be active, fails where something is broken, and writes down when it begins to stop.
const WEB: &str = "[Service]\nExecStartPre=/bin/sleep 1\nExecStartPre=/bin/test ! -e /root/broken\nExecStart=/bin/sleep infinity\n\
                   ExecStop=/bin/cp /proc/uptime /root/stopping\n[X-Fleet]\nMoveOrder=start-first\n";

/// Waits until the unit runs on another machine than `old` alone, and checks that it was up there before it was stopped; where it is.
fn is_up_first(cluster: &Cluster, old: &str) -> Result<String> {
    let home = wait_elsewhere(cluster, "web.service", old)?;
    let up = active_since(cluster, &home, "web.service")?;
    let stopping = written(cluster, old, "/root/stopping")?;
    ensure!(
        up < stopping,
        "it was stopped on {old} at {stopping} s, and was up on {home} at {up} s"
    );
    Ok(home)
}

stories! {
    a_unit_is_up_elsewhere_before_it_is_stopped(3)
    fn story(cluster: &mut Cluster) -> Result<()> {
        // the store's machine stays out of it
        let first = cluster.machine("m1")?.id().to_owned();
        cluster.fleetctl(&format!("cordon {first}"))?;
        cluster.start("web.service", WEB)?;
        let home = cluster.wait_active("web.service")?;

        let id = cluster.machine(&home)?.id().to_owned();
        cluster.fleetctl(&format!("drain {id}"))?;
        let next = is_up_first(cluster, &home)?;
        cluster.fleetctl(&format!("uncordon {id}"))?;

        cluster.machine(&next)?.read(["systemctl", "stop", "fleet.service"])?;
        ensure!(is_up_first(cluster, &next)? == home);
        cluster.machine(&next)?.read(["systemctl", "start", "fleet.service", "fleet.socket"])?;
        cluster.wait_for_members(3)?;

        cluster.machine(&home)?.read(["systemctl", "restart", "fleet.service"])?;
        cluster.wait_for_members(3)?;
        ensure!(cluster.wait_active("web.service")? == home, "a restart of fleetd moved it");

        // one that fails there goes on here, until it is well there
        let pid = cluster.machine(&home)?.main_pid("web.service")?;
        let broken = cluster.machine(&next)?;
        broken.write_file("/root/broken", "")?;
        let moved = cluster.try_fleetctl(&format!("move web {}", broken.id()))?;
        let said = String::from_utf8_lossy(&moved.stderr).into_owned();
        ensure!(!moved.status.success() && said.contains("it still runs"), "{said}");
        let why = cluster.fleetctl("why web")?;
        ensure!(why.contains("goes on until this one is up"), "{why}");
        ensure!(cluster.machine(&home)?.main_pid("web.service")? == pid);
        broken.read(["rm", "/root/broken", "/root/stopping"])?;
        broken.read(["systemctl", "start", "web.service"])?;
        ensure!(is_up_first(cluster, &home)? == next);
        Ok(())
    }
}
