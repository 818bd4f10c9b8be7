//! A cluster in memory. What a unit does follows from its `ExecStart=`; nothing is ever late unless it says so.
//!
//! | `ExecStart=`  | then |
//! |---|---|
//! | `/bin/true`   | active at once; with `Type=oneshot` inactive (dead) |
//! | `/bin/false`  | failed |
//! | `/bin/slow`   | active after [`SLOW`] |
//! | `/bin/queued` | active after [`SLOW`], until which its start job waits for its turn |
//! | `/bin/never`  | activating for ever |
//! | `/bin/absent` | the agent reports a problem |

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fleet::v1;
use fleet::v2::{Cordon, MachineUnitState, PutResult, UnitStatus};
use unitfile::{UnitFile, UnitOption};

/// How long a slow unit takes to start.
pub(crate) const SLOW: Duration = Duration::from_millis(3500);

#[derive(Default)]
pub(crate) struct Cluster {
    pub(crate) machines: BTreeMap<String, v1::Machine>,
    pub(crate) cordons: BTreeMap<String, Cordon>,
    units: BTreeMap<String, Unit>,
}

struct Unit {
    file: UnitFile,
    desired: String,
    machine: Option<String>,
    launched: Instant,
}

impl Unit {
    fn value(&self, section: &str, name: &str) -> &str {
        self.file
            .options()
            .iter()
            .find(|o| o.section == section && o.name == name)
            .map_or("", |o| &o.value)
    }

    fn is_global(&self) -> bool {
        self.value("X-Fleet", "Global") == "true"
    }

    fn fits(&self, machine: &v1::Machine) -> bool {
        let wanted = self.value("X-Fleet", "MachineMetadata");
        wanted.is_empty()
            || machine
                .metadata
                .iter()
                .any(|(key, value)| format!("{key}={value}") == wanted)
    }

    /// systemd's active and sub states.
    fn systemd(&self) -> (&'static str, &'static str) {
        if self.desired != "launched" {
            return ("inactive", "dead");
        }
        match self.value("Service", "ExecStart") {
            "/bin/false" => ("failed", "failed"),
            "/bin/never" => ("activating", "start-pre"),
            "/bin/slow" if self.launched.elapsed() < SLOW => ("activating", "start-pre"),
            "/bin/absent" => ("inactive", "dead"),
            _ if self.is_queued() => ("inactive", "dead"),
            _ if self.value("Service", "Type") == "oneshot" => ("inactive", "dead"),
            _ => ("active", "running"),
        }
    }

    fn is_queued(&self) -> bool {
        let queues = self.value("Service", "ExecStart") == "/bin/queued";
        queues && self.desired == "launched" && self.launched.elapsed() < SLOW
    }

    fn problem(&self) -> &'static str {
        let absent =
            self.desired == "launched" && self.value("Service", "ExecStart") == "/bin/absent";
        if absent {
            "start job failed: executable not found"
        } else {
            ""
        }
    }
}

impl Cluster {
    /// As a `PUT` of API v1.
    pub(crate) fn put(&mut self, unit: &v1::Unit) -> PutResult {
        let result = |code: u16, message: &str| PutResult {
            name: unit.name.clone(),
            code,
            message: message.to_owned(),
        };
        let file = file(unit);
        let desired = if unit.desired_state.is_empty() {
            "inactive"
        } else {
            &unit.desired_state
        };
        let code = match self.units.get_mut(&unit.name) {
            None if unit.options.is_empty() => {
                return result(409, "unit does not exist and options field empty");
            }
            Some(known) if unit.options.is_empty() || known.file == file => {
                if unit.desired_state.is_empty() {
                    return result(409, "must provide DesiredState to update existing unit");
                }
                known.desired = desired.to_owned();
                known.launched = Instant::now();
                204
            }
            _ => {
                let created = Unit {
                    file,
                    desired: desired.to_owned(),
                    machine: None,
                    launched: Instant::now(),
                };
                self.units.insert(unit.name.clone(), created);
                201
            }
        };
        self.plan();
        result(code, "")
    }

    /// Keeps units away from a machine. A drain has moved at once what can move.
    pub(crate) fn cordon(&mut self, id: &str, cordon: Option<Cordon>) {
        match cordon {
            None => drop(self.cordons.remove(id)),
            Some(cordon) => {
                let drains = cordon.drain.is_some();
                self.cordons.insert(id.to_owned(), cordon);
                let staying = self.staying(id);
                let there = |(name, unit): &(&String, &mut Unit)| {
                    unit.machine.as_deref() == Some(id) && !staying.contains_key(*name)
                };
                let leaving = self.units.iter_mut().filter(there);
                leaving
                    .filter(|_| drains)
                    .for_each(|(_, unit)| unit.machine = None);
                self.plan();
            }
        }
    }

    /// The units that are on a machine.
    pub(crate) fn units_on(&self, id: &str) -> Vec<String> {
        let there = |(_, unit): &(&String, &Unit)| unit.machine.as_deref() == Some(id);
        self.units
            .iter()
            .filter(there)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Those of them that no other machine takes, and why.
    pub(crate) fn staying(&self, id: &str) -> BTreeMap<String, String> {
        let takes = |machine: &&v1::Machine, unit: &Unit| {
            machine.id != id && unit.fits(machine) && !self.cordons.contains_key(&machine.id)
        };
        let stays = |name: &String| {
            !self
                .machines
                .values()
                .any(|machine| takes(&machine, &self.units[name]))
        };
        let names = self.units_on(id).into_iter().filter(stays);
        names
            .map(|name| (name, "no machine fits".to_owned()))
            .collect()
    }

    pub(crate) fn delete(&mut self, name: &str) -> bool {
        self.units.remove(name).is_some()
    }

    /// Puts every unit that is wanted and has no machine on the fitting machine with the fewest units.
    fn plan(&mut self) {
        let mut load: BTreeMap<&String, usize> = self.machines.keys().map(|id| (id, 0)).collect();
        for unit in self.units.values_mut() {
            let machine = unit
                .machine
                .take()
                .filter(|_| unit.desired != "inactive" && !unit.is_global());
            let fitting = || {
                let ids = self
                    .machines
                    .values()
                    .filter(|machine| unit.fits(machine))
                    .map(|machine| &machine.id)
                    .filter(|id| !self.cordons.contains_key(*id));
                ids.min_by_key(|id| load.get(id)).cloned()
            };
            let wanted = unit.desired != "inactive" && !unit.is_global();
            unit.machine = machine.or_else(|| wanted.then(fitting).flatten());
            if let Some(count) = unit.machine.as_ref().and_then(|id| load.get_mut(id)) {
                *count += 1;
            }
        }
    }

    pub(crate) fn unit(&self, name: &str) -> Option<v1::Unit> {
        let unit = self.units.get(name)?;
        Some(v1::Unit {
            name: name.to_owned(),
            desired_state: unit.desired.clone(),
            current_state: if unit.is_global() {
                String::new()
            } else {
                self.current(unit)
            },
            machine_id: unit.machine.clone().unwrap_or_default(),
            options: unit.file.options().iter().map(wire).collect(),
        })
    }

    pub(crate) fn units(&self) -> Vec<v1::Unit> {
        self.units
            .keys()
            .filter_map(|name| self.unit(name))
            .collect()
    }

    pub(crate) fn states(&self) -> Vec<v1::UnitState> {
        self.units
            .keys()
            .flat_map(|name| {
                self.status(name)
                    .states
                    .into_iter()
                    .map(|s| v1_state(name, s))
            })
            .collect()
    }

    pub(crate) fn status(&self, name: &str) -> UnitStatus {
        let Some(unit) = self.units.get(name) else {
            return UnitStatus {
                name: name.to_owned(),
                ..UnitStatus::default()
            };
        };
        let machines: Vec<&String> = match unit.is_global() && unit.desired != "inactive" {
            true => self
                .machines
                .values()
                .filter(|m| unit.fits(m))
                .map(|m| &m.id)
                .collect(),
            false => unit.machine.iter().collect(),
        };
        let address = unit
            .machine
            .as_ref()
            .and_then(|id| self.machines.get(id))
            .map(|m| m.primary_ip.clone());
        UnitStatus {
            name: name.to_owned(),
            exists: true,
            hash: unit.file.hash().to_string(),
            global: unit.is_global(),
            desired_state: unit.desired.clone(),
            current_state: if unit.is_global() {
                String::new()
            } else {
                self.current(unit)
            },
            machine_id: unit.machine.clone().unwrap_or_default(),
            primary_ip: address.unwrap_or_default(),
            scheduled: machines.len(),
            states: machines.into_iter().map(|id| state(unit, id)).collect(),
            waiting: self.waiting(unit),
        }
    }

    fn current(&self, unit: &Unit) -> String {
        if unit.machine.is_some() {
            unit.desired.clone()
        } else {
            "inactive".to_owned()
        }
    }

    fn waiting(&self, unit: &Unit) -> String {
        let wanted = unit.desired != "inactive" && unit.machine.is_none() && !unit.is_global();
        match (wanted, self.machines.len()) {
            (false, _) => String::new(),
            (true, 0) => "there are no machines".to_owned(),
            (true, n) => {
                let metadata = unit.value("X-Fleet", "MachineMetadata");
                format!("no machine fits: {n} machines lack metadata {metadata}")
            }
        }
    }
}

fn state(unit: &Unit, machine: &str) -> MachineUnitState {
    let (active, sub) = unit.systemd();
    MachineUnitState {
        machine_id: machine.to_owned(),
        hash: unit.file.hash().to_string(),
        load: "loaded".to_owned(),
        active: active.to_owned(),
        sub: sub.to_owned(),
        current: unit.desired.clone(),
        starting: unit.is_queued(),
        problem: unit.problem().to_owned(),
    }
}

fn v1_state(name: &str, state: MachineUnitState) -> v1::UnitState {
    v1::UnitState {
        name: name.to_owned(),
        machine_id: state.machine_id,
        hash: state.hash,
        systemd_load_state: state.load,
        systemd_active_state: state.active,
        systemd_sub_state: state.sub,
    }
}

fn wire(option: &UnitOption) -> v1::UnitOption {
    let UnitOption {
        section,
        name,
        value,
    } = option.clone();
    v1::UnitOption {
        section,
        name,
        value,
    }
}

fn file(unit: &v1::Unit) -> UnitFile {
    let options = unit.options.iter().cloned();
    let options = options.map(
        |v1::UnitOption {
             section,
             name,
             value,
         }| UnitOption {
            section,
            name,
            value,
        },
    );
    UnitFile::from_options(options.collect()).expect("fleetctl sends whole options")
}
