//! What is: by the word of each machine's own systemd and journal, not of fleet.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use integration::Machine;
use serde_json::Value;

use super::units::Unit;

/// A unit on a machine: their names.
pub(super) type Place = (String, String);

/// What systemd has of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Copy {
    /// Its ActiveState.
    pub(super) active: String,
    /// Its SubState.
    pub(super) sub: String,
    /// How its last run ended: `success`, also if it has not.
    pub(super) result: String,
    /// The number of its main process.
    pub(super) pid: String,
    /// The id of its present run.
    pub(super) invocation: String,
    /// When its main process was started, since the host booted.
    pub(super) started: String,
}

impl fmt::Display for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Copy {
            active,
            sub,
            result,
            pid,
            invocation,
            started,
        } = self;
        let run = invocation.get(..8).unwrap_or("none");
        let micros: u64 = started.parse().unwrap_or_default();
        let seconds = Duration::from_micros(micros).as_secs_f64();
        write!(
            f,
            "{active} ({sub}, {result}), run {run}, process {pid} since {seconds:.2}"
        )
    }
}

/// Every copy of every unit, on the machines that were asked.
pub(super) type Picture = BTreeMap<Place, Copy>;

/// How often each unit was started on each machine within some time.
pub(super) type Starts = BTreeMap<Place, usize>;

/// Asks the systemd of each machine for the units.
pub(super) fn picture<'a>(
    machines: impl IntoIterator<Item = &'a Machine>,
    units: &[Unit],
) -> Result<Picture> {
    let mut picture = Picture::new();
    for machine in machines {
        let line = [
            "systemctl",
            "show",
            "--property=Id,LoadState,ActiveState,SubState,Result,MainPID,InvocationID",
            "--property=ExecMainStartTimestampMonotonic",
        ];
        let names = units.iter().map(|unit| unit.name.as_str());
        let text = machine.read(line.into_iter().chain(names))?;
        for block in text.split("\n\n") {
            let properties: BTreeMap<&str, &str> = block
                .lines()
                .filter_map(|line| line.split_once('='))
                .collect();
            if let Some((name, copy)) = copy(&properties) {
                picture.insert((name, machine.name().to_owned()), copy);
            }
        }
    }
    Ok(picture)
}

/// The copy that these properties tell of, if the machine has any.
fn copy(properties: &BTreeMap<&str, &str>) -> Option<(String, Copy)> {
    let get = |name: &str| properties.get(name).copied().unwrap_or_default().to_owned();
    // a file that is gone makes no difference to what runs
    let is_there = get("LoadState") == "loaded" || get("ActiveState") != "inactive";
    let copy = Copy {
        active: get("ActiveState"),
        sub: get("SubState"),
        result: get("Result"),
        pid: get("MainPID"),
        invocation: get("InvocationID"),
        started: get("ExecMainStartTimestampMonotonic"),
    };
    is_there.then(|| (get("Id"), copy))
}

/// A span of time, by the clock that all machines of the lab share, as journalctl takes it.
pub(super) struct Span {
    since: Duration,
    until: Duration,
}

impl Span {
    /// The time from a moment, since the epoch, to now.
    pub(super) fn since(since: Duration) -> Result<Span> {
        let until = now()?;
        Ok(Span { since, until })
    }

    /// When it ended: the next one begins there, so that nothing falls between them.
    pub(super) fn end(&self) -> Duration {
        self.until
    }
}

/// The time since the epoch.
pub(super) fn now() -> Result<Duration> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.context("the clock is before the epoch")
}

/// Reads in the journals how often each unit was started in that time.
pub(super) fn starts(machines: &[Machine], units: &[Unit], span: &Span) -> Result<Starts> {
    let mut starts = Starts::new();
    for machine in machines {
        for name in started(machine, span)? {
            if units.iter().any(|unit| unit.name == name) {
                let place = (name, machine.name().to_owned());
                *starts.entry(place).or_default() += 1;
            }
        }
    }
    Ok(starts)
}

/// The unit of every message of systemd's that one has been started.
fn started(machine: &Machine, span: &Span) -> Result<Vec<String>> {
    const STARTED: &str = "MESSAGE_ID=39f53479d3a045ac8e11786248231fbf";
    machine.read(["journalctl", "--sync"])?;
    let micros = |time: Duration| format!("@{}.{:06}", time.as_secs(), time.subsec_micros());
    let text = machine.read([
        "journalctl",
        "--quiet",
        "--no-pager",
        "--output=json",
        "--output-fields=UNIT",
        &format!("--since={}", micros(span.since)),
        &format!("--until={}", micros(span.until)),
        "_PID=1",
        STARTED,
    ])?;
    text.lines()
        .map(|line| {
            let entry: Value = serde_json::from_str(line).context("reading a journal")?;
            Ok(entry["UNIT"].as_str().unwrap_or_default().to_owned())
        })
        .collect()
}
