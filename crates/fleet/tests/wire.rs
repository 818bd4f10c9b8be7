//! The JSON of the HTTP API, to the byte.
#![allow(clippy::unwrap_used)]

use fleet::{v1, v2};

fn written<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap()
}

#[test]
fn a_unit_has_its_fields_in_alphabetical_order() {
    let option = v1::UnitOption {
        name: "ExecStart".into(),
        section: "Service".into(),
        value: "/bin/true".into(),
    };
    let unit = v1::Unit {
        current_state: "loaded".into(),
        desired_state: "launched".into(),
        machine_id: "m".into(),
        name: "u.service".into(),
        options: vec![option],
    };
    assert_eq!(
        written(&unit),
        r#"{"currentState":"loaded","desiredState":"launched","machineID":"m","name":"u.service","options":[{"name":"ExecStart","section":"Service","value":"/bin/true"}]}"#
    );
}

#[test]
fn a_state_and_a_machine_are_named_as_the_original_names_them() {
    let state = v1::UnitState {
        hash: "h".into(),
        machine_id: "m".into(),
        name: "u.service".into(),
        systemd_active_state: "active".into(),
        systemd_load_state: "loaded".into(),
        systemd_sub_state: "running".into(),
    };
    assert_eq!(
        written(&state),
        r#"{"hash":"h","machineID":"m","name":"u.service","systemdActiveState":"active","systemdLoadState":"loaded","systemdSubState":"running"}"#
    );
    let machine = v1::Machine {
        id: "m".into(),
        metadata: [("b".into(), "2".into()), ("a".into(), "1".into())].into(),
        primary_ip: "10.0.0.1".into(),
    };
    assert_eq!(
        written(&machine),
        r#"{"id":"m","metadata":{"a":"1","b":"2"},"primaryIP":"10.0.0.1"}"#
    );
}

#[test]
fn what_is_empty_is_left_out() {
    assert_eq!(written(&v1::Unit::default()), "{}");
    assert_eq!(written(&v1::UnitPage::default()), "{}");
    assert_eq!(written(&v1::UnitStatePage::default()), "{}");
    assert_eq!(written(&v1::MachinePage::default()), "{}");
    assert_eq!(
        written(&v2::UnitStatus::default()),
        r#"{"name":"","exists":false,"global":false,"scheduled":0}"#
    );
}

#[test]
fn a_start_that_is_under_way_is_told_and_no_other() {
    let mut state = v2::MachineUnitState {
        current: "launched".into(),
        ..v2::MachineUnitState::default()
    };
    let ended = r#"{"machineID":"","hash":"","load":"","active":"","sub":"","current":"launched"}"#;
    assert_eq!(written(&state), ended);
    assert_eq!(
        serde_json::from_str::<v2::MachineUnitState>(ended).unwrap(),
        state
    );
    state.starting = true;
    assert!(written(&state).ends_with(r#""current":"launched","starting":true}"#));
}

#[test]
fn pages_have_their_fields_in_alphabetical_order() {
    let machines = v1::MachinePage {
        machines: vec![v1::Machine::default()],
        next_page_token: "t".into(),
    };
    assert_eq!(
        written(&machines),
        r#"{"machines":[{}],"nextPageToken":"t"}"#
    );
    let units = v1::UnitPage {
        next_page_token: "t".into(),
        units: vec![v1::Unit::default()],
    };
    assert_eq!(written(&units), r#"{"nextPageToken":"t","units":[{}]}"#);
    let states = v1::UnitStatePage {
        next_page_token: "t".into(),
        states: vec![v1::UnitState::default()],
    };
    assert_eq!(written(&states), r#"{"nextPageToken":"t","states":[{}]}"#);
}

#[test]
fn an_error_has_a_message_even_if_it_is_empty() {
    let error = v1::ErrorBody {
        error: v1::ErrorDetail {
            code: 404,
            message: String::new(),
        },
    };
    assert_eq!(written(&error), r#"{"error":{"code":404,"message":""}}"#);
}

#[test]
fn what_is_missing_or_unknown_is_no_error() {
    let unit: v1::Unit =
        serde_json::from_str(r#"{"desiredState":"loaded","unknown":1,"options":[{}]}"#).unwrap();
    assert_eq!(unit.desired_state, "loaded");
    assert_eq!(unit.options, [v1::UnitOption::default()]);
    let result: v2::PutResult = serde_json::from_str(r#"{"name":"u.service","code":201}"#).unwrap();
    assert_eq!((result.code, result.message.as_str()), (201, ""));
}
