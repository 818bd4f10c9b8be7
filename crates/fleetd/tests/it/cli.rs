//! The program itself: its command line, and how it ends when it cannot begin.

use std::process::{Command, Output};

fn fleetd(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetd"));
    command.args(arguments).env_clear();
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_version_is_asked_for_in_three_ways() {
    for way in ["--version", "-version", "version"] {
        let output = fleetd(&[way]);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "fleetd version 1.0.0\n"
        );
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn a_word_is_answered_with_a_hint_and_a_wrong_flag_with_the_usage() {
    let word = fleetd(&["start"]);
    assert!(
        stderr(&word)
            .contains("takes no arguments. Did you mean to invoke fleetctl instead?\nUsage of")
    );
    assert_eq!(word.status.code(), Some(1));
    let flag = fleetd(&["--verbosity=1"]);
    assert!(stderr(&flag).starts_with("flag provided but not defined: -verbosity\nUsage of"));
    assert_eq!(flag.status.code(), Some(2));
    let half = fleetd(&["-config"]);
    assert!(stderr(&half).starts_with("flag needs an argument: -config"));
    assert_eq!(half.status.code(), Some(2));
}

#[test]
fn a_bad_configuration_is_told_with_its_place_and_nothing_starts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fleet.conf");
    std::fs::write(&path, "public_ip=10.0.0.1\ntoken_limit=none\n").unwrap();
    let path = path.to_str().unwrap();
    let output = fleetd(&["--config", path]);
    let expected = format!(
        "fleetd: {path}:2: option token_limit: invalid value \"none\": expected an integer\n"
    );
    assert_eq!((stderr(&output), output.status.code()), (expected, Some(1)));
}

#[test]
fn a_configuration_that_is_not_there_is_told() {
    let missing = fleetd(&["--config=/nonexistent/fleet.conf"]);
    let message = stderr(&missing);
    assert!(
        message
            .starts_with("fleetd: Unable to use config file /nonexistent/fleet.conf: No such file"),
        "{message}"
    );
    let directory = fleetd(&["--config", "/"]);
    assert_eq!(
        stderr(&directory),
        "fleetd: Provided config / is a directory, not a file\n"
    );
    assert_eq!(
        (missing.status.code(), directory.status.code()),
        (Some(1), Some(1))
    );
}
