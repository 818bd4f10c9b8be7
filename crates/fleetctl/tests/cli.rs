//! The transcripts in `tests/cli`: a story a file, each command with what it prints and its exit code.
//!
//! `UPDATE=1 cargo test -p fleetctl` rewrites them; the diff is the review. `support::transcript` tells the format.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use support::server::Version;
use support::transcript::{Stage, Transcript, play};

#[test]
fn transcripts() {
    let stories = stories();
    assert!(!stories.is_empty(), "there are no transcripts");
    let failures: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = stories
            .iter()
            .map(|(path, version)| scope.spawn(move || check(path, *version)))
            .collect();
        running
            .into_iter()
            .filter_map(|story| story.join().expect("a story panicked"))
            .collect()
    });
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn a_server_that_goes_away_for_good_ends_the_wait() {
    let stage = Stage::set(Version::V2);
    stage.act("machine 1f8dd9641d1b4f9d8c0b3b6a5e4f3a2b 10.99.0.11");
    stage.write(Some((
        "never.service".to_owned(),
        "[Service]\nExecStart=/bin/never\n".to_owned(),
    )));
    let waiting = stage
        .command("fleetctl start never")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while stage.requests().lines().all(|line| !line.contains("PUT")) {
        std::thread::yield_now();
    }
    stage.close();
    let output = waiting.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("Lost the connection, trying again for 10s: cannot reach fleetd at unix://"),
        "{said}"
    );
    assert!(
        said.ends_with("or name another with --endpoint or FLEETCTL_ENDPOINT\n"),
        "{said}"
    );
}

/// Every transcript with every kind of server that it names.
fn stories() -> Vec<(PathBuf, Version)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli");
    let mut paths: Vec<PathBuf> = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    let versions =
        |path: &PathBuf| Transcript::parse(&std::fs::read_to_string(path).unwrap()).versions();
    paths
        .into_iter()
        .flat_map(|path| {
            versions(&path)
                .into_iter()
                .map(move |version| (path.clone(), version))
        })
        .collect()
}

/// Plays a story. What is seen comes back if it differs from the file.
fn check(path: &Path, version: Version) -> Option<String> {
    let expected = std::fs::read_to_string(path).unwrap();
    let seen = play(&Transcript::parse(&expected), version);
    if seen == expected {
        return None;
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, seen).unwrap();
        return None;
    }
    Some(format!(
        "{} on {version:?} differs; seen:\n{seen}",
        path.display()
    ))
}
