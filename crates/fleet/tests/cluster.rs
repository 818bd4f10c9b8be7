//! The picture that events make.
#![allow(clippy::unwrap_used)]

#[path = "story/cluster.rs"]
mod story;

use fleet::{DesiredState, Event, UnitRecord, UnitState};
use story::{Situation, machine_id, unit};
use unitfile::Hash;

fn situation(lines: &[&str]) -> Situation {
    let mut situation = Situation::default();
    for line in lines {
        situation.line(line);
    }
    situation
}

fn state(current: DesiredState) -> UnitState {
    UnitState {
        load: "loaded".into(),
        active: "active".into(),
        sub: "running".into(),
        hash: Hash::of(""),
        current,
        starting: false,
        problem: String::new(),
        failures: 0,
        unwritable: false,
    }
}

#[test]
fn a_unit_that_comes_before_its_file_gets_its_requirements_with_it() {
    let mut early = situation(&[]);
    let whole = situation(&["unit u.service launched Global=true"]);
    let record = UnitRecord {
        hash: whole.cluster.units["u.service"].hash,
        desired: DesiredState::Launched,
    };
    let file = whole.cluster.files[&record.hash].clone();
    early
        .cluster
        .apply(Event::Unit(unit("u.service"), Some(record.clone())));
    assert_eq!(early.cluster.units["u.service"].requirements, None);
    early.cluster.apply(Event::File(record.hash, Some(file)));
    assert!(
        early.cluster.units["u.service"]
            .requirements
            .as_ref()
            .unwrap()
            .global
    );
    early.cluster.apply(Event::File(record.hash, None));
    assert_eq!(early.cluster.units["u.service"].requirements, None);
}

#[test]
fn metadata_set_through_the_api_lies_over_the_machines_own() {
    let situation = situation(&[
        "machine a disk=ssd zone=1",
        "metadata a zone=2",
        "metadata a disk=",
    ]);
    let metadata = situation
        .cluster
        .metadata_of(&situation.cluster.machines["a"]);
    assert_eq!(metadata, [("zone".to_owned(), "2".to_owned())].into());
}

#[test]
fn what_goes_away_leaves_nothing_behind() {
    let mut situation = situation(&[
        "machine a",
        "unit u.service launched",
        "plan",
        "metadata a k=v",
    ]);
    let published = Some(state(DesiredState::Launched));
    situation
        .cluster
        .apply(Event::State(unit("u.service"), machine_id("a"), published));
    situation
        .cluster
        .apply(Event::State(unit("u.service"), machine_id("a"), None));
    situation
        .cluster
        .apply(Event::Metadata(machine_id("a"), "k".into(), None));
    for line in ["destroy u.service", "leave a", "plan"] {
        situation.line(line);
    }
    let cluster = &situation.cluster;
    assert!(
        cluster.states.is_empty() && cluster.metadata.is_empty() && cluster.schedule.is_empty()
    );
    assert!(cluster.targets.is_empty() && cluster.admitted.is_empty() && cluster.files.is_empty());
}

#[test]
fn the_current_state_is_that_of_the_target() {
    let mut situation = situation(&["machine a", "machine b", "unit u.service launched", "plan"]);
    let told = |situation: &Situation| situation.cluster.current_state(&unit("u.service"));
    assert_eq!(told(&situation), Some(DesiredState::Inactive));

    let elsewhere = Event::State(
        unit("u.service"),
        machine_id("b"),
        Some(state(DesiredState::Launched)),
    );
    situation.cluster.apply(elsewhere);
    assert_eq!(told(&situation), Some(DesiredState::Inactive));

    for current in [DesiredState::Loaded, DesiredState::Launched] {
        let here = Event::State(unit("u.service"), machine_id("a"), Some(state(current)));
        situation.cluster.apply(here);
        assert_eq!(told(&situation), Some(current));
    }
    assert_eq!(
        situation.cluster.current_state(&unit("other.service")),
        None
    );
}
