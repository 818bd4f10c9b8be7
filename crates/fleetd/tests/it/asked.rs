//! What is answered about machines that are lost, or might be, in a cluster of whole daemons.

use fleet::v2::{Claimed, SupposedHold, WhatThen, Why};
use fleetd::daemon::Farewell;
use tokio::time::{Duration, sleep};

use crate::cluster::{Host, World};
use crate::http;

async fn what_if(host: &Host, question: &str) -> WhatThen {
    let line = "POST /fleet/v2/what-if";
    let answer = http::send(&host.socket(), line, &[], question.as_bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_str(&answer.body).unwrap()
}

async fn claim(host: &Host, unit: &str) -> Option<Claimed> {
    let answer = host.get(&format!("/fleet/v2/units/{unit}/why")).await;
    let why: Why = serde_json::from_str(&answer.body).unwrap();
    why.claim
}

fn hold(unit: &str, seconds: Option<u64>, reason: &str) -> SupposedHold {
    SupposedHold {
        unit: unit.to_owned(),
        machine_id: "aaa".to_owned(),
        seconds,
        reason: reason.to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn what_if_a_machine_is_lost_tells_who_would_wait_for_it() {
    let mut world = World::new().await;
    let mut a = world.host("aaa").await;
    a.launch("late.service", "MoveDelaySec=5min").await;
    a.launch("sticky.service", "Sticky=yes").await;
    a.launch("usual.service", "").await;
    a.launch("all.service", "Global=true\nSticky=yes").await;
    for unit in ["all", "late", "sticky", "usual"] {
        let unit = format!("{unit}.service");
        world.until_active(&unit, &a.id).await;
    }
    let b = world.host("bbb").await;
    let c = world.host("ccc").await;
    let lost = r#"{"lose":["aaa"]}"#;
    let then = what_if(&b, lost).await;
    let moved = then.moves.iter().filter(|row| !row.to.is_empty());
    assert_eq!(moved.count(), 3, "{:?}", then.moves);
    let holds = [
        hold("late.service", Some(300), "MoveDelaySec="),
        hold("sticky.service", None, "Sticky="),
    ];
    assert_eq!(then.holds, holds);

    // two of three at once: it is the network
    let then = what_if(&b, r#"{"lose":["aaa","bbb"]}"#).await;
    let brake = "too many machines are lost at once";
    let units = ["late.service", "sticky.service", "usual.service"];
    assert_eq!(then.holds, units.map(|unit| hold(unit, None, brake)));

    a.stop(Farewell::Leave).await;
    world.until_active("usual.service", &b.id).await;
    let then = what_if(&c, lost).await;
    let moved = then.moves.iter().filter(|row| !row.to.is_empty());
    let moved: Vec<&str> = moved.map(|row| row.unit.as_str()).collect();
    assert_eq!(moved, ["late.service", "sticky.service"]);
    assert_eq!(then.holds, []);
    let line = "POST /fleet/v2/what-if";
    for (question, complaint) in [
        (
            r#"{"lose":["ddd"]}"#,
            "machine ddd is neither there nor away",
        ),
        (r#"{"drain":["aaa"]}"#, "machine aaa does not exist"),
    ] {
        let answer = http::send(&c.socket(), line, &[], question.as_bytes()).await;
        assert!(answer.body.contains(complaint), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_may_be_running_a_fenced_unit_is_told() {
    let mut world = World::new().await;
    let mut a = world.host("aaa").await;
    a.launch_service("db.service", "TimeoutStopSec=30", "Fence=yes")
        .await;
    world.until_active("db.service", &a.id).await;
    let b = world.host("bbb").await;
    assert_eq!(claim(&b, "db.service").await, None);
    a.systemd.set_away(true);
    a.stop(Farewell::Leave).await;
    sleep(Duration::from_secs(40)).await;
    let claim = claim(&b, "db.service").await.unwrap();
    assert_eq!((claim.machine_id.as_str(), claim.live), ("aaa", false));
    assert!((1..=63).contains(&claim.seconds), "{claim:?}");
}
