//! Units that fail by themselves.

use std::time::Duration;

use tokio::time::Instant;

use crate::world::{SLEEPS, World, unit};

/// A service that fails at once.
const FAILS: &str = "[Service]\nExecStart=/bin/false\n";

#[tokio::test(start_paused = true)]
async fn a_unit_that_asks_for_it_is_started_again_until_it_has_failed_so_often() {
    let mut on = World::at_work().await;
    let text = format!("{FAILS}[X-Fleet]\nRescheduleAfter=3\n");
    let begun = Instant::now();
    on.launch(&[("bad.service", &text)]).await;
    let state = on.until("bad.service", |state| state.failures == 1).await;
    assert_eq!(
        state.problem,
        "failed once: it is started again after 5s (RescheduleAfter=3)"
    );
    let state = on.until("bad.service", |state| state.failures == 3).await;
    assert_eq!(
        (state.active.as_str(), state.problem.as_str()),
        (
            "failed",
            "failed 3 times: it is not started here again (RescheduleAfter=3)"
        )
    );
    let took = begun.elapsed().as_secs();
    assert!((15..20).contains(&took), "{took} s");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(on.count("start bad.service"), 3);
}

#[tokio::test(start_paused = true)]
async fn one_that_was_well_for_long_has_not_failed_in_a_row() {
    let mut on = World::at_work().await;
    let text = format!("{SLEEPS}[X-Fleet]\nRescheduleAfter=2\n");
    on.launch(&[("web.service", &text)]).await;
    for _ in 0..3 {
        on.until_running("web.service").await;
        tokio::time::sleep(Duration::from_secs(700)).await;
        on.systemd.crash(&unit("web.service"));
        let state = on.until_active("web.service", "failed").await;
        assert_eq!(state.failures, 1);
        on.until("web.service", |state| state.active == "active")
            .await;
    }
    // quickly one after the other
    on.until_running("web.service").await;
    on.systemd.crash(&unit("web.service"));
    on.until("web.service", |state| state.failures == 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_does_not_ask_is_left_to_systemd() {
    let mut on = World::at_work().await;
    on.launch(&[("bad.service", FAILS)]).await;
    let state = on.until_active("bad.service", "failed").await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!((state.failures, on.count("start bad.service")), (0, 1));
}
