//! Running the host's tools, with errors that tell what they said.

use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// Runs a command to its end, whatever that is.
pub(crate) fn run(command: &mut Command) -> Result<Output> {
    command
        .output()
        .with_context(|| format!("running {}", describe(command)))
}

/// Runs a command that must succeed, and returns what it printed, without the last line break.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = run(command)?;
    if !output.status.success() {
        bail!(
            "{} failed ({}): {}",
            describe(command),
            output.status,
            complaint(&output)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned())
}

fn complaint(output: &Output) -> String {
    let said = if output.stderr.is_empty() {
        &output.stdout
    } else {
        &output.stderr
    };
    String::from_utf8_lossy(said).trim().to_owned()
}

/// The command line as one would type it, cut where it gets long.
fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ");
    line.chars().take(300).collect()
}
