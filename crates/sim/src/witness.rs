//! Processes whose place in the schedule stands: nobody may end them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agent::systemd::Process;
use fleet::MachineId;
use unitfile::{UnitFile, UnitName};

use crate::host::Host;
use crate::ledger::{Ledger, Row};
use crate::units;

/// How long a machine must have been left alone to be sure that its agent knows its schedule: longer than any pause
/// before it tries to reach the store again.
pub(crate) const CALM: Duration = Duration::from_secs(20);

/// Which processes must go on, and the record that each runs by.
#[derive(Debug, Default)]
pub(crate) struct Witness(BTreeMap<(MachineId, UnitName), (Process, Row)>);

/// What runs on each machine.
pub(crate) type Running = BTreeMap<MachineId, BTreeMap<UnitName, Process>>;

/// What runs now.
pub(crate) fn running(hosts: &BTreeMap<MachineId, Host>) -> Running {
    let all = hosts.iter();
    all.map(|(id, host)| (id.clone(), host.processes()))
        .collect()
}

/// A fenced unit that runs on two machines.
pub(crate) fn twice(running: &Running) -> Option<String> {
    let mut first: BTreeMap<&UnitName, &MachineId> = BTreeMap::new();
    for (machine, units) in running {
        for unit in units.keys().filter(|unit| units::is_fenced(unit.as_str())) {
            if let Some(other) = first.insert(unit, machine) {
                return Some(format!(
                    "{unit} is fenced, and runs on {other} and on {machine}"
                ));
            }
        }
    }
    None
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
            .retain(|(machine, unit), (_, known)| ledger.holds(unit, machine, known));
        let ended = self.ended(running);
        for host in calm.iter().filter_map(|machine| hosts.get(machine)) {
            for (unit, process) in running.get(&host.id).into_iter().flatten() {
                let place = (host.id.clone(), unit.clone());
                if self.0.contains_key(&place) {
                    continue;
                }
                let row = ledger.row(unit.as_str(), host.id.as_str());
                if let Some(row) = row.filter(|row| is_as_wanted(host, unit, row)) {
                    self.0.insert(place, (*process, row));
                }
            }
        }
        ended
    }

    /// A process that is not there any more.
    fn ended(&self, running: &Running) -> Option<String> {
        self.0.iter().find_map(|((machine, unit), (process, row))| {
            let there = running.get(machine).and_then(|units| units.get(unit));
            let told = || {
                let (number, revision) = (process.number, row.revision);
                format!("{unit} on {machine} is assigned there as it was at revision {revision}, and its process {number} has ended: now it is {there:?}")
            };
            (there != Some(process)).then(told)
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
    let text = host.systemd().running_text(unit).unwrap_or_default();
    let file = UnitFile::parse(text.as_bytes()).unwrap_or_default();
    row.value == format!("{{\"hash\":\"{}\",\"desired\":\"launched\"}}", file.hash())
}
