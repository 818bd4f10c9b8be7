//! The commands, one a file. Each gives the program's exit code, or an error that `main` prints.

mod bring;
mod cat;
mod completion;
mod cordon;
mod destroy;
mod drain;
mod events;
mod export;
mod fd_forward;
mod forget;
mod import;
mod journal;
mod list_machines;
mod list_unit_files;
mod list_units;
mod load;
mod machines;
mod moves;
mod orders;
mod restart;
mod ssh;
mod start;
mod status;
mod stop;
mod submit;
mod unload;
mod verify;
mod version;
mod what_if;
mod why;
mod withdraw;

use std::process::ExitCode;

use clap::builder::StyledStr;

use crate::args::{Cli, Command};
use crate::names::{Argument, arguments};
use crate::{output, setup};

/// Does what the command line says.
///
/// # Errors
/// What the user has to know; nothing of it has been printed.
pub(crate) async fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    if cli.global.debug {
        tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_max_level(tracing::Level::DEBUG)
            .init();
    }
    if cli.global.version {
        return Ok(version::run());
    }
    let Some(command) = &cli.command else {
        return Ok(print_help(&Cli::definition().render_long_help()));
    };
    let reach = || setup::reach(&cli.global);
    match command {
        Command::Submit(options) => submit::run(&reach().await?.client, options).await,
        Command::Load(options) => load::run(&reach().await?.client, options).await,
        Command::Start(options) => start::run(&reach().await?.client, options).await,
        Command::Stop(options) => stop::run(&reach().await?.client, options).await,
        Command::Unload(options) => unload::run(&reach().await?.client, options).await,
        Command::Destroy(options) => destroy::run(&reach().await?.client, options).await,
        Command::Restart(options) => restart::run(&reach().await?.client, options).await,
        Command::Move(options) => moves::one(&reach().await?.client, options).await,
        Command::Rebalance(options) => moves::rebalance(&reach().await?.client, options).await,
        Command::Forget(options) => forget::run(&reach().await?.client, options).await,
        Command::Cordon(options) => cordon::set(&reach().await?.client, options).await,
        Command::Uncordon(options) => cordon::end(&reach().await?.client, options).await,
        Command::Drain(options) => drain::run(&reach().await?.client, options).await,
        Command::WhatIf(options) => what_if::run(&reach().await?.client, options).await,
        Command::Why(options) => why::run(&reach().await?.client, options).await,
        Command::Events(options) => events::run(&reach().await?.client, options).await,
        Command::Cat(options) => cat::run(&reach().await?.client, options).await,
        Command::ListUnits(options) => list_units::run(&reach().await?.client, options).await,
        Command::ListUnitFiles(options) => {
            list_unit_files::run(&reach().await?.client, options).await
        }
        Command::ListMachines(options) => list_machines::run(&reach().await?.client, options).await,
        Command::Status(options) => status::run(&reach().await?, options).await,
        Command::Journal(options) => journal::run(&reach().await?, options).await,
        Command::Ssh(options) => ssh::run(&reach().await?, options).await,
        Command::Import(options) => import::run(&cli.global, options).await,
        Command::Export(options) => export::run(&reach().await?.client, options).await,
        Command::Version(_) => Ok(version::run()),
        Command::FdForward(options) => fd_forward::run(options).await,
        Command::Completion(options) => Ok(completion::run(options.shell)),
        Command::Man(options) => completion::man(&options.folder),
        Command::Verify(_) => Ok(verify::run()),
    }
}

fn print_help(help: &StyledStr) -> ExitCode {
    output::say(&help.to_string());
    ExitCode::SUCCESS
}

/// The units that a command is given; says so if there are none.
fn some_units(texts: &[String]) -> Option<Vec<Argument>> {
    if texts.is_empty() {
        output::warn("No units given");
        return None;
    }
    Some(arguments(texts))
}

/// 0, or 1 if not all is well.
fn exit_code(well: bool) -> ExitCode {
    if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
