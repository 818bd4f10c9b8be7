//! The commands, one a file. Each gives the program's exit code, or an error that `main` prints.

mod bring;
mod cat;
mod destroy;
mod fd_forward;
mod list_machines;
mod list_unit_files;
mod list_units;
mod load;
mod orders;
mod start;
mod stop;
mod submit;
mod unload;
mod verify;
mod version;
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
    let client = || setup::client(&cli.global);
    let Some(command) = &cli.command else {
        return Ok(print_help(&Cli::definition().render_long_help()));
    };
    match command {
        Command::Submit(options) => submit::run(&client()?, options).await,
        Command::Load(options) => load::run(&client()?, options).await,
        Command::Start(options) => start::run(&client()?, options).await,
        Command::Stop(options) => stop::run(&client()?, options).await,
        Command::Unload(options) => unload::run(&client()?, options).await,
        Command::Destroy(options) => destroy::run(&client()?, options).await,
        Command::Cat(options) => cat::run(&client()?, options).await,
        Command::ListUnits(options) => list_units::run(&client()?, options).await,
        Command::ListUnitFiles(options) => list_unit_files::run(&client()?, options).await,
        Command::ListMachines(options) => list_machines::run(&client()?, options).await,
        Command::Version(_) => Ok(version::run()),
        Command::FdForward(options) => fd_forward::run(options).await,
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
