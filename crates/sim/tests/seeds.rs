//! Seeds that found something, each a cluster of its own with faults. `cargo xtask test` also runs some hundreds, `cargo xtask sim` as
//! many as there is time for.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use sim::{Outcome, one};

fn spawn(seed: u64, minutes: u64, verbose: bool, told: impl FnMut(&str)) -> Outcome {
    let options = one::Options {
        seed,
        minutes,
        verbose,
    };
    one::spawn(Path::new(env!("CARGO_BIN_EXE_sim")), &options, told).unwrap()
}

/// All that happens in five minutes of a seed, with the log of the product.
fn told(seed: u64) -> String {
    let mut lines = Vec::new();
    spawn(seed, 5, true, |line| lines.push(line.to_owned()));
    lines.join("\n")
}

#[test]
fn a_seed_repeats_a_run_exactly() {
    let (one, two) = (told(7), told(7));
    assert!(one.lines().count() > 1000, "{one}");
    assert!(one == two, "seed 7 did not repeat itself");
    assert!(one != told(8));
}

fn assert_well(seed: u64, minutes: u64) {
    let outcome = spawn(seed, minutes, false, |_| {});
    let violation = outcome.violation;
    assert_eq!(violation, None, "seed {seed}\n{}", outcome.tail.join("\n"));
}

/// The machine's record was written anew, and nobody heard of the renewals of its lease any more.
#[test]
fn seed_3_holds_fenced_units_when_metadata_changes() {
    assert_well(3, 40);
}

/// A machine left while its systemd was away: its lease was given back, and the unit ran on until that would have ended.
#[test]
fn seed_291_never_runs_a_fenced_unit_twice_when_a_machine_leaves() {
    assert_well(291, 10);
}

/// systemd was away when a stop ended: the unit was told as launched for ever.
#[test]
fn seed_5066_tells_of_a_stop_that_was_not_heard_of() {
    assert_well(5066, 60);
}
