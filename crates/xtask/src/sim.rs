//! `cargo xtask sim`: clusters in one process, with faults, from seeds.

use anyhow::Result;
use clap::Args;

use crate::build;

/// Which seeds to run.
#[derive(Args)]
pub(crate) struct Options {
    /// How many seeds
    #[arg(long, value_name = "N", default_value = "200")]
    seeds: u64,
    /// The first of them
    #[arg(long, value_name = "SEED", default_value = "1")]
    from: u64,
    /// How many minutes of simulated time each, at least
    #[arg(long, value_name = "MINUTES", default_value = "60")]
    minutes: u64,
    /// Go on after a violation, and list them all
    #[arg(long)]
    keep_going: bool,
    /// Print all that happens, with the log of the product
    #[arg(long)]
    verbose: bool,
}

/// Builds the simulation and runs it.
///
/// # Errors
/// A seed violates something.
pub(crate) fn run(options: &Options) -> Result<()> {
    let Options {
        seeds,
        from,
        minutes,
        ..
    } = options;
    let flag = |given, flag| if given { flag } else { "" };
    let keep_going = flag(options.keep_going, " --keep-going");
    let verbose = flag(options.verbose, " --verbose");
    build::cargo(&format!(
        "run --quiet --profile sim --package sim -- seeds --seeds {seeds} --from {from} --minutes {minutes}{keep_going}{verbose}"
    ))
}
