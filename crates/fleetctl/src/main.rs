//! fleetctl: the command line of a Flotilla cluster.

mod args;
mod argv;
mod calendar;
mod client;
mod commands;
mod endpoint;
mod environment;
mod failure;
mod home;
mod http;
mod legend;
mod listing;
mod locate;
mod names;
mod output;
mod pending;
mod poll;
mod progress;
mod remote;
mod setup;
mod ssh;
mod table;
mod tls;
mod transfer;
mod usage;
mod verdict;
mod wait;
mod watch;
mod wire;

use std::process::ExitCode;

use args::Cli;
use client::ClientError;

/// The exit code of wrong usage.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    if let Some(code) = ssh::help_if_asked() {
        return code;
    }
    match Cli::read(std::env::args_os()) {
        Ok(cli) => run(&cli),
        Err(error) if error.use_stderr() => {
            let args: Vec<_> = std::env::args_os().collect();
            output::warn(&usage::explain(&error, &args, &Cli::definition()));
            ExitCode::from(USAGE)
        }
        Err(help) => {
            output::say(&help.to_string());
            ExitCode::SUCCESS
        }
    }
}

fn run(cli: &Cli) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            return fail(&anyhow::Error::new(error).context("starting the async runtime"));
        }
    };
    let result = runtime.block_on(commands::run(cli));
    // a read of stdin that nobody needs any more would hold up an orderly shutdown
    runtime.shutdown_background();
    result.unwrap_or_else(|error| fail(&error))
}

/// Says what went wrong, in one line: all its causes; of a server that cannot be reached only that, and the cure.
fn fail(error: &anyhow::Error) -> ExitCode {
    let unreachable = error.chain().find(|cause| cure(*cause).is_some());
    match unreachable {
        Some(cause) => output::warn(&format!(
            "{}; {}",
            chain(cause),
            cure(cause).unwrap_or_default()
        )),
        None => output::warn(&format!("{error:#}")),
    }
    ExitCode::FAILURE
}

fn cure(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    error
        .downcast_ref::<ClientError>()
        .and_then(ClientError::cure)
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
