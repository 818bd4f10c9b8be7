//! Command lines and what they print.
//!
//! ```text
//! # a sentence
//! file hello.service                 a file in the current folder; its lines follow, indented
//!     [Service]
//!     ExecStart=/bin/sleep infinity
//! $ fleetctl start hello             a line for the shell
//! O| Unit hello.service inactive     its stdout
//! E| …                               its stderr
//! exit 0
//! ```

use std::process::Output;

use anyhow::{Context, Result};

/// Where a transcript is played.
pub trait Stage {
    /// Puts a file into the current folder.
    ///
    /// # Errors
    /// It cannot be written.
    fn write(&self, path: &str, text: &str) -> Result<()>;

    /// Has a shell run a line in the current folder.
    ///
    /// # Errors
    /// There is no shell to do so.
    fn run(&self, line: &str) -> Result<Output>;
}

/// Plays a transcript; what it looks like with what was printed is returned.
///
/// # Errors
/// The stage fails.
pub fn play(text: &str, stage: &dyn Stage) -> Result<String> {
    let printed =
        |line: &&str| line.starts_with("O|") || line.starts_with("E|") || line.starts_with("exit ");
    let mut seen = String::new();
    let mut file: Option<(&str, String)> = None;
    for line in text.lines().filter(|line| !printed(line)) {
        seen += &format!("{line}\n");
        if let (Some(content), Some((_, text))) = (content(line), &mut file) {
            *text += &format!("{content}\n");
            continue;
        }
        if let Some((path, text)) = file.take() {
            stage.write(path, text.trim_end_matches('\n'))?;
        }
        file = line.strip_prefix("file ").map(|path| (path, String::new()));
        if let Some(command) = line.strip_prefix("$ ") {
            seen += &run(command, stage)?;
        }
    }
    Ok(seen)
}

/// What a line adds to the file above it.
fn content(line: &str) -> Option<&str> {
    if line.is_empty() {
        Some("")
    } else {
        line.strip_prefix("    ")
    }
}

fn run(command: &str, stage: &dyn Stage) -> Result<String> {
    let output = stage
        .run(command)
        .with_context(|| format!("running {command}"))?;
    let code = output
        .status
        .code()
        .with_context(|| format!("{command} was killed"))?;
    Ok(format!(
        "{}{}exit {code}\n",
        marked("O|", &output.stdout),
        marked("E|", &output.stderr)
    ))
}

fn marked(mark: &str, bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = |line: &str| {
        if line.is_empty() {
            format!("{mark}\n")
        } else {
            format!("{mark} {line}\n")
        }
    };
    text.lines().map(line).collect()
}
