//! Stories of one machine's agent, told on a store and a systemd in memory, with the clock of the test.
#![allow(clippy::unwrap_used)]

mod failing;
mod fenced;
mod files;
mod moving;
mod republishing;
mod unheard;
mod world;

use std::time::Duration;

use fleet::DesiredState;
use tokio::time::Instant;

use world::{NEVER_UP, REFUSED, SLEEPS, SLOW_TO_STOP, World, file, unit};

#[tokio::test(start_paused = true)]
async fn a_unit_is_started_stopped_and_destroyed() {
    let mut on = World::at_work().await;
    on.launch(&[("web.service", SLEEPS)]).await;
    let state = on.until_running("web.service").await;
    assert_eq!(
        (state.load.as_str(), state.sub.as_str()),
        ("loaded", "running")
    );
    assert_eq!(
        (state.hash, state.problem.as_str()),
        (file(SLEEPS).hash(), "")
    );
    on.load(&[("web.service", SLEEPS)]).await;
    let state = on.until_active("web.service", "inactive").await;
    assert_eq!(state.current, DesiredState::Loaded);
    assert!(on.file("web.service").exists());
    on.unassign(&["web.service"]).await;
    on.until_absent("web.service").await;
    assert!(!on.file("web.service").exists());
    assert_eq!(
        on.systemd.orders(),
        [
            "start web.service",
            "stop web.service",
            "disable web.service"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_loaded_unit_is_published_and_not_started() {
    let mut on = World::at_work().await;
    on.load(&[("web.service", SLEEPS)]).await;
    let state = on.until_active("web.service", "inactive").await;
    assert_eq!(
        (state.load.as_str(), state.current),
        ("loaded", DesiredState::Loaded)
    );
    assert!(on.systemd.orders().is_empty(), "{:?}", on.systemd.orders());
}

#[tokio::test(start_paused = true)]
async fn a_changed_unit_is_stopped_and_runs_its_new_text() {
    let mut on = World::at_work().await;
    on.launch(&[("web.service", SLEEPS)]).await;
    on.until_running("web.service").await;
    let other = SLEEPS.replace("100000", "200000");
    on.launch(&[("web.service", &other)]).await;
    on.until("web.service", |state| {
        state.hash == file(&other).hash() && state.active == "active"
    })
    .await;
    assert_eq!(
        on.systemd.running_text(&unit("web.service")).as_ref(),
        Some(&other)
    );
    assert_eq!(
        on.systemd.orders(),
        ["start web.service", "stop web.service", "start web.service"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_agent_adopts_and_touches_nothing() {
    let mut on = World::at_work().await;
    let ends = "[Service]\nType=oneshot\nExecStart=/bin/true\n";
    let fails = "[Service]\nExecStart=/bin/false\n";
    on.launch(&[
        ("web.service", SLEEPS),
        ("ends.service", ends),
        ("fails.service", fails),
    ])
    .await;
    on.load(&[("idle.service", SLEEPS)]).await;
    on.until_running("web.service").await;
    on.until_active("fails.service", "failed").await;
    on.until_ended("ends.service").await;
    on.until_active("idle.service", "inactive").await;
    let before = on.states();

    on.restart_agent().await;
    on.launch(&[("new.service", SLEEPS)]).await;
    on.until_running("new.service").await;

    assert_eq!(on.systemd.orders(), ["start new.service"]);
    let after = on.states();
    assert!(
        before
            .iter()
            .all(|(name, state)| after.get(name) == Some(state)),
        "{after:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_unassigned_while_the_agent_was_away_goes_at_its_return() {
    let mut on = World::at_work().await;
    on.launch(&[("web.service", SLEEPS), ("old.service", SLEEPS)])
        .await;
    on.until_running("web.service").await;
    on.until_running("old.service").await;
    on.end_agent().await;
    on.unassign(&["old.service"]).await;
    on.restart_agent().await;
    on.until_absent("old.service").await;
    assert_eq!(
        on.systemd.orders(),
        ["stop old.service", "disable old.service"]
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_reboot_only_what_is_assigned_is_started() {
    let mut on = World::at_work().await;
    on.launch(&[("web.service", SLEEPS), ("elsewhere.service", SLEEPS)])
        .await;
    on.until_running("web.service").await;
    on.until_running("elsewhere.service").await;
    on.reboot().await;
    on.unassign(&["elsewhere.service"]).await;
    on.restart_agent().await;
    on.until_absent("elsewhere.service").await;
    on.until_running("web.service").await;
    assert_eq!(on.count("start"), 1, "{:?}", on.systemd.orders());
}

#[tokio::test(start_paused = true)]
async fn before_it_is_admitted_a_machine_starts_but_stops_nothing() {
    let mut on = World::at_work().await;
    on.launch(&[("web.service", SLEEPS)]).await;
    on.until_running("web.service").await;
    on.rejoin().await;
    on.unassign(&["web.service"]).await;
    on.launch(&[("new.service", SLEEPS)]).await;
    on.until_running("new.service").await;
    on.until_running("web.service").await;
    assert_eq!(on.count("stop"), 0);
    on.admit().await;
    on.until_absent("web.service").await;
    assert_eq!(on.count("stop"), 1);
}

/// Such as one whose fleetd was frozen: its row may have been taken because it was missed, and be back as soon as it is.
#[tokio::test(start_paused = true)]
async fn a_machine_that_may_have_been_missed_stops_nothing_until_it_is_sure_of_its_lease() {
    let mut on = World::at_work().await;
    on.launch(&[("web.service", SLEEPS), ("old.service", SLEEPS)])
        .await;
    on.until_running("web.service").await;
    on.until_running("old.service").await;
    let before = on.systemd.processes();
    let mut renewing = on.renewed_unheard().await;
    on.until_overdue().await;
    on.unassign(&["web.service", "old.service"]).await;
    on.launch(&[("new.service", SLEEPS)]).await;
    on.until_running("new.service").await;
    assert_eq!(on.count("stop"), 0);
    on.launch(&[("web.service", SLEEPS)]).await;
    let after_all = on.memberships.borrow().clone();
    renewing.continue_renewals(&after_all);
    on.until_absent("old.service").await;
    assert_eq!(on.count("stop"), 1);
    let web = unit("web.service");
    assert_eq!(on.systemd.processes()[&web], before[&web]);
}

#[tokio::test(start_paused = true)]
async fn a_new_membership_is_told_everything_again() {
    let mut on = World::at_work().await;
    on.launch(&[("a.service", SLEEPS), ("b.service", SLEEPS)])
        .await;
    on.until_running("a.service").await;
    on.until_running("b.service").await;
    on.rejoin().await;
    on.until_running("a.service").await;
    on.until_running("b.service").await;
    assert_eq!(on.count("start"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_unit_is_told_and_not_tried_again_until_it_changes() {
    let mut on = World::at_work().await;
    on.launch(&[("bad.service", REFUSED)]).await;
    let state = on
        .until("bad.service", |state| !state.problem.is_empty())
        .await;
    assert_eq!(
        state.problem,
        "start failed: Unit bad.service has a bad unit file setting."
    );
    assert_eq!(
        (state.load.as_str(), state.current),
        ("bad-setting", DesiredState::Loaded)
    );
    on.launch(&[("good.service", SLEEPS)]).await;
    on.until_running("good.service").await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(on.count("start bad.service"), 1);

    on.launch(&[("bad.service", SLEEPS)]).await;
    assert_eq!(on.until_running("bad.service").await.problem, "");
}

#[tokio::test(start_paused = true)]
async fn a_refused_unit_is_tried_again_when_it_is_stopped_and_started() {
    let mut on = World::at_work().await;
    on.launch(&[("bad.service", REFUSED)]).await;
    on.until("bad.service", |state| !state.problem.is_empty())
        .await;
    on.load(&[("bad.service", REFUSED)]).await;
    on.until("bad.service", |state| state.problem.is_empty())
        .await;
    on.launch(&[("bad.service", REFUSED)]).await;
    on.until("bad.service", |state| !state.problem.is_empty())
        .await;
    assert_eq!(on.count("start bad.service"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_start_job_that_fails_is_told_with_systemds_word() {
    let mut on = World::at_work().await;
    on.launch(&[(
        "job.service",
        "[Service]\nType=oneshot\nExecStart=/bin/false\n",
    )])
    .await;
    let state = on.until_ended("job.service").await;
    assert_eq!(state.problem, "start job failed: failed");
    assert_eq!(state.active, "failed");
}

#[tokio::test(start_paused = true)]
async fn a_start_that_waits_for_its_turn_is_told_from_one_that_has_ended() {
    let mut on = World::at_work().await;
    let first = "[Service]\nType=oneshot\nExecStart=/bin/sleep 60\n";
    let next = "[Unit]\nAfter=first.service\n[Service]\nType=oneshot\nExecStart=/bin/true\n";
    on.launch(&[("first.service", first)]).await;
    on.until_active("first.service", "activating").await;
    let before = Instant::now();
    on.launch(&[("next.service", next)]).await;
    let queued = on.until_launched("next.service").await;
    assert_eq!(
        (queued.active.as_str(), queued.starting),
        ("inactive", true)
    );
    on.restart_agent().await;
    let ended = on.until_ended("next.service").await;
    assert_eq!(
        (ended.active.as_str(), ended.problem.as_str()),
        ("inactive", "")
    );
    assert!(before.elapsed() > Duration::from_secs(50));
    assert_eq!(on.systemd.orders(), Vec::<String>::new(), "it was adopted");
}

#[tokio::test(start_paused = true)]
async fn a_start_that_waits_for_its_turn_is_taken_back_with_its_unit() {
    let mut on = World::at_work().await;
    let next = format!("[Unit]\nAfter=first.service\n{SLEEPS}");
    on.launch(&[("first.service", NEVER_UP)]).await;
    on.until_active("first.service", "activating").await;
    on.launch(&[("next.service", &next)]).await;
    on.until_launched("next.service").await;
    on.unassign(&["next.service"]).await;
    on.until_absent("next.service").await;
    assert_eq!(on.count("stop next.service"), 1);
    on.unassign(&["first.service"]).await;
    on.until_absent("first.service").await;
    assert_eq!(on.systemd.running_text(&unit("next.service")), None);
}

#[tokio::test(start_paused = true)]
async fn units_that_hang_hold_up_nobody() {
    let mut on = World::at_work().await;
    on.launch(&[("hangs.service", NEVER_UP), ("slow.service", SLOW_TO_STOP)])
        .await;
    on.until_active("hangs.service", "activating").await;
    on.until_running("slow.service").await;
    on.unassign(&["slow.service"]).await;
    on.until_active("slow.service", "deactivating").await;
    let before = Instant::now();
    on.launch(&[("web.service", SLEEPS)]).await;
    on.until_running("web.service").await;
    on.unassign(&["web.service", "hangs.service"]).await;
    on.until_absent("web.service").await;
    on.until_absent("hangs.service").await;
    assert!(
        before.elapsed() < Duration::from_secs(10),
        "{:?}",
        before.elapsed()
    );
    assert!(
        on.file("slow.service").exists(),
        "a file stays until its unit is down"
    );
    on.until_absent("slow.service").await;
    assert!(!on.file("slow.service").exists());
}

#[tokio::test(start_paused = true)]
async fn a_hundred_new_units_need_no_reload_and_a_hundred_changed_ones_one() {
    let mut on = World::at_work().await;
    let sockets: Vec<(String, String)> = (0..100)
        .map(|n| {
            (
                format!("s{n}.socket"),
                format!("[Socket]\nListenStream={n}\n"),
            )
        })
        .collect();
    let services = |text: &str| -> Vec<(String, String)> {
        (0..100)
            .map(|n| (format!("s{n}.service"), text.to_owned()))
            .collect()
    };
    on.load(&borrowed(&services(SLEEPS))).await;
    for (name, _) in &services(SLEEPS) {
        on.until_active(name, "inactive").await;
    }
    on.launch(&borrowed(&sockets)).await;
    for (name, _) in &sockets {
        on.until_running(name).await;
    }
    assert_eq!((on.count("start"), on.count("reload")), (100, 0));

    // the sockets keep their services in memory, with the old text
    let other = SLEEPS.replace("100000", "200000");
    on.load(&borrowed(&services(&other))).await;
    for n in 0..100 {
        on.until(&format!("s{n}.service"), |state| {
            state.hash == file(&other).hash()
        })
        .await;
    }
    assert!(
        (1..=2).contains(&on.count("reload")),
        "{} reloads",
        on.count("reload")
    );
}

#[tokio::test(start_paused = true)]
async fn units_of_a_batch_may_require_each_other() {
    let mut on = World::at_work().await;
    let needs = |other: &str| format!("[Unit]\nRequires={other}\n{SLEEPS}");
    let (a, b) = (needs("b.service"), needs("c.service"));
    on.launch(&[("a.service", &a), ("b.service", &b), ("c.service", SLEEPS)])
        .await;
    for name in ["a.service", "b.service", "c.service"] {
        assert_eq!(on.until_running(name).await.problem, "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_removed_service_is_not_left_startable_by_its_socket() {
    let mut on = World::at_work().await;
    let socket = "[Socket]\nListenStream=1\n";
    on.launch(&[("web.socket", socket), ("web.service", SLEEPS)])
        .await;
    on.until_running("web.socket").await;
    on.until_running("web.service").await;
    on.unassign(&["web.service"]).await;
    on.until_absent("web.service").await;
    assert_eq!(
        on.count("reload"),
        1,
        "systemd still had the service in memory"
    );

    on.launch(&[("web.service", SLEEPS)]).await;
    on.until_running("web.service").await;
    on.systemd.forget_orders();
    on.unassign(&["web.service", "web.socket"]).await;
    on.until_absent("web.service").await;
    assert_eq!(
        on.systemd.orders()[..2],
        ["stop web.socket", "stop web.service"]
    );
}

#[tokio::test(start_paused = true)]
async fn install_links_come_and_go_with_the_unit() {
    let mut on = World::at_work().await;
    let text = format!("{SLEEPS}\n[Install]\nWantedBy=multi-user.target\n");
    on.launch(&[("web.service", &text)]).await;
    on.until_running("web.service").await;
    assert_eq!(on.systemd.links().len(), 1);
    on.unassign(&["web.service"]).await;
    on.until_absent("web.service").await;
    assert!(on.systemd.links().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_crash_is_published_and_left_to_systemd() {
    let mut on = World::at_work().await;
    on.launch(&[("web.service", SLEEPS)]).await;
    on.until_running("web.service").await;
    on.systemd.crash(&unit("web.service"));
    on.until_active("web.service", "failed").await;
    assert_eq!(on.count("start"), 1);
}

#[tokio::test(start_paused = true)]
async fn orders_that_fall_into_an_absence_of_systemd_are_given_after_it() {
    let mut on = World::at_work().await;
    on.launch(&[("old.service", SLEEPS)]).await;
    on.until_running("old.service").await;
    on.systemd.set_away(true);
    on.launch(&[("web.service", SLEEPS)]).await;
    on.unassign(&["old.service"]).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    on.systemd.set_away(false);
    on.until_running("web.service").await;
    on.until_absent("old.service").await;
}

#[tokio::test(start_paused = true)]
async fn who_leaves_stops_all_of_its_units_and_takes_their_files() {
    let mut on = World::at_work().await;
    on.launch(&[("a.service", SLEEPS), ("slow.service", SLOW_TO_STOP)])
        .await;
    on.until_running("a.service").await;
    on.until_running("slow.service").await;
    on.end_agent().await;
    let left = on
        .agent
        .leave(None, Duration::from_secs(10), |_| ())
        .await
        .unwrap();
    assert_eq!(left.into_iter().collect::<Vec<_>>(), [unit("slow.service")]);
    assert!(!on.file("a.service").exists());
    assert!(on.file("slow.service").exists());

    let left = on
        .agent
        .leave(None, Duration::from_secs(90), |_| ())
        .await
        .unwrap();
    assert!(left.is_empty(), "{left:?}");
    assert!(!on.file("slow.service").exists());
}

fn borrowed(units: &[(String, String)]) -> Vec<(&str, &str)> {
    units
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect()
}
