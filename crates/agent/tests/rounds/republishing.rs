//! Unit states that somebody else has taken out of the registry, or put there.

use std::time::Duration;

use crate::world::{SLEEPS, World};

const LONG: Duration = Duration::from_secs(600);

/// A machine that runs `web.service`, which is published.
async fn running() -> World {
    let mut on = World::at_work().await;
    on.launch(&[("web.service", SLEEPS)]).await;
    on.until_running("web.service").await;
    // what it goes through on its way up is published
    tokio::time::sleep(Duration::from_secs(10)).await;
    on
}

#[tokio::test(start_paused = true)]
async fn a_state_that_somebody_deletes_is_published_anew() {
    let mut on = running().await;
    let (before, orders) = (on.state_record("web.service").await, on.systemd.orders());
    for _ in 0..2 {
        on.delete_state("web.service").await;
        on.until_absent("web.service").await;
        on.until_running("web.service").await;
        assert_eq!(on.state_record("web.service").await, before);
    }
    assert_eq!(on.systemd.orders(), orders);
}

#[tokio::test(start_paused = true)]
async fn a_state_that_somebody_writes_over_is_published_anew() {
    let on = running().await;
    let (before, orders) = (on.state_record("web.service").await, on.systemd.orders());
    for _ in 0..2 {
        on.write_state("web.service", "!", false).await;
        on.until_state_record("web.service", before.clone()).await;
    }
    assert_eq!(on.systemd.orders(), orders);
}

#[tokio::test(start_paused = true)]
async fn a_state_of_no_unit_on_the_machines_lease_is_taken_back() {
    let on = running().await;
    on.write_state("db.service", "!", true).await;
    on.until_state_record("db.service", None).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_published_and_there_is_not_published_again() {
    let on = running().await;
    let before = on.revision().await;
    tokio::time::sleep(LONG).await;
    assert_eq!(on.revision().await, before);
}

#[tokio::test(start_paused = true)]
async fn who_is_no_member_publishes_nothing_and_all_of_it_under_the_next_membership() {
    let mut on = running().await;
    let membership = on.rejoin_unheard().await;
    let before = on.revision().await;
    tokio::time::sleep(LONG).await;
    assert_eq!(on.revision().await, before);
    on.memberships.send_replace(membership);
    on.until_running("web.service").await;
}
