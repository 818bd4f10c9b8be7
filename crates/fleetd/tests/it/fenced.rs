//! Fenced units in a cluster of whole daemons.

use std::time::Duration;

use fleetd::daemon::Farewell;
use tokio::time::Instant;

use crate::cluster::{TTL, World};

#[tokio::test(start_paused = true)]
async fn a_fenced_unit_that_a_leaving_machine_cannot_stop_waits_for_its_end() {
    let mut world = World::new().await;
    let mut a = world.host("aaa").await;
    a.launch_service("db.service", "TimeoutStopSec=1", "Fence=yes")
        .await;
    world.until_active("db.service", &a.id).await;
    let b = world.host("bbb").await;
    a.systemd.set_away(true);
    a.stop(Farewell::Leave).await;
    let left = Instant::now();
    while !b.runs("db.service") {
        assert!(left.elapsed() < TTL * 2, "it is never started again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!a.runs("db.service"), "after {:?}", left.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_fenced_unit_does_not_wait_for_its_neighbours_when_its_machine_leaves() {
    let mut world = World::new().await;
    let mut a = world.host("aaa").await;
    a.launch_service("db.service", "TimeoutStopSec=1", "Fence=yes")
        .await;
    a.launch_service("slow.service", "ExecStop=/bin/sleep 60", "")
        .await;
    world.until_active("db.service", &a.id).await;
    world.until_active("slow.service", &a.id).await;
    let b = world.host("bbb").await;
    let begun = Instant::now();
    let taken = async {
        while !b.runs("db.service") {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        begun.elapsed()
    };
    let (taken, ()) = tokio::join!(taken, a.stop(Farewell::Leave));
    assert!(taken < Duration::from_secs(5), "{taken:?}");
    assert!(begun.elapsed() > Duration::from_secs(50));
}
