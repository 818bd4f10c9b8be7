//! `fleetctl completion SHELL` and `fleetctl man DIR`: what the command line's definition says, for shells and for man.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap_complete::Shell;

use crate::args::Cli;
use crate::output;

/// Prints the completions for a shell.
pub(crate) fn run(shell: Shell) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::plain_definition(), "fleetctl", &mut text);
    output::say(&String::from_utf8_lossy(&text));
    ExitCode::SUCCESS
}

/// Writes a page for fleetctl and one for each command.
pub(crate) fn man(folder: &Path) -> anyhow::Result<ExitCode> {
    let write = || {
        std::fs::create_dir_all(folder)?;
        clap_mangen::generate_to(
            Cli::plain_definition().disable_help_subcommand(true),
            folder,
        )
    };
    write().with_context(|| format!("writing man pages into {}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}
