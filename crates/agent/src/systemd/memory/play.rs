//! What a unit file's commands would do, told without running them.
//!
//! Known commands: `/bin/sleep SECONDS` (or `infinity`) takes its time, `/bin/true` ends at once, and
//! `/bin/false` ends at once and fails.

use std::time::Duration;

use unitfile::{UnitFile, UnitName};

/// How a unit behaves from its start to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Play {
    /// How long it is on its way up; for ever if none.
    pub(super) rise: Option<Duration>,
    /// Whether the way up ends well.
    pub(super) rises: bool,
    /// The state that it comes to.
    pub(super) up: (&'static str, &'static str),
    /// How long it is on its way down; for ever if none.
    pub(super) fall: Option<Duration>,
}

const DEAD: (&str, &str) = ("inactive", "dead");
const FAILED: (&str, &str) = ("failed", "failed");
const RUNNING: (&str, &str) = ("active", "running");

/// Reads the play from the unit file; none if systemd would refuse to load it.
pub(super) fn play(name: &UnitName, file: &UnitFile) -> Option<Play> {
    let service = |option| file.values("Service", option).last().unwrap_or("");
    let plain = |up| Play {
        rise: Some(Duration::ZERO),
        rises: true,
        up,
        fall: command(service("ExecStop")).0,
    };
    match name.suffix() {
        "service" if service("ExecStart").is_empty() => None,
        "service" => Some(service_play(&plain(RUNNING), &service)),
        "socket" => Some(plain(("active", "listening"))),
        "timer" | "path" => Some(plain(("active", "waiting"))),
        _ => Some(plain(("active", "active"))),
    }
}

fn service_play<'a>(plain: &Play, service: &impl Fn(&'static str) -> &'a str) -> Play {
    let (time, well) = command(service("ExecStart"));
    let before = command(service("ExecStartPre")).0;
    if service("Type") == "oneshot" {
        let remain = service("RemainAfterExit") == "yes";
        let up = if remain { ("active", "exited") } else { DEAD };
        let rise = before.zip(time).map(|(before, time)| before + time);
        return Play {
            rise,
            rises: well,
            up,
            ..*plain
        };
    }
    let up = match (time, well) {
        (_, false) => FAILED,
        (Some(Duration::ZERO), true) => DEAD,
        _ => RUNNING,
    };
    Play {
        rise: before,
        up,
        ..*plain
    }
}

/// How long a command takes, for ever if none, and whether it ends well.
fn command(line: &str) -> (Option<Duration>, bool) {
    let mut words = line.split_whitespace();
    match (words.next(), words.next()) {
        (Some("/bin/false"), _) => (Some(Duration::ZERO), false),
        (Some("/bin/sleep"), Some(time)) => (seconds(time), true),
        _ => (Some(Duration::ZERO), true),
    }
}

fn seconds(time: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(time.parse().ok()?).ok()
}
