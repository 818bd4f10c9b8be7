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

/// A fenced unit that runs on two machines.
pub(crate) fn twice(hosts: &BTreeMap<MachineId, Host>) -> Option<String> {
    let mut first: BTreeMap<UnitName, &MachineId> = BTreeMap::new();
    for (machine, host) in hosts {
        for unit in host.processes().into_keys() {
            if !units::is_fenced(unit.as_str()) {
                continue;
            }
            if let Some(other) = first.insert(unit.clone(), machine) {
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
        ledger: &Ledger,
        calm: &BTreeSet<MachineId>,
    ) -> Option<String> {
        let row =
            |machine: &MachineId, unit: &UnitName| ledger.row(unit.as_str(), machine.as_str());
        self.0
            .retain(|(machine, unit), (_, known)| row(machine, unit).as_ref() == Some(known));
        let ended = self.ended(hosts);
        for host in calm.iter().filter_map(|machine| hosts.get(machine)) {
            for (unit, process) in host.processes() {
                let place = (host.id.clone(), unit);
                if self.0.contains_key(&place) {
                    continue;
                }
                let row = row(&host.id, &place.1);
                if let Some(row) = row.filter(|row| is_as_wanted(host, &place.1, row)) {
                    self.0.insert(place, (process, row));
                }
            }
        }
        ended
    }

    /// A process that is not there any more.
    fn ended(&self, hosts: &BTreeMap<MachineId, Host>) -> Option<String> {
        let now: BTreeMap<&MachineId, BTreeMap<UnitName, Process>> = hosts
            .iter()
            .map(|(id, host)| (id, host.processes()))
            .collect();
        self.0.iter().find_map(|((machine, unit), (process, row))| {
            let there = now.get(machine).and_then(|units| units.get(unit));
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
    let text = host.systemd().running_text(unit).unwrap_or_default();
    let file = UnitFile::parse(text.as_bytes()).unwrap_or_default();
    // its machine may stop it at any time
    if units::is_fenced(unit.as_str()) {
        return false;
    }
    let launched = format!("{{\"hash\":\"{}\",\"desired\":\"launched\"}}", file.hash());
    row.at.elapsed() > CALM && row.value == launched
}
