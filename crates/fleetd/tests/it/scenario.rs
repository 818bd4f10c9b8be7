//! Tests as text: each file holds situations and what came of them; `UPDATE=1` writes down what comes of them now.

use std::path::{Path, PathBuf};

/// The situations of a file: separated by `====`, each up to the `----` before its outcome.
pub(crate) fn situations(text: &str) -> Vec<String> {
    let situation = |case: &str| case.split("----\n").next().unwrap_or(case).to_owned();
    text.split("====\n").map(situation).collect()
}

/// A file of situations with these outcomes.
pub(crate) fn print(situations: &[String], outcomes: &[String]) -> String {
    let cases = situations.iter().zip(outcomes);
    let case = |(situation, outcome): (&String, &String)| {
        format!("{}\n----\n{}\n", situation.trim_end(), outcome.trim_end())
    };
    cases.map(case).collect::<Vec<_>>().join("====\n")
}

/// The scenario files of a folder below `tests`.
pub(crate) fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "txt"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no scenarios in {}", folder.display());
    files
}

/// Compares a file with what came of it, or rewrites it.
pub(crate) fn check(path: &Path, actual: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(path).unwrap();
    let differs = expected
        .lines()
        .zip(actual.lines())
        .position(|(a, b)| a != b);
    let line = differs.unwrap_or_else(|| expected.lines().count().min(actual.lines().count()));
    assert!(
        expected == actual,
        "{}:{}: expected {:?}, got {:?} (UPDATE=1 rewrites the file)",
        path.display(),
        line + 1,
        expected.lines().nth(line),
        actual.lines().nth(line),
    );
}
