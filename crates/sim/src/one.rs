//! One seed in a process of its own. What is process-wide in dependencies, such as the count that tokio mixes into the
//! seed of each runtime, would make a seed's run depend on those before it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::run::{self, Outcome};

/// Which seed to run, and how.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The seed
    pub seed: u64,
    /// How many minutes of simulated time, at least
    #[arg(long, default_value_t = 60)]
    pub minutes: u64,
    /// Print all that happens, with the log of the product
    #[arg(long)]
    pub verbose: bool,
}

/// Runs a seed in this process; what came of it is the last line of the output, in JSON.
///
/// # Errors
/// The simulation itself fails.
pub fn run(options: &Options) -> Result<()> {
    let each = run::Options {
        time: Duration::from_secs(options.minutes * 60),
        aloud: options.verbose,
    };
    let outcome = run::run(options.seed, &each)?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

/// Runs a seed in a process of its own, of the program `sim`; what that prints goes to `told`, line by line.
///
/// # Errors
/// The simulation itself fails.
pub fn spawn(sim: &Path, options: &Options, told: impl FnMut(&str)) -> Result<Outcome> {
    let mut words = Command::new(sim);
    words.arg("one").arg(options.seed.to_string());
    words.arg("--minutes").arg(options.minutes.to_string());
    if options.verbose {
        words.arg("--verbose");
    }
    let child = words.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let child = child.context("starting a simulation")?;
    listen(child, told).with_context(|| format!("simulating seed {}", options.seed))
}

/// Passes on all lines but the last.
fn listen(mut child: Child, mut told: impl FnMut(&str)) -> Result<Outcome> {
    let output = child.stdout.take().context("its output")?;
    let mut last = String::new();
    for line in BufReader::new(output).lines() {
        let before = std::mem::replace(&mut last, line?);
        if !before.is_empty() {
            told(&before);
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("it ended with {status}");
    }
    serde_json::from_str(&last).context("reading what came of it")
}
