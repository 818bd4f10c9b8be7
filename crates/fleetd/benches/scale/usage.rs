//! What each role uses.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::memory;
use crate::role::Role;

/// Those that are measured.
const ROLES: [Role; 3] = [Role::Agents, Role::Engine, Role::Store];

/// Processor time by thread, in hundredths of a second, when it was last told.
pub(crate) struct Usage(BTreeMap<String, u64>);

impl Usage {
    pub(crate) fn now() -> Self {
        Usage(ticks())
    }

    pub(crate) fn tell(&mut self, what: &str, took: Duration) {
        let now = ticks();
        let used = ROLES.map(|role| {
            let ticks = |all: &BTreeMap<String, u64>| all.get(role.name()).copied().unwrap_or(0);
            let used = ticks(&now).saturating_sub(ticks(&self.0));
            format!("{} {:.2} s", role.name(), used as f64 / 100.0)
        });
        println!(
            "{:>9.2} s  {what}  (processor time: {})",
            took.as_secs_f64(),
            used.join(", ")
        );
        self.0 = now;
    }

    /// What has been used up to now is not told.
    pub(crate) fn skip(&mut self) {
        self.0 = ticks();
    }

    /// What each role has allocated and not given back.
    pub(crate) fn tell_memory(&self) {
        let held = ROLES.map(|role| format!("{} {} MiB", role.name(), memory::held(role) >> 20));
        println!(
            "             memory that each role holds: {}",
            held.join(", ")
        );
    }
}

/// Of each thread's name, as in proc(5).
fn ticks() -> BTreeMap<String, u64> {
    let mut all: BTreeMap<String, u64> = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
    {
        let Ok(stat) = std::fs::read_to_string(task.path().join("stat")) else {
            continue;
        };
        if let Some((name, ticks)) = name_and_ticks(&stat) {
            *all.entry(name).or_default() += ticks;
        }
    }
    all
}

fn name_and_ticks(stat: &str) -> Option<(String, u64)> {
    let (start, end) = (stat.find('(')?, stat.rfind(')')?);
    let fields: Vec<&str> = stat.get(end + 1..)?.split_whitespace().collect();
    let ticks: Option<u64> = [11, 12]
        .iter()
        .map(|at| fields.get(*at)?.parse::<u64>().ok())
        .sum();
    Some((stat.get(start + 1..end)?.to_owned(), ticks?))
}

/// A line of /proc/self/status, in KiB.
pub(crate) fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.trim().split(' ').next()?.parse().ok())
        .unwrap_or(0)
}
