//! Some seeds, each a cluster of its own with faults. `cargo xtask sim` runs as many as there is time for.
#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::time::Duration;

use sim::{Options, run};

/// All that happens in five minutes of a seed, with the log of the product.
fn told(seed: &str) -> String {
    let mut sim = Command::new(env!("CARGO_BIN_EXE_sim"));
    let words = [
        "seeds",
        "--seeds",
        "1",
        "--minutes",
        "5",
        "--verbose",
        "--from",
        seed,
    ];
    let output = sim.args(words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("real time"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_seed_repeats_a_run_exactly() {
    let (one, two) = (told("7"), told("7"));
    assert!(one.lines().count() > 1000, "{one}");
    assert!(one == two, "seed 7 did not repeat itself");
    assert!(one != told("8"));
}

#[test]
fn nothing_stops_nothing_is_lost_nothing_runs_twice() {
    for seed in 1..=6 {
        let time = Duration::from_secs(15 * 60);
        let outcome = run(seed, &Options { time, aloud: false }).unwrap();
        let violation = outcome.violation;
        assert_eq!(violation, None, "seed {seed}\n{}", outcome.tail.join("\n"));
    }
}
