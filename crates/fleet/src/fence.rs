//! Units of which there is at most one copy, ever: `Fence=yes`.
//!
//! A machine *claims* such a unit before it starts it, and gives the claim back when the unit is down: the record `fence/<unit>` names
//! the machine that may be running it. Nobody else claims it meanwhile. A machine whose lease ends stops its claimed units by a
//! timer in systemd, dead or frozen or cut off as its fleetd may be; the leader takes the claim away when that is sure to have
//! happened, or when the machine has booted anew.
//!
//! What this rests on: the machine's timer is set for the lease's end as the machine reckons it, from before it asked for the
//! renewal; etcd reckons from after that. So the unit is told to stop before the lease ends, as long as neither clock runs
//! [`DRIFT`] percent faster than the other. Only clocks that run are compared, never times of day.

use std::collections::BTreeMap;
use std::time::Duration;

use unitfile::{UnitFile, UnitName};

use crate::requirements::parse_seconds;
use crate::{Cluster, MachineId};

/// How much faster than another a clock may run, in percent.
pub const DRIFT: u32 = 1;

/// What starting and ending jobs may take in systemd besides the unit's own time, and the timer's accuracy.
const SLACK: Duration = Duration::from_secs(2);

/// systemd's `DefaultTimeoutStopSec=`, as it comes. Fenced units are held to it where their files are silent.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(90);

/// The longest stop that makes sense, in seconds: 30 years.
const LONGEST: u64 = 1_000_000_000;

/// The record `fence/<unit>`: the machine that may be running a fenced unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Which machine.
    pub machine: MachineId,
    /// The boot in which it claimed the unit: what ran in an earlier one does not any more.
    pub boot_id: String,
    /// How long after the end of the machine's lease the unit is sure to be down.
    pub stop: Duration,
    /// Revision of the record's last write. Each claim has a higher one than all before: the fencing token.
    pub revision: i64,
}

/// Why a unit file cannot be fenced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfenceable {
    /// Only a service's end is known.
    #[error("Fence= is for services")]
    NoService,
    /// Its stop may take for ever.
    #[error("Fence= needs a finite TimeoutStopSec=")]
    Endless,
    /// Something of it may outlive its stop.
    #[error("Fence= cannot be used with {0}: processes may outlive the unit")]
    Survivors(&'static str),
}

/// How long the stop of a fenced unit may take: each of its commands and each signal has `TimeoutStopSec=`
/// (systemd.service(5)).
///
/// # Errors
/// There is no such time.
pub fn stop_time(name: &UnitName, file: &UnitFile) -> Result<Duration, Unfenceable> {
    if name.suffix() != "service" {
        return Err(Unfenceable::NoService);
    }
    let last = |key| file.values("Service", key).last();
    if matches!(last("KillMode"), Some("process" | "none")) {
        return Err(Unfenceable::Survivors("KillMode=process or none"));
    }
    if matches!(last("SendSIGKILL"), Some("no" | "false" | "off" | "0")) {
        return Err(Unfenceable::Survivors("SendSIGKILL=no"));
    }
    let signal = last("FinalKillSignal");
    if !matches!(signal, None | Some("" | "SIGKILL" | "KILL" | "9")) {
        return Err(Unfenceable::Survivors("FinalKillSignal="));
    }
    if last("TimeoutStopFailureMode") == Some("abort") {
        return Err(Unfenceable::Survivors("TimeoutStopFailureMode=abort"));
    }
    let commands = |key| {
        file.values("Service", key)
            .filter(|value| !value.is_empty())
    };
    let commands = commands("ExecStop").count() + commands("ExecStopPost").count();
    // one for the signal to what is left after the stop commands, one after those that clean up
    let phases = u32::try_from(commands + 2).unwrap_or(u32::MAX);
    let each = stop_timeout(file).ok_or(Unfenceable::Endless)?;
    each.checked_mul(phases).ok_or(Unfenceable::Endless)
}

/// `TimeoutStopSec=` or `TimeoutSec=`, whichever comes last; none if it is endless or makes no sense.
pub fn stop_timeout(file: &UnitFile) -> Option<Duration> {
    let options = file.section("Service");
    let given = options
        .filter(|option| matches!(option.name.as_str(), "TimeoutStopSec" | "TimeoutSec"))
        .map(|option| option.value.as_str());
    let Some(last) = given.last() else {
        return Some(STOP_TIMEOUT);
    };
    // 0 is endless, as systemd has it; what it cannot count to it takes for no time at all
    let seconds = parse_seconds(last).filter(|seconds| (1..LONGEST).contains(seconds))?;
    Some(Duration::from_secs(seconds))
}

/// How long after the end of a lease of `ttl` a unit that takes `stop` to stop is sure to be down.
pub fn grace(ttl: Duration, stop: Duration) -> Duration {
    let drift = ttl.saturating_add(stop) / 100 * DRIFT;
    stop.saturating_add(SLACK).saturating_add(drift)
}

/// A leader's watch over the claims of machines that are gone. It counts from when it sees that a machine is gone, by its own
/// clock: a new leader counts anew.
#[derive(Debug, Default)]
pub struct Vigil {
    gone: BTreeMap<MachineId, Duration>,
    next: Option<Duration>,
}

impl Vigil {
    /// The claims that stand for nothing any more, and the units that they are on. `now` is the time by a clock that only runs.
    pub fn lapsed(&mut self, cluster: &Cluster, now: Duration) -> Vec<(UnitName, Claim)> {
        let mut lapsed = Vec::new();
        let mut gone = BTreeMap::new();
        self.next = None;
        for (unit, claim) in &cluster.claims {
            let Some(since) = self.absence(cluster, claim, now) else {
                continue;
            };
            gone.insert(claim.machine.clone(), since);
            let due = since.saturating_add(claim.stop);
            if due <= now {
                lapsed.push((unit.clone(), claim.clone()));
            } else {
                self.next = Some(self.next.map_or(due, |next| next.min(due)));
            }
        }
        self.gone = gone;
        let booted = cluster
            .claims
            .iter()
            .filter(|(_, claim)| is_past(cluster, claim));
        lapsed.extend(booted.map(|(unit, claim)| (unit.clone(), claim.clone())));
        lapsed
    }

    /// When to look again although nothing has changed by then.
    pub fn next(&self) -> Option<Duration> {
        self.next
    }

    /// Since when the machine of a claim is gone; nothing if it is there.
    fn absence(&self, cluster: &Cluster, claim: &Claim, now: Duration) -> Option<Duration> {
        let there = cluster.machines.contains_key(&claim.machine);
        let since = self.gone.get(&claim.machine).copied();
        (!there).then(|| since.unwrap_or(now))
    }
}

/// Whether the machine is there, and in another boot than that of the claim.
fn is_past(cluster: &Cluster, claim: &Claim) -> bool {
    let machine = cluster.machines.get(&claim.machine);
    machine.is_some_and(|machine| machine.boot_id != claim.boot_id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn time(text: &str) -> Result<u64, Unfenceable> {
        let file = UnitFile::parse(format!("[Service]\n{text}").as_bytes()).unwrap();
        let name = UnitName::parse("db.service").unwrap();
        stop_time(&name, &file).map(|time| time.as_secs())
    }

    #[test]
    fn each_phase_of_a_stop_has_its_time() {
        assert_eq!(time("ExecStart=/bin/db"), Ok(180));
        assert_eq!(time("TimeoutStopSec=5"), Ok(10));
        assert_eq!(
            time("TimeoutStopSec=1min\nTimeoutSec=3s\nExecStop=/bin/a"),
            Ok(9)
        );
        assert_eq!(
            time("TimeoutStopSec=5\nExecStop=/bin/a\nExecStopPost=/bin/b"),
            Ok(20)
        );
    }

    #[test]
    fn drift_and_slack_come_on_top_of_a_stop_however_long_it_is() {
        let seconds = Duration::from_secs;
        let most = grace(seconds(30), seconds(70));
        assert_eq!(most, seconds(73));
        assert_eq!(grace(seconds(30), seconds(u64::MAX - 1)), Duration::MAX);
    }

    #[test]
    fn what_may_outlive_its_stop_cannot_be_fenced() {
        assert_eq!(time("TimeoutStopSec=infinity"), Err(Unfenceable::Endless));
        assert_eq!(time("TimeoutStopSec=0"), Err(Unfenceable::Endless));
        let uncountable = time("TimeoutStopSec=9223372036854775807");
        assert_eq!(uncountable, Err(Unfenceable::Endless));
        assert!(matches!(
            time("KillMode=process"),
            Err(Unfenceable::Survivors(_))
        ));
        assert!(matches!(
            time("FinalKillSignal=SIGTERM"),
            Err(Unfenceable::Survivors(_))
        ));
        assert_eq!(time("FinalKillSignal=SIGKILL"), Ok(180));
        assert!(matches!(
            time("TimeoutStopFailureMode=abort"),
            Err(Unfenceable::Survivors(_))
        ));
        assert!(matches!(
            time("SendSIGKILL=no"),
            Err(Unfenceable::Survivors(_))
        ));
        let socket = UnitName::parse("db.socket").unwrap();
        assert_eq!(
            stop_time(&socket, &UnitFile::default()),
            Err(Unfenceable::NoService)
        );
    }
}
