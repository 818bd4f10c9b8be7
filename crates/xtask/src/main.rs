//! The developer's commands, as in `cargo xtask test`.

mod bench;
mod build;
mod chaos;
mod demo;
mod deps;
mod lab;
mod sim;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The developer's commands of Flotilla.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// A cluster of three real machines, a power cut, and units that run elsewhere; it stays for you to play with
    Demo(demo::Options),
    /// Figures, beside their reference in the same run
    Bench(bench::Options),
    /// Every check there is, in order, up to the first that fails
    #[command(visible_alias = "ci")]
    Test(test::Options),
    /// Clusters in one process, with faults: a seed each, that repeats its run exactly
    Sim(sim::Options),
    /// Real machines on which one thing after the other goes wrong, in the order of a seed
    Chaos(chaos::Options),
    /// Real systemd machines on this host, to work with by hand
    Lab(lab::Options),
    /// Install the Debian packages that the other commands need
    Deps,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Demo(options) => demo::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Test(options) => test::run(&options),
        Task::Sim(options) => sim::run(&options),
        Task::Chaos(options) => chaos::run(&options),
        Task::Lab(options) => lab::run(options),
        Task::Deps => deps::ensure(),
    }
}
