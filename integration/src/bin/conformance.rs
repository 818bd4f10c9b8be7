//! Plays the API part of the conformance suite on a fleet server: `conformance --endpoint URL [FILE…]`.
//!
//! The server needs two machines or more, and no unit whose name begins with `conformance-`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use integration::conformance::{self, Player, Server};

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("conformance: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// The number of files that were not answered as they say.
fn run(arguments: &[String]) -> Result<usize> {
    let [flag, endpoint, files @ ..] = arguments else {
        bail!("usage: conformance --endpoint URL [FILE...]");
    };
    if flag != "--endpoint" {
        bail!("usage: conformance --endpoint URL [FILE...]");
    }
    let player = Player::of(Server::parse(endpoint)?)?;
    let files: Vec<PathBuf> = match files {
        [] => conformance::files("api", "txt")?,
        files => files.iter().map(PathBuf::from).collect(),
    };
    let mut failed = 0;
    for path in &files {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        match conformance::check(path, &player.play(&text)?) {
            Ok(()) => println!("{}: ok", path.display()),
            Err(difference) => {
                println!("{difference:#}");
                failed += 1;
            }
        }
    }
    println!("{} passed, {failed} failed", files.len() - failed);
    Ok(failed)
}
