//! `cargo xtask bench`: figures, each beside its reference in the same run.

mod cpu;
mod phases;
mod plan;
mod rest;
mod scale;
mod start;

use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};
use integration::{Backing, Cluster, Fleet, Lab};

use crate::{build, deps};

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    bench: Bench,
    /// Keep the records in a real etcd instead of the embedded store
    #[arg(long, global = true)]
    etcd: bool,
}

#[derive(Subcommand)]
enum Bench {
    /// From the command line to `active`: one unit, then 300 on three machines, against systemctl alone
    Start(start::Options),
    /// Who runs where, with every rule in the mix, on one core; needs no machines
    Plan(plan::Options),
    /// A cluster of machines in memory: the real store, engine and agents, with as many units as you like; needs no machines
    Scale(scale::Options),
    /// Processor time and memory of fleetd with 300 units on three machines and nothing to do
    Rest(rest::Options),
}

/// Builds what is measured, measures, prints.
///
/// # Errors
/// Something could not be built, booted or started.
pub(crate) fn run(options: &Options) -> Result<()> {
    match &options.bench {
        Bench::Plan(sizes) => plan::run(sizes),
        Bench::Scale(sizes) => scale::run(sizes),
        Bench::Start(what) => start::run(&cluster(options)?, what),
        Bench::Rest(what) => rest::run(&cluster(options)?, what),
    }
}

/// Three machines with fleet as it is released.
fn cluster(options: &Options) -> Result<Cluster> {
    deps::ensure()?;
    build::cargo("build --quiet --release --package fleetd --package fleetctl")?;
    let fleet = Fleet::from_folder(build::target().join("release"))?;
    let backing = if options.etcd {
        Backing::Etcd
    } else {
        Backing::EmbeddedStore
    };
    let cluster = Cluster::boot(Lab::unique("bench")?, 3, backing, &fleet)?;
    println!("three machines on {} cores, records in {backing}", cores());
    Ok(cluster)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The middle one of several measurements.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// How much longer the first took than the second.
fn ratio(ours: Duration, reference: Duration) -> f64 {
    ours.as_secs_f64() / reference.as_secs_f64()
}
