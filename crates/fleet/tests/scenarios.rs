//! Plays the stories in `scenarios/`: lines that change a situation, `----`, and what is decided then.
//!
//! `UPDATE=1 cargo test -p fleet` rewrites what is decided; the diff is the review.
// the crate does no I/O, its stories are files
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod story;

use std::path::{Path, PathBuf};
use std::{env, fs};

use story::agent::Agent;
use story::cluster::Situation;
use story::events::Teller;

#[test]
fn plans() {
    play("plan", || {
        let mut situation = Situation::default();
        move |line: &str| situation.line(line)
    });
}

#[test]
fn events() {
    play("events", || {
        let mut teller = Teller::default();
        move |line: &str| teller.line(line)
    });
}

#[test]
fn convergence() {
    play("converge", || {
        let mut agent = Agent::default();
        move |line: &str| agent.line(line)
    });
}

/// Each file is one story with a teller of its own, which answers a line with what was decided.
fn play<T: FnMut(&str) -> String>(folder: &str, teller: impl Fn() -> T) {
    for path in stories(folder) {
        let text = fs::read_to_string(&path).unwrap();
        let told = tell(&text, teller());
        if env::var_os("UPDATE").is_some() {
            fs::write(&path, &told).unwrap();
        } else {
            assert_eq!(told, text, "{}", path.display());
        }
    }
}

/// The text with every block's decisions as they are now. Blocks are separated by an empty line.
fn tell(text: &str, mut teller: impl FnMut(&str) -> String) -> String {
    let blocks = text.trim_end().split("\n\n").map(|block| {
        let situation = block
            .split_once("\n----")
            .map_or(block, |(situation, _)| situation);
        let lines = situation.lines().filter(|line| !line.starts_with('#'));
        let decided: String = lines.map(&mut teller).collect();
        match decided.is_empty() {
            true => format!("{situation}\n"),
            false => format!("{situation}\n----\n{decided}"),
        }
    });
    blocks.collect::<Vec<_>>().join("\n")
}

fn stories(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/scenarios")
        .join(folder);
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
}
