//! Where the time of one start goes, by the machine's journal.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use integration::Machine;

/// What the journal says on the way, in order, and what the time before it was spent on.
const STATIONS: [(&str, &str); 3] = [
    (
        ": writing unit file unit=",
        "command, request, plan, schedule",
    ),
    (": starting unit=", "unit file, links"),
    (": Started ", "systemd's start job"),
];

/// Starts one more unit, and prints the time between its stations.
///
/// # Errors
/// The start fails, or a journal lacks one of the stations.
pub(crate) fn run(machine: &Machine, unit: &str) -> Result<()> {
    let began = now()?;
    machine.read([
        "sh",
        "-c",
        &format!("cd /root/units && fleetctl start {unit}"),
    ])?;
    let ended = now()?;
    let journal = machine.read([
        "journalctl",
        "-u",
        "fleet",
        "-u",
        unit,
        "--no-pager",
        "-o",
        "short-unix",
    ])?;
    println!("  where it goes, one start:");
    let mut before = began;
    for (words, meaning) in STATIONS {
        let at = logged(&journal, words, unit)?;
        println!("    {meaning:<42} {:9.1} ms", (at - before) * 1e3);
        before = at;
    }
    println!(
        "    {:<42} {:9.1} ms",
        "unit state, answer, prompt",
        (ended - before) * 1e3
    );
    Ok(())
}

/// When a line with these words about the unit was logged, in seconds since 1970.
fn logged(journal: &str, words: &str, unit: &str) -> Result<f64> {
    let is_it = |line: &&str| line.contains(&format!("{words}{unit}"));
    let line = journal
        .lines()
        .find(is_it)
        .with_context(|| format!("fleetd logged no {words:?} of {unit}"))?;
    let stamp = line.split(' ').next().unwrap_or_default();
    stamp
        .parse()
        .with_context(|| format!("a journal line without a time: {line:?}"))
}

fn now() -> Result<f64> {
    let since: Duration = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock is before 1970")?;
    Ok(since.as_secs_f64())
}
