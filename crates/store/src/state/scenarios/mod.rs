//! Plays the files in `tests/scenarios` on a state: commands, `----`, and what they must answer.
//!
//! The parts of a file share one state. `UPDATE=1 cargo test -p store` writes the answers anew; the
//! difference is the review. `parse.rs` tells how commands are written.

#![allow(clippy::unwrap_used)]

mod parse;
mod print;

use std::path::Path;

use super::{State, check, check_range, check_txn, is_read_only};
use crate::proto::etcdserverpb::RangeRequest;
use crate::proto::storepb::command::Op;
use parse::{Command, Watch};

#[test]
fn every_scenario_is_answered_as_its_file_says() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut played = 0;
    for file in std::fs::read_dir(dir).unwrap() {
        play_file(&file.unwrap().path());
        played += 1;
    }
    assert!(played > 0, "there are no scenarios");
}

fn play_file(path: &Path) {
    let expected = std::fs::read_to_string(path).unwrap();
    let answered = play(&expected);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &answered).unwrap();
    } else if answered != expected {
        let lines = answered.lines().zip(expected.lines());
        let (line, (now, then)) = lines
            .enumerate()
            .find(|(_, (now, then))| now != then)
            .unwrap_or((0, ("", "")));
        panic!(
            "{}:{}: expected\n  {then}\nbut it is\n  {now}",
            path.display(),
            line + 1
        );
    }
}

fn play(scenario: &str) -> String {
    let mut state = State::default();
    let parts = scenario
        .trim_end()
        .split("\n\n")
        .map(|part| play_part(&mut state, part));
    parts.collect::<Vec<_>>().join("\n") + ""
}

fn play_part(state: &mut State, part: &str) -> String {
    let commands = part
        .split_once("----")
        .map_or(part, |(commands, _)| commands);
    let mut answer = commands.to_owned();
    if part.contains("----") {
        answer += "----\n";
        for command in parse::commands(commands) {
            answer += &carry_out(state, &command);
        }
    } else if !answer.ends_with('\n') {
        answer.push('\n');
    }
    answer
}

fn carry_out(state: &mut State, command: &Command) -> String {
    match command {
        Command::Op(Op::Txn(txn)) if is_read_only(txn) => {
            let read = check_txn(txn).and_then(|()| state.read_txn(txn));
            read.map_or_else(print::refusal, |response| print::txn(&response, 0))
        }
        Command::Op(op) => match check(op).and_then(|()| state.apply(op).reply) {
            Ok(reply) => print::reply(&reply),
            Err(refusal) => print::refusal(refusal),
        },
        Command::Get(get) => print_get(state, get),
        Command::Watch(watch) => print_watch(state, watch),
        Command::Leases => print::leases(state),
    }
}

fn print_get(state: &State, get: &RangeRequest) -> String {
    let read = check_range(get).and_then(|()| state.range(get));
    read.map_or_else(print::refusal, |response| print::range(&response, 0))
}

/// Reads to the end, page by page.
fn print_watch(state: &State, watch: &Watch) -> String {
    let mut text = String::new();
    let mut from = watch.from;
    while from <= state.revision() {
        match state.events(&watch.interest, from, watch.limit) {
            Ok(page) => {
                text += &print::page(&page);
                from = page.next;
            }
            Err(compacted) => return text + &format!("compacted at {compacted}\n"),
        }
    }
    text
}
