//! Units that go on here until they are up elsewhere.

use std::time::Duration;

use fleet::DesiredState;
use tokio::time::{Instant, sleep};

use crate::world::{SLEEPS, World, unit};

fn smooth() -> String {
    format!("{SLEEPS}[X-Fleet]\nMoveOrder=start-first\n")
}

fn runs(on: &World) -> bool {
    on.systemd.processes().contains_key(&unit("web.service"))
}

/// A machine that runs the unit, which has been moved to another one since, where it is not up yet.
async fn moved(text: &str) -> (World, registry::Membership) {
    let mut on = World::at_work().await;
    on.launch(&[("web.service", text)]).await;
    on.until_running("web.service").await;
    let other = on.moved_elsewhere("web.service").await;
    (on, other)
}

#[tokio::test(start_paused = true)]
async fn a_unit_goes_on_until_it_is_up_elsewhere() {
    let (mut on, other) = moved(&smooth()).await;
    sleep(Duration::from_secs(20)).await;
    assert!(runs(&on));
    on.says(&other, "web.service", "activating").await;
    sleep(Duration::from_secs(20)).await;
    assert!(runs(&on));
    on.says(&other, "web.service", "active").await;
    let up = Instant::now();
    on.until_withdrawn("web.service").await;
    assert!(up.elapsed() < Duration::from_secs(1), "{:?}", up.elapsed());
    assert!(!runs(&on) && !on.file("web.service").exists());
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_ask_for_it_is_stopped_at_once() {
    let (mut on, _other) = moved(SLEEPS).await;
    let moved = Instant::now();
    on.until_withdrawn("web.service").await;
    assert!(moved.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_come_up_elsewhere_is_stopped_in_the_end() {
    let (mut on, other) = moved(&smooth()).await;
    on.says(&other, "web.service", "failed").await;
    let moved = Instant::now();
    on.until_withdrawn("web.service").await;
    let took = moved.elapsed().as_secs();
    assert!((55..65).contains(&took), "{took} s");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_back_before_it_was_stopped_is_not_touched() {
    let (mut on, _other) = moved(&smooth()).await;
    let before = on.systemd.processes();
    sleep(Duration::from_secs(5)).await;
    on.launch(&[("web.service", &smooth())]).await;
    sleep(Duration::from_secs(300)).await;
    assert_eq!(on.systemd.processes(), before);
}

#[tokio::test(start_paused = true)]
async fn one_that_nobody_wants_any_more_is_stopped_at_once() {
    let (mut on, _other) = moved(&smooth()).await;
    sleep(Duration::from_secs(5)).await;
    assert!(runs(&on));
    on.want("web.service", &smooth(), DesiredState::Inactive)
        .await;
    let unwanted = Instant::now();
    on.until_withdrawn("web.service").await;
    assert!(unwanted.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_new_agent_keeps_it_on_as_well() {
    let (mut on, other) = moved(&smooth()).await;
    on.restart_agent().await;
    sleep(Duration::from_secs(10)).await;
    assert!(runs(&on));
    on.says(&other, "web.service", "active").await;
    on.until_withdrawn("web.service").await;
    assert!(!runs(&on));
}
