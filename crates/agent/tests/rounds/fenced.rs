//! Units of which there is at most one copy, ever.

use std::time::Duration;

use fleet::{DesiredState, UnitState};

use crate::world::{SLEEPS, World, unit};

fn fenced() -> String {
    format!("{SLEEPS}TimeoutStopSec=5\n[X-Fleet]\nFence=yes\n")
}

#[tokio::test(start_paused = true)]
async fn a_fenced_unit_is_claimed_before_it_starts_and_given_back_when_it_is_down() {
    let mut on = World::at_work().await;
    on.launch(&[("db.service", &fenced())]).await;
    on.until_running("db.service").await;
    let (machine, token) = on.claim("db.service").unwrap();
    assert_eq!(machine.as_str(), "m1");
    let drop_ins = on.directories.runtime_units.join("db.service.d");
    let read = |name: &str| std::fs::read_to_string(drop_ins.join(name)).unwrap();
    assert_eq!(
        read("fleet-fence.env"),
        format!("FLEET_FENCING_TOKEN={token}\n")
    );
    let bound = read("zz-fleet-fence.conf");
    assert!(bound.contains("Requisite=fleet-lease.target"), "{bound}");
    assert!(bound.contains("\nTimeoutStopSec=5\n"), "{bound}");
    assert!(bound.contains("\nStopSec=10\n"), "{bound}");
    assert_eq!(on.systemd.orders(), ["reload", "start db.service"]);

    on.load(&[("db.service", &fenced())]).await;
    on.until_active("db.service", "inactive").await;
    on.until_unclaimed("db.service").await;
    assert!(on.systemd.processes().is_empty());
    assert!(
        !drop_ins.join("fleet-fence.env").exists(),
        "nobody can start it by hand"
    );

    on.launch(&[("db.service", &fenced())]).await;
    on.until_running("db.service").await;
    let (_, later) = on.claim("db.service").unwrap();
    assert!(later > token);
    on.unassign(&["db.service"]).await;
    on.until_absent("db.service").await;
    on.until_unclaimed("db.service").await;
    assert!(!drop_ins.exists());
}

#[tokio::test(start_paused = true)]
async fn a_fenced_unit_waits_until_another_machine_is_done_with_it() {
    let mut on = World::at_work().await;
    let other = on.claimed_elsewhere("db.service", &fenced()).await;
    on.launch(&[("db.service", &fenced())]).await;
    let state = on
        .until("db.service", |state| !state.problem.is_empty())
        .await;
    assert_eq!(state.problem, "machine m2 may be running it still (Fence=)");
    assert!(state.starting && state.current == DesiredState::Loaded);
    assert!(on.systemd.processes().is_empty());
    other.release(&unit("db.service")).await.unwrap();
    let state = on.until_running("db.service").await;
    assert_eq!(state.problem, "");
}

#[tokio::test(start_paused = true)]
async fn a_fenced_unit_goes_with_the_lease_and_comes_back_with_it() {
    let mut on = World::at_work().await;
    on.launch(&[("db.service", &fenced()), ("web.service", SLEEPS)])
        .await;
    on.until_running("db.service").await;
    on.until_running("web.service").await;
    let before = on.systemd.processes();
    // nobody renews the lease
    let ttl = on.memberships.borrow().ttl;
    tokio::time::sleep(ttl + Duration::from_secs(1)).await;
    let left = on.systemd.processes();
    assert_eq!(left.keys().collect::<Vec<_>>(), [&unit("web.service")]);
    on.rejoin().await;
    on.until_up("db.service").await;
    let after = on.systemd.processes();
    assert_eq!(after[&unit("web.service")], before[&unit("web.service")]);
    assert_ne!(after[&unit("db.service")], before[&unit("db.service")]);
}

#[tokio::test(start_paused = true)]
async fn a_fenced_unit_that_has_gone_with_the_lease_and_is_to_be_down_is_told_to_be_so() {
    let mut on = World::at_work().await;
    on.launch(&[("db.service", &fenced())]).await;
    on.until_running("db.service").await;
    on.until_overdue().await;
    let membership = on.rejoin_unheard().await;
    on.load(&[("db.service", &fenced())]).await;
    on.memberships.send_replace(membership);
    let down = |state: &UnitState| {
        state.active == "inactive" && state.current == DesiredState::Loaded && !state.starting
    };
    on.until("db.service", down).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_agent_goes_on_with_what_was_claimed() {
    let mut on = World::at_work().await;
    on.launch(&[("db.service", &fenced())]).await;
    on.until_running("db.service").await;
    let before = (on.claim("db.service"), on.systemd.processes());
    on.restart_agent().await;
    on.launch(&[("new.service", SLEEPS)]).await;
    on.until_running("new.service").await;
    assert_eq!(on.systemd.orders(), ["start new.service"]);
    assert_eq!(on.claim("db.service"), before.0);
    on.unassign(&["db.service"]).await;
    on.until_unclaimed("db.service").await;
}

#[tokio::test(start_paused = true)]
async fn what_was_stopped_while_the_agent_was_dead_is_started_again() {
    let mut on = World::at_work().await;
    on.launch(&[("db.service", &fenced())]).await;
    on.until_running("db.service").await;
    on.end_agent().await;
    let ttl = on.memberships.borrow().ttl;
    tokio::time::sleep(ttl + Duration::from_secs(1)).await;
    assert!(on.systemd.processes().is_empty());
    on.rejoin().await;
    on.restart_agent().await;
    on.until_up("db.service").await;
}

#[tokio::test(start_paused = true)]
async fn a_fenced_unit_that_another_machine_has_claimed_is_stopped() {
    let mut on = World::new().await;
    on.admit().await;
    on.launch(&[("db.service", &fenced())]).await;
    on.begin();
    on.until_running("db.service").await;
    on.end_agent().await;
    // the records are those of a backup
    on.lose_claim("db.service").await;
    let other = on.claimed_elsewhere("db.service", &fenced()).await;
    on.restart_agent().await;
    on.until("db.service", |state| {
        state.active == "inactive" && state.starting
    })
    .await;
    assert!(on.systemd.processes().is_empty());
    other.release(&unit("db.service")).await.unwrap();
    on.until_running("db.service").await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_somebody_has_written_over_is_made_anew_by_who_runs_the_unit() {
    let mut on = World::at_work().await;
    on.launch(&[("db.service", &fenced())]).await;
    on.until_running("db.service").await;
    let before = on.systemd.processes();
    on.end_agent().await;
    let garbled = on.garble_claim("db.service").await;
    on.restart_agent().await;
    on.until_claimed_after("db.service", garbled).await;
    assert_eq!(on.systemd.processes(), before);
    on.unassign(&["db.service"]).await;
    on.until_unclaimed("db.service").await;
}

#[tokio::test(start_paused = true)]
async fn a_unit_whose_claim_makes_no_sense_waits_until_somebody_has_looked() {
    let mut on = World::at_work().await;
    on.garble_claim("db.service").await;
    on.launch(&[("db.service", &fenced())]).await;
    let state = on
        .until("db.service", |state| !state.problem.is_empty())
        .await;
    assert_eq!(
        state.problem,
        "its claim, /fleet/fence/db.service, makes no sense: delete it when the unit runs nowhere (Fence=)"
    );
    assert!(on.systemd.processes().is_empty());
    on.delete_claim("db.service").await;
    on.until_running("db.service").await;
}
