//! Programs that are run in the workspace, cargo above all.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Builds `fleetd` and `fleetctl` where [`integration::Fleet::built`] looks for them.
pub(crate) fn build_programs() -> Result<()> {
    let release = std::env::var("FLOTILLA_PROFILE").is_ok_and(|profile| profile == "release");
    let flag = if release { " --release" } else { "" };
    cargo(&format!("build --package fleetd --package fleetctl{flag}"))
}

/// Runs cargo on this terminal; it must succeed.
pub(crate) fn cargo(words: &str) -> Result<()> {
    run_in_workspace(&mut cargo_command(words))
}

/// The same, and what it runs finds `value` in its environment.
pub(crate) fn cargo_with(words: &str, variable: &str, value: &OsStr) -> Result<()> {
    run_in_workspace(cargo_command(words).env(variable, value))
}

fn cargo_command(words: &str) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(words.split_ascii_whitespace());
    command
}

/// Runs a program on this terminal; it must succeed.
pub(crate) fn run_in_workspace(command: &mut Command) -> Result<()> {
    let status = command
        .current_dir(workspace())
        .status()
        .with_context(|| format!("running {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed ({status})");
    }
    Ok(())
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
