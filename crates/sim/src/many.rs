//! Many seeds, and what they come to. Each has a process of its own, so that nothing but the seed decides what happens.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use crate::one;
use crate::run::Outcome;
use crate::world::Figures;

/// Which seeds to run, and how.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How many seeds
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// How many minutes of simulated time each, at least
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// How many at a time [default: as many as there are processors]
    #[arg(long)]
    jobs: Option<usize>,
    /// Go on after a violation, and list them all
    #[arg(long)]
    keep_going: bool,
    /// Print all that happens, with the log of the product
    #[arg(long)]
    verbose: bool,
}

/// What all seeds so far have come to.
#[derive(Debug, Default)]
struct Sum {
    seeds: u64,
    simulated: Duration,
    slowest_run: Duration,
    figures: Figures,
    violations: Vec<Outcome>,
}

/// Runs the seeds, up to the first that violates something unless told to go on; tells whether none did.
///
/// # Errors
/// The simulation itself fails.
pub fn run(options: &Options) -> Result<bool> {
    let begun = Instant::now();
    let sum = Mutex::new(Sum::default());
    run_all(options, &sum)?;
    let sum = sum.into_inner().unwrap_or_default();
    eprintln!();
    sum.print(begun.elapsed());
    for outcome in &sum.violations {
        print_violation(outcome, options);
    }
    Ok(sum.violations.is_empty())
}

fn run_all(options: &Options, sum: &Mutex<Sum>) -> Result<()> {
    let sim = std::env::current_exe()?;
    let (next, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = if options.verbose {
        1
    } else {
        options.jobs.unwrap_or_else(processors)
    };
    let work = || {
        while let Some(seed) = take(&next, &over, options) {
            let outcome = options.one(&sim, seed);
            let outcome = outcome.inspect_err(|_| over.store(true, Relaxed))?;
            over.fetch_or(outcome.violation.is_some() && !options.keep_going, Relaxed);
            if let Ok(mut sum) = sum.lock() {
                sum.add(outcome);
                sum.show(options);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| match worker.join() {
                Ok(ended) => ended,
                Err(panic) => std::panic::resume_unwind(panic),
            })
    })
}

/// The next seed to run, if another is to be.
fn take(next: &AtomicU64, over: &AtomicBool, options: &Options) -> Option<u64> {
    let number = next.fetch_add(1, Relaxed);
    (number < options.seeds && !over.load(Relaxed)).then_some(options.from + number)
}

impl Options {
    fn one(&self, sim: &Path, seed: u64) -> Result<Outcome> {
        let options = one::Options {
            seed,
            minutes: self.minutes,
            verbose: self.verbose,
        };
        one::spawn(sim, &options, |line| println!("{line}"))
    }
}

impl Sum {
    fn add(&mut self, outcome: Outcome) {
        self.seeds += 1;
        self.simulated += outcome.simulated;
        self.slowest_run = self.slowest_run.max(outcome.took);
        self.figures.add(&outcome.figures);
        if outcome.violation.is_some() {
            self.violations.push(outcome);
        }
    }

    /// One line that is written over and over.
    fn show(&self, options: &Options) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        eprint!(
            "\r{} of {} seeds, {} faults ",
            self.seeds,
            options.seeds,
            self.faults()
        );
        // it is only for the eye
        let _ = std::io::stderr().flush();
    }

    fn faults(&self) -> u64 {
        self.figures.faults.values().sum()
    }

    fn print(&self, took: Duration) {
        let figures = &self.figures;
        let faults: Vec<String> = figures
            .faults
            .iter()
            .map(|(kind, count)| format!("{kind} {count}"))
            .collect();
        println!("seeds               {}", self.seeds);
        println!(
            "simulated time      {:.1} h",
            self.simulated.as_secs_f64() / 3600.0
        );
        println!(
            "real time           {:.1} s; the slowest seed {:.2} s",
            took.as_secs_f64(),
            self.slowest_run.as_secs_f64()
        );
        println!(
            "requests            {} done, {} refused or failed",
            figures.requests.0, figures.requests.1
        );
        println!(
            "faults              {}: {}",
            self.faults(),
            faults.join(", ")
        );
        println!(
            "processes watched   {}, summed over all looks",
            figures.witnessed
        );
        println!(
            "healed to settled   {:.1} s at most",
            figures.slowest.as_secs_f64()
        );
    }
}

fn print_violation(outcome: &Outcome, options: &Options) {
    println!("\nseed {}, the end of its trace:", outcome.seed);
    outcome.tail.iter().for_each(|line| println!("{line}"));
    println!(
        "\nviolation: {}",
        outcome.violation.as_deref().unwrap_or_default()
    );
    println!(
        "again:     cargo xtask sim --seeds 1 --from {} --minutes {} --verbose",
        outcome.seed, options.minutes
    );
}
