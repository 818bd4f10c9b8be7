//! Units that go on here until they are up elsewhere, and those that wait until they are down elsewhere.

use std::time::Duration;

use fleet::{DesiredState, UnitState};
use tokio::time::{Instant, sleep};

use crate::world::{SLEEPS, SLOW_TO_STOP, World, file, unit};

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
async fn one_that_does_not_come_up_elsewhere_goes_on_until_it_does() {
    let (mut on, other) = moved(&smooth()).await;
    on.says(&other, "web.service", "failed").await;
    sleep(Duration::from_secs(1_800)).await;
    assert!(runs(&on));
    on.says(&other, "web.service", "active").await;
    on.until_withdrawn("web.service").await;
    assert!(!runs(&on));
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

#[tokio::test(start_paused = true)]
async fn a_unit_is_not_started_before_the_machine_that_ran_it_has_stopped_it() {
    let mut on = World::at_work().await;
    let other = on.other_machine().await;
    let stopping = UnitState {
        load: "loaded".to_owned(),
        active: "deactivating".to_owned(),
        sub: "stop".to_owned(),
        hash: file(SLEEPS).hash(),
        current: DesiredState::Launched,
        starting: false,
        problem: String::new(),
        failures: 0,
        unwritable: false,
    };
    let states = [(unit("web.service"), Some(stopping))];
    other.publish(&states).await.unwrap();
    on.launch(&[("web.service", SLEEPS), ("new.service", SLEEPS)])
        .await;
    on.until_running("new.service").await;
    let state = on
        .until("web.service", |state| !state.problem.is_empty())
        .await;
    assert_eq!(state.problem, "machine m2 has not stopped it yet");
    assert!(state.starting && !runs(&on));
    sleep(Duration::from_secs(60)).await;
    assert!(!runs(&on));
    let gone = [(unit("web.service"), None)];
    other.publish(&gone).await.unwrap();
    on.until_running("web.service").await;
}

#[tokio::test(start_paused = true)]
async fn a_unit_waits_until_what_it_conflicts_with_is_down() {
    let mut on = World::at_work().await;
    let slow = format!("{SLOW_TO_STOP}[X-Fleet]\nConflicts=web*\n");
    on.launch(&[("old.service", &slow)]).await;
    on.until_running("old.service").await;
    on.unassign(&["old.service"]).await;
    on.launch(&[("web.service", SLEEPS), ("new.service", SLEEPS)])
        .await;
    on.until_running("new.service").await;
    let state = on
        .until("web.service", |state| !state.problem.is_empty())
        .await;
    assert_eq!(
        state.problem,
        "old.service is not down here yet (Conflicts=)"
    );
    assert!(!runs(&on));
    let begun = Instant::now();
    on.until_running("web.service").await;
    let took = begun.elapsed().as_secs();
    assert!((50..70).contains(&took), "{took} s");
}
