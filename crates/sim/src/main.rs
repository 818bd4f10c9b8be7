//! `sim`: many seeds, or a great cluster. `cargo xtask sim` and `cargo xtask bench scale` build and start it.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sim::{many, one};

/// Simulated clusters.
#[derive(Parser)]
#[command(name = "sim", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run seeds, each a cluster of its own for an hour of simulated time
    Seeds(many::Options),
    /// Run one seed, and print what came of it as JSON
    #[command(hide = true)]
    One(one::Options),
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Seeds(options) => many::run(&options),
        Task::One(options) => one::run(&options).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
