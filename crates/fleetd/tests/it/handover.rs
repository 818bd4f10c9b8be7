//! Units that are up elsewhere before they are stopped, in a cluster of whole daemons.

use std::time::Duration;

use agent::systemd::{Memory, Systemd as _};
use fleetd::daemon::Farewell;
use tokio::time::{Instant, sleep};
use unitfile::UnitName;

use crate::cluster::World;

/// Takes a while to come up.
const SLOW: &str = "ExecStartPre=/bin/sleep 3";

async fn is_active(systemd: &Memory, unit: &str) -> bool {
    let unit = [UnitName::parse(unit).unwrap()];
    let states = systemd.states(&unit).await.unwrap();
    states[&unit[0]].active == "active"
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_leaves_stops_a_unit_when_it_is_up_elsewhere() {
    let mut world = World::new().await;
    let mut a = world.host("aaa").await;
    a.launch_service("web.service", SLOW, "MoveOrder=start-first")
        .await;
    a.launch_service("usual.service", SLOW, "").await;
    world.until_active("web.service", &a.id).await;
    world.until_active("usual.service", &a.id).await;
    let b = world.host("bbb").await;
    let (old, begun) = (a.systemd.clone(), Instant::now());
    let leaving = async {
        a.stop(Farewell::Leave).await;
        begun.elapsed()
    };
    let watching = async {
        sleep(Duration::from_secs(1)).await;
        assert!(!is_active(&old, "usual.service").await);
        while begun.elapsed() < Duration::from_secs(10) {
            let up = [&old, &b.systemd].map(|systemd| is_active(systemd, "web.service"));
            let [here, there] = up;
            assert!(here.await || there.await, "after {:?}", begun.elapsed());
            sleep(Duration::from_millis(50)).await;
        }
    };
    let (took, ()) = tokio::join!(leaving, watching);
    assert!(!a.runs("web.service") && b.runs("web.service"));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_last_machine_does_not_wait_for_others_for_long() {
    let mut world = World::new().await;
    let mut a = world.host("aaa").await;
    a.launch("web.service", "MoveOrder=start-first").await;
    world.until_active("web.service", &a.id).await;
    let begun = Instant::now();
    a.stop(Farewell::Leave).await;
    assert!(!a.runs("web.service"));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_has_failed_holds_nobody_up() {
    let mut world = World::new().await;
    let mut a = world.host("aaa").await;
    let fails = "ExecStart=/bin/false";
    a.launch_service("web.service", fails, "MoveOrder=start-first")
        .await;
    a.launch("other.service", "").await;
    world.until_active("other.service", &a.id).await;
    let _b = world.host("bbb").await;
    let begun = Instant::now();
    a.stop(Farewell::Leave).await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}
