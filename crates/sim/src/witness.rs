//! Processes whose place in the schedule stands: nobody may end them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agent::systemd::{Process, Run};
use fleet::MachineId;
use tokio::time::Instant;
use unitfile::{Hash, UnitName};

use crate::host::Host;
use crate::ledger::{Ledger, Row};
use crate::units;

/// How long a machine must have been left alone to be sure that its agent knows its schedule: longer than any pause
/// before it tries to reach the store again.
pub(crate) const CALM: Duration = Duration::from_secs(20);

/// Which processes must go on.
#[derive(Debug, Default)]
pub(crate) struct Witness(BTreeMap<(MachineId, UnitName), Known>);

/// A process that must go on as long as that stands by which it runs.
#[derive(Debug)]
struct Known {
    process: Process,
    /// Its place in the schedule.
    row: Row,
    /// When it was last said what is wanted of its unit, by revision; none if its place does not follow from that.
    wanted: Option<i64>,
}

impl Known {
    /// A global unit runs wherever it is wanted: its machine may be missed, and lose its schedule for a while.
    fn stands(&self, unit: &UnitName, machine: &MachineId, ledger: &Ledger) -> bool {
        let wanted = self.wanted.is_some() && ledger.wanted_since(unit) == self.wanted;
        (wanted && units::is_global(unit.as_str())) || ledger.holds(unit, machine, &self.row)
    }
}

/// What runs on each machine.
pub(crate) type Running = BTreeMap<MachineId, BTreeMap<UnitName, Process>>;

/// What runs now.
pub(crate) fn running(hosts: &BTreeMap<MachineId, Host>) -> Running {
    let all = hosts.iter();
    all.map(|(id, host)| (id.clone(), host.processes()))
        .collect()
}

/// A fenced unit that has run on two machines at a time since the last look, for however short a time: what runs, and what has ended
/// since.
pub(crate) fn twice(hosts: &mut BTreeMap<MachineId, Host>, running: &Running) -> Option<String> {
    let mut runs: Vec<(&MachineId, Run)> = Vec::new();
    let now = Instant::now();
    for (machine, units) in running {
        runs.extend(units.iter().map(|(unit, process)| {
            let (unit, process) = (unit.clone(), *process);
            let ended = now;
            let run = Run {
                unit,
                process,
                ended,
            };
            (machine, run)
        }));
    }
    for (machine, host) in hosts {
        runs.extend(host.take_ended().into_iter().map(|run| (&*machine, run)));
    }
    runs.retain(|(_, run)| units::is_fenced(run.unit.as_str()));
    runs.iter().enumerate().find_map(|(nth, (machine, run))| {
        let others = runs.iter().skip(nth + 1);
        let mut others = others.filter(|(other, _)| other != machine);
        let (other, beside) = others.find(|(_, other)| overlap(run, other))?;
        Some(format!(
            "{} is fenced, and ran on {machine} {} and on {other} {}",
            run.unit,
            times(run),
            times(beside)
        ))
    })
}

/// Whether two runs are of the same unit and at the same time.
fn overlap(one: &Run, other: &Run) -> bool {
    let begins_within = |one: &Run, other: &Run| {
        let begun = one.process.begun;
        begun.is_some_and(|begun| begun < other.ended)
    };
    one.unit == other.unit && begins_within(one, other) && begins_within(other, one)
}

fn times(run: &Run) -> String {
    let ago = |at: Instant| format!("{:.3} s ago", at.elapsed().as_secs_f64());
    let begun = run.process.begun.map_or("some time ago".to_owned(), ago);
    format!("from {begun} to {}", ago(run.ended))
}

impl Witness {
    /// Checks those that are known, and gets to know others: on machines that have been `calm` for so long, every
    /// process that is as its record in the schedule has wanted it for as long.
    pub(crate) fn look(
        &mut self,
        hosts: &BTreeMap<MachineId, Host>,
        running: &Running,
        ledger: &Ledger,
        calm: &BTreeSet<MachineId>,
    ) -> Option<String> {
        self.0
            .retain(|(machine, unit), known| known.stands(unit, machine, ledger));
        let ended = self.ended(running);
        for host in calm.iter().filter_map(|machine| hosts.get(machine)) {
            for (unit, process) in running.get(&host.id).into_iter().flatten() {
                let place = (host.id.clone(), unit.clone());
                if self.0.contains_key(&place) {
                    continue;
                }
                let row = ledger.row(unit.as_str(), host.id.as_str());
                if let Some(row) = row.filter(|row| is_as_wanted(host, unit, row)) {
                    let wanted = ledger.wanted_since(unit);
                    let known = Known {
                        process: *process,
                        wanted: wanted.filter(|wanted| *wanted < row.revision),
                        row,
                    };
                    self.0.insert(place, known);
                }
            }
        }
        ended
    }

    /// A process that is not there any more.
    fn ended(&self, running: &Running) -> Option<String> {
        self.0.iter().find_map(|((machine, unit), known)| {
            let there = running.get(machine).and_then(|units| units.get(unit));
            let told = || {
                let (number, revision) = (known.process.number, known.row.revision);
                format!("{unit} on {machine} is wanted there as it was at revision {revision}, and its process {number} has ended: now it is {there:?}")
            };
            (there != Some(&known.process)).then(told)
        })
    }

    /// A machine lost its power, or hands its units over: its processes may end.
    pub(crate) fn release(&mut self, machine: &MachineId) {
        self.0.retain(|(of, _), _| of != machine);
    }

    /// How many processes are known.
    pub(crate) fn known(&self) -> usize {
        self.0.len()
    }
}

fn is_as_wanted(host: &Host, unit: &UnitName, row: &Row) -> bool {
    // a fenced one may be stopped by its machine at any time
    if row.at.elapsed() <= CALM || units::is_fenced(unit.as_str()) {
        return false;
    }
    // what fleetd writes is in the form that hashes are of
    let text = host.systemd().running_text(unit).unwrap_or_default();
    let hash = Hash::of(&text);
    row.value == format!("{{\"hash\":\"{hash}\",\"desired\":\"launched\"}}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn run(unit: &str, start: Instant, begun: u64, ended: u64) -> Run {
        let at = |seconds| start + Duration::from_secs(seconds);
        Run {
            unit: UnitName::parse(unit).unwrap(),
            process: Process {
                number: 1,
                begun: Some(at(begun)),
            },
            ended: at(ended),
        }
    }

    #[test]
    fn runs_that_share_a_moment_are_seen_however_short_it_is() {
        let start = Instant::now();
        let db = |begun, ended| run("db.service", start, begun, ended);
        assert!(overlap(&db(0, 5), &db(4, 9)));
        assert!(overlap(&db(4, 9), &db(0, 5)));
        assert!(overlap(&db(0, 9), &db(4, 5)));
        assert!(!overlap(&db(0, 5), &db(5, 9)));
        assert!(!overlap(&db(5, 9), &db(0, 5)));
        assert!(!overlap(&db(0, 5), &run("web.service", start, 4, 9)));
    }
}
