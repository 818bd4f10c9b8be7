//! The conformance suite: what any fleet server answers, and what fleetctl prints, as text.
//!
//! - `conformance/api/*.txt`: requests and answers, for any server ([`Player`]);
//! - `conformance/cli/*.txt`: command lines and what they print ([`transcript`]);
//! - `conformance/scripts/*.sh`: scripts in the style of fleet's time, which check for themselves.
//!
//! `UPDATE=1` writes down what is seen; the diff is the review.

mod api;
mod server;
pub mod transcript;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

pub use api::Player;
pub use server::Server;

/// The files of one part of the suite, in order.
///
/// # Errors
/// The folder cannot be read, or is empty.
pub fn files(part: &str, extension: &str) -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("conformance")
        .join(part);
    let entries = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    files.sort();
    ensure!(
        !files.is_empty(),
        "there is nothing in {}",
        folder.display()
    );
    Ok(files)
}

/// Holds what was seen against a file, or writes it down if `UPDATE` is set.
///
/// # Errors
/// They differ; the message shows the first line that does.
pub fn check(path: &Path, seen: &str) -> Result<()> {
    if std::env::var_os("UPDATE").is_some() {
        return fs::write(path, seen).with_context(|| format!("writing {}", path.display()));
    }
    let expected =
        fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let same = expected
        .lines()
        .zip(seen.lines())
        .take_while(|(a, b)| a == b)
        .count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("(the end)").to_owned();
    ensure!(
        expected == seen,
        "{}:{}: expected\n    {}\nseen\n    {}",
        path.display(),
        same + 1,
        line(&expected),
        line(seen)
    );
    Ok(())
}
