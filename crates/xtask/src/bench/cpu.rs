//! Whose processor time it was.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use integration::Cluster;

/// The programs whose time is told apart, by the name of their process.
const PROGRAMS: [&str; 5] = [
    "systemd",
    "systemd-journald",
    "dbus-daemon",
    "fleetd",
    "etcd",
];

/// Processor time that each program has used so far, summed over all machines.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cpu(BTreeMap<&'static str, Duration>);

impl Cpu {
    /// Reads the kernel's accounts.
    pub(crate) fn of(cluster: &Cluster) -> Cpu {
        let time = |program: &'static str| {
            let processes = cluster
                .lab
                .machines()
                .iter()
                .flat_map(|machine| machine.processes(program));
            (
                program,
                processes.filter_map(|process| time_of(process.pid)).sum(),
            )
        };
        Cpu(PROGRAMS.into_iter().map(time).collect())
    }

    /// What was used since `earlier`, in one line.
    pub(crate) fn since(&self, earlier: &Cpu) -> String {
        let used = |(program, time): (&&str, &Duration)| {
            let used = time.saturating_sub(earlier.0.get(program).copied().unwrap_or_default());
            (!used.is_zero()).then(|| format!("{program} {:.2} s", used.as_secs_f64()))
        };
        self.0
            .iter()
            .filter_map(used)
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// User and system time of a process, from `/proc/PID/stat` (proc(5): fields 14 and 15, in clock ticks of 10 ms).
pub(crate) fn time_of(pid: i32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

/// Resident memory of a process, in KiB.
pub(crate) fn memory_of(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}
