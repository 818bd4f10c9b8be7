#![allow(clippy::unwrap_used)]
use super::*;

/// `active sub current [starting]`, and a problem; or `gone`.
fn state(text: &str, problem: &str) -> Option<UnitState> {
    let words: Vec<&str> = text.split(' ').collect();
    let [active, sub, current, starting @ ..] = words.as_slice() else {
        return None;
    };
    Some(UnitState {
        load: "loaded".to_owned(),
        active: (*active).to_owned(),
        sub: (*sub).to_owned(),
        hash: unitfile::UnitFile::default().hash(),
        current: current.parse().unwrap(),
        starting: !starting.is_empty(),
        problem: problem.to_owned(),
        failures: 0,
        unwritable: false,
    })
}

fn unit() -> UnitName {
    UnitName::parse("a.service").unwrap()
}

/// What is told of a unit that goes through these states, one after the other.
fn told(states: &[(&str, &str)]) -> Vec<String> {
    let mut teller = Teller::default();
    let mut hear = |(text, problem): &(&str, &str)| {
        let entry = teller.hear(&unit(), state(text, problem).as_ref(), None, Duration::ZERO)?;
        Some(format!("{} {}", entry.what, entry.reason))
    };
    states.iter().filter_map(&mut hear).collect()
}

#[test]
fn a_life_by_order() {
    let states = [
        ("inactive dead launched starting", ""),
        ("activating start launched starting", ""),
        ("active running launched", ""),
        ("deactivating stop-sigterm launched", ""),
        ("inactive dead loaded", ""),
        ("gone", ""),
    ];
    assert_eq!(
        told(&states),
        ["started active (running)", "stopped inactive (dead)"]
    );
}

#[test]
fn a_unit_that_is_started_at_once_and_one_that_ends_at_once() {
    assert_eq!(
        told(&[("active running launched", "")]),
        ["started active (running)"]
    );
    assert_eq!(
        told(&[
            ("inactive dead launched", ""),
            ("inactive dead launched", "")
        ]),
        ["ended inactive (dead)"]
    );
}

#[test]
fn one_that_waits_for_others_has_not_failed() {
    let states = [
        (
            "inactive dead loaded starting",
            "machine m2 may be running it still (Fence=)",
        ),
        (
            "inactive dead loaded starting",
            "machine m2 may be running it still (Fence=)",
        ),
        ("active running launched", ""),
    ];
    let wait = "waits machine m2 may be running it still (Fence=)";
    assert_eq!(told(&states), [wait, "started active (running)"]);
}

#[test]
fn one_failure_is_told_once() {
    let states = [
        ("activating start launched starting", ""),
        ("failed failed launched starting", ""),
        ("failed failed launched", "start job failed: failed"),
        ("failed failed launched", "start job failed: failed"),
    ];
    assert_eq!(told(&states), ["failed start job failed: failed"]);
}

#[test]
fn one_failure_is_told_once_though_its_state_comes_late() {
    let states = [
        ("activating start launched starting", ""),
        (
            "activating start launched starting",
            "start job failed: failed",
        ),
        ("failed failed launched", "start job failed: failed"),
        ("inactive dead loaded", ""),
        ("inactive dead launched starting", ""),
        ("failed failed launched", "start job failed: failed"),
    ];
    let failed = "failed start job failed: failed";
    assert_eq!(told(&states), [failed, "stopped inactive (dead)", failed]);
}

#[test]
fn a_unit_that_fails_later() {
    let states = [
        ("active running launched", ""),
        ("failed failed launched", ""),
        ("inactive dead loaded", ""),
    ];
    assert_eq!(
        told(&states)[1..],
        ["failed failed (failed)", "stopped inactive (dead)"]
    );
}

/// Such as one that had to be killed: systemd calls it failed.
#[test]
fn a_stop_that_is_no_clean_end_is_a_stop() {
    let states = [
        ("active running launched", ""),
        ("deactivating stop-sigkill launched", ""),
        ("failed failed loaded", ""),
        ("gone", ""),
    ];
    assert_eq!(
        told(&states)[1..],
        [format!("stopped failed (failed): {UNCLEAN}")]
    );
}

/// Such as one that systemd has stopped to power the machine off, before its agent orders it.
#[test]
fn what_has_ended_is_not_stopped_once_more() {
    let states = [
        ("active running launched", ""),
        ("inactive dead launched", ""),
        ("inactive dead loaded", ""),
        ("gone", ""),
        ("active running launched", ""),
    ];
    let started = "started active (running)";
    assert_eq!(told(&states), [started, "ended inactive (dead)", started]);
}

#[test]
fn what_systemd_starts_again_by_itself_is_no_news() {
    let states = [
        ("active running launched", ""),
        ("activating auto-restart launched", ""),
        ("inactive dead launched starting", ""),
        ("active running launched", ""),
    ];
    assert_eq!(told(&states), ["started active (running)"]);
}

#[test]
fn what_a_timer_starts_comes_and_goes_by_itself() {
    let states = [
        ("inactive dead loaded", ""),
        ("active running loaded", ""),
        ("inactive dead loaded", ""),
    ];
    assert_eq!(
        told(&states),
        ["started active (running)", "ended inactive (dead)"]
    );
}

#[test]
fn an_order_that_fails_again_and_again_is_told_once() {
    let full = "writing unit file: No space left on device";
    let states = [
        ("inactive dead inactive", full),
        ("inactive dead inactive", full),
        ("active running launched", ""),
    ];
    assert_eq!(
        told(&states),
        [
            format!("failed {full}"),
            "started active (running)".to_owned()
        ]
    );
}

#[test]
fn what_is_found_is_no_news() {
    let mut teller = Teller::default();
    let running = state("active running launched", "");
    teller.know(&unit(), running.as_ref());
    assert_eq!(teller.up(), 1);
    assert_eq!(
        teller.hear(&unit(), running.as_ref(), None, Duration::ZERO),
        None
    );
}

#[test]
fn a_unit_that_never_rests_is_told_of_now_and_then() {
    let mut teller = Teller::default();
    let (up, down) = ("active running loaded", "inactive dead loaded");
    let mut reasons = Vec::new();
    for second in 0..=PAUSE.as_secs() {
        let text = if second % 2 == 0 { up } else { down };
        let now = Duration::from_secs(1_000_000 + second);
        let entry = teller.hear(&unit(), state(text, "").as_ref(), None, now);
        reasons.extend(entry.map(|entry| entry.reason));
    }
    assert_eq!(reasons.len(), BURST as usize + 1);
    assert_eq!(
        reasons.last().unwrap(),
        "active (running); 590 events before it were not kept"
    );
}

#[test]
fn a_reason_that_is_known_is_told_in_the_place_of_systemds_words() {
    let mut teller = Teller::default();
    let mut hear = |text, why| teller.hear(&unit(), state(text, "").as_ref(), why, Duration::ZERO);
    hear("active running launched", None).unwrap();
    let ended = hear("inactive dead launched", Some("its lease has ended")).unwrap();
    assert_eq!(
        (ended.what, ended.reason.as_str()),
        (What::Ended, "its lease has ended")
    );
    // to be started again it is taken for loaded
    assert_eq!(hear("inactive dead loaded", None), None);
    assert_eq!(
        hear("active running launched", None).unwrap().what,
        What::Started
    );
}
