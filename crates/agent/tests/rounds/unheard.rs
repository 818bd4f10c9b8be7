//! Orders whose end nobody hears of, because the connection to systemd is lost.

use std::time::Duration;

use fleet::{DesiredState, UnitState};

use crate::world::{SLOW_TO_STOP, World};

#[tokio::test(start_paused = true)]
async fn what_is_wanted_again_while_its_stop_is_not_heard_of_is_started_again() {
    let mut on = World::at_work().await;
    on.launch(&[("slow.service", SLOW_TO_STOP)]).await;
    on.until_running("slow.service").await;
    let before = on.systemd.processes();
    on.unassign(&["slow.service"]).await;
    on.until_active("slow.service", "deactivating").await;
    on.systemd.set_away(true);
    on.launch(&[("slow.service", SLOW_TO_STOP)]).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    on.systemd.set_away(false);
    on.until_up("slow.service").await;
    assert_ne!(on.systemd.processes(), before);
    on.until_running("slow.service").await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_whose_end_is_not_heard_of_is_told_in_the_end() {
    let mut on = World::at_work().await;
    on.launch(&[("slow.service", SLOW_TO_STOP)]).await;
    on.until_running("slow.service").await;
    on.load(&[("slow.service", SLOW_TO_STOP)]).await;
    on.until_active("slow.service", "deactivating").await;
    on.systemd.set_away(true);
    // its job is lost, and its state cannot be asked for
    on.until("slow.service", |state| {
        state.problem.starts_with("stop failed")
    })
    .await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    on.systemd.set_away(false);
    let stopped =
        |state: &UnitState| state.active == "inactive" && state.current == DesiredState::Loaded;
    let state = on.until("slow.service", stopped).await;
    assert_eq!(state.problem, "");
}

#[tokio::test(start_paused = true)]
async fn what_goes_down_by_order_while_no_agent_is_there_is_started_when_it_is_wanted_again() {
    let mut on = World::at_work().await;
    on.launch(&[("slow.service", SLOW_TO_STOP)]).await;
    on.until_running("slow.service").await;
    on.load(&[("slow.service", SLOW_TO_STOP)]).await;
    on.until_active("slow.service", "deactivating").await;
    on.end_agent().await;
    on.launch(&[("slow.service", SLOW_TO_STOP)]).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(on.systemd.processes().is_empty());
    on.restart_agent().await;
    on.until_up("slow.service").await;
}
