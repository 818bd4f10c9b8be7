//! `cargo xtask test`: every check there is, in order, each announced and timed.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::build::{build_programs, cargo, run_in_workspace};
use crate::{chaos, deps};

/// What to leave out.
#[derive(Args)]
pub(crate) struct Options {
    /// Leave out the stories told on real machines, which need root
    #[arg(long)]
    no_lab: bool,
}

/// All kinds of faults fit in: about 75 s with the machines' boot. It is the same minute each time.
const A_MINUTE: chaos::Options = chaos::Options {
    minutes: 1,
    seed: Some(3),
    etcd: false,
};

/// Each has ten minutes of faults and settles. `cargo xtask sim` has hours, thousands of seeds, and an optimised build.
const SIMULATIONS: &str = "run --quiet --package sim -- seeds --seeds 200 --minutes 10";

/// Runs all the checks, up to the first that fails.
///
/// # Errors
/// A check failed; the message names it.
pub(crate) fn run(options: &Options) -> Result<()> {
    let start = Instant::now();
    step("packages", deps::ensure)?;
    step("format", || cargo("fmt --all -- --check"))?;
    step("lints", || {
        cargo("clippy --workspace --all-targets -- -D warnings")
    })?;
    step("tests", || cargo("test --workspace --exclude integration"))?;
    step("simulated clusters", || cargo(SIMULATIONS))?;
    if options.no_lab {
        println!("== stories: left out (--no-lab)");
    } else {
        step("stories on real machines", stories)?;
        step("a minute of chaos", || chaos::run(&A_MINUTE))?;
    }
    step("Vagrantfile", vagrant)?;
    println!("== all is well after {:.0?}", start.elapsed());
    Ok(())
}

fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("== {name}");
    let start = Instant::now();
    let result = work();
    let took = start.elapsed();
    match &result {
        Ok(()) => println!("== {name}: ok after {took:.1?}"),
        Err(_) => println!("== {name}: FAILED after {took:.1?}"),
    }
    result.with_context(|| format!("the check \"{name}\" failed"))
}

fn stories() -> Result<()> {
    let root = nix::unistd::geteuid().is_root();
    ensure!(
        root,
        "real machines need root: run this as root, or leave them out with --no-lab"
    );
    build_programs()?;
    cargo("test --package integration")
}

/// Vagrant is not everywhere: where it cannot be installed there is nothing to check with.
fn vagrant() -> Result<()> {
    if !deps::ensure_if_possible("vagrant") {
        println!("left out: vagrant does not install here");
        return Ok(());
    }
    run_in_workspace(Command::new("vagrant").args(["validate", "--ignore-provider"]))
}
