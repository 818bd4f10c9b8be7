//! A cluster that lines of text change.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fleet::cluster::{FileRecord, Touched};
use fleet::resources::parse_memory;
use fleet::schedule::{
    Change, Plan, Reason, Rebalance, Refusal, Survey, Terms, nearest, plan, rebalance, summary,
};
use fleet::{
    Assignment, Cluster, Cordon, DesiredState, Event, Machine, MachineId, UnitRecord, UnitState,
};
use unitfile::{Hash, UnitFile, UnitName, UnitOption};

/// The cluster, and the lines that made it.
#[derive(Default)]
pub(crate) struct Situation {
    pub(crate) cluster: Cluster,
    /// What has changed since somebody last took it.
    pub(crate) touched: Touched,
    pub(crate) terms: Terms,
    lines: Vec<String>,
}

impl fmt::Debug for Situation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{}\n", self.lines.join("\n"))
    }
}

impl Situation {
    /// Takes one line; what it decides is the answer.
    pub(crate) fn line(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.cluster.revision += 1;
        self.lines.push(line.to_owned());
        match words.as_slice() {
            ["machine", id, metadata @ ..] => self.machine(id, metadata),
            ["leave", id] => self.apply(Event::Machine(machine_id(id), None)),
            ["metadata", id, pair] => self.metadata(id, pair),
            ["unit", name, state, options @ ..] => self.unit(name, state, options),
            ["set", name, state] => self.set(name, state),
            ["destroy", name] => self.apply(Event::Unit(unit(name), None)),
            ["lose-file", name] => self.lose_file(name),
            ["leaving", id] => self.leaving(id),
            ["runs", machine, name] => self.runs(machine, name),
            ["set-if-there", name, state] if self.cluster.units.contains_key(*name) => {
                self.set(name, state)
            }
            ["runs-if-there", machine, name] if self.cluster.units.contains_key(*name) => {
                self.runs(machine, name);
            }
            ["set-if-there" | "runs-if-there", ..] => {}
            ["fails", machine, name, times] => {
                let failures = times.parse().unwrap();
                let (active, failures) = ("failed".into(), failures);
                let state = UnitState {
                    active,
                    failures,
                    ..self.running(name)
                };
                self.apply(Event::State(unit(name), machine_id(machine), Some(state)));
            }
            ["fails-if-there", machine, name] if self.cluster.units.contains_key(*name) => {
                return self.line(&format!("fails {machine} {name} 3"));
            }
            ["fails-if-there", ..] => {}
            ["waits", machine, name] => self.waits(machine, name),
            ["unwritable", machine, name] => self.unwritable(machine, name),
            ["unwritable-if-there", machine, name] if self.cluster.units.contains_key(*name) => {
                self.unwritable(machine, name);
            }
            ["unwritable-if-there", ..] => {}
            ["stopped", machine, name] => {
                self.apply(Event::State(unit(name), machine_id(machine), None));
            }
            ["row", machine, name, state] => self.row(machine, name, state),
            ["target", name, machine] => {
                self.apply(Event::Target(unit(name), Some(machine_id(machine))));
            }
            ["plan"] => return self.plan(),
            ["why", name] => return self.why(name),
            ["cure", name] => return self.cure(name),
            ["wait", seconds] => self.terms.now += Duration::from_secs(seconds.parse().unwrap()),
            ["silent", ids @ ..] => {
                self.terms.silent = ids.iter().map(|id| machine_id(id)).collect();
            }
            ["forget", id] => self.forget(id),
            ["move", name, machine] => {
                self.apply(Event::Move(unit(name), Some(machine_id(machine))));
            }
            ["rebalance", max] => return self.rebalance(max.parse().unwrap()),
            ["capacity", id, memory] => self.capacity(id, memory),
            ["cordon", machine, reason @ ..] => {
                let cordon = Cordon {
                    reason: reason.join(" "),
                    ..Cordon::default()
                };
                self.cordon(machine, Some(cordon));
            }
            ["drain", machine, max, reason @ ..] => {
                let cordon = Cordon {
                    reason: reason.join(" "),
                    drain: Some(max.parse().unwrap()),
                    ..Cordon::default()
                };
                self.cordon(machine, Some(cordon));
            }
            ["grace", machine, seconds] => {
                let grace = Duration::from_secs(seconds.parse().unwrap());
                let cordon = Cordon {
                    grace,
                    ..Cordon::default()
                };
                self.cordon(machine, Some(cordon));
            }
            ["uncordon", machine] => self.cordon(machine, None),
            ["show"] => return self.show(),
            _ => panic!("no such line: {line}"),
        }
        String::new()
    }

    fn cordon(&mut self, machine: &str, cordon: Option<Cordon>) {
        self.apply(Event::Cordon(machine_id(machine), cordon));
    }

    fn apply(&mut self, event: Event) {
        self.cluster.apply_noting(event, &mut self.touched);
    }

    /// The machine joins, or joins again, with two processors and as much memory as it says.
    pub(crate) fn machine(&mut self, id: &str, metadata: &[&str]) {
        let pairs = metadata.iter().map(|pair| pair.split_once('=').unwrap());
        let (memory, pairs): (Vec<_>, Vec<_>) = pairs.partition(|(key, _)| *key == "memory");
        let memory = memory
            .first()
            .map_or(0, |(_, size)| parse_memory(size).unwrap());
        let id = machine_id(id);
        let machine = Machine {
            id: id.clone(),
            address: String::new(),
            metadata: pairs
                .into_iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
            version: String::new(),
            boot_id: String::new(),
            member_since: self.cluster.revision,
            leaving: false,
            capacity: fleet::Resources { memory, cpu: 2000 },
        };
        self.apply(Event::Machine(id, Some(machine)));
    }

    fn rebalance(&self, max: usize) -> String {
        let Rebalance {
            moves,
            before,
            after,
        } = rebalance(&self.cluster, max, &self.terms);
        let moves = moves.iter();
        let moves = moves.map(|(unit, from, to)| format!("would move {unit} {from} -> {to}\n"));
        let loads = format!(
            "load {}-{}, then {}-{}\n",
            before.0, before.1, after.0, after.1
        );
        moves.collect::<String>() + &loads
    }

    /// An operator says that the machine is gone for good.
    fn forget(&mut self, id: &str) {
        self.apply(Event::Forgotten(machine_id(id), true));
    }

    /// The machine says what it has for units.
    fn capacity(&mut self, id: &str, memory: &str) {
        if let Some(mut machine) = self.cluster.machines.get(id).cloned() {
            machine.capacity.memory = parse_memory(memory).unwrap();
            machine.capacity.cpu = 2000;
            self.apply(Event::Machine(machine_id(id), Some(machine)));
        }
    }

    /// The machine says that it is about to leave.
    fn leaving(&mut self, id: &str) {
        if let Some(mut machine) = self.cluster.machines.get(id).cloned() {
            machine.leaving = true;
            self.apply(Event::Machine(machine_id(id), Some(machine)));
        }
    }

    /// The machine says that it has the unit.
    fn runs(&mut self, machine: &str, name: &str) {
        let state = self.running(name);
        self.apply(Event::State(unit(name), machine_id(machine), Some(state)));
    }

    /// The machine says that it waits until others are done with the unit.
    fn waits(&mut self, machine: &str, name: &str) {
        let state = UnitState {
            active: "inactive".into(),
            sub: "dead".into(),
            current: DesiredState::Loaded,
            starting: true,
            problem: "another machine has not stopped it yet".into(),
            ..self.running(name)
        };
        self.apply(Event::State(unit(name), machine_id(machine), Some(state)));
    }

    /// The machine says that it cannot write the unit's file.
    fn unwritable(&mut self, machine: &str, name: &str) {
        let state = UnitState {
            load: "not-found".into(),
            active: "inactive".into(),
            sub: "dead".into(),
            current: DesiredState::Inactive,
            problem: "No space left on device".into(),
            unwritable: true,
            ..self.running(name)
        };
        self.apply(Event::State(unit(name), machine_id(machine), Some(state)));
    }

    fn running(&self, name: &str) -> UnitState {
        UnitState {
            load: "loaded".into(),
            active: "active".into(),
            sub: "running".into(),
            hash: self.cluster.units[name].hash,
            current: DesiredState::Launched,
            starting: false,
            problem: String::new(),
            failures: 0,
            unwritable: false,
        }
    }

    fn metadata(&mut self, id: &str, pair: &str) {
        let (key, value) = pair.split_once('=').unwrap();
        self.apply(Event::Metadata(
            machine_id(id),
            key.into(),
            Some(value.into()),
        ));
    }

    /// Options stand in `[X-Fleet]`; `Text=` makes another file of it.
    pub(crate) fn unit(&mut self, name: &str, state: &str, options: &[&str]) {
        let options = options.iter().map(|pair| option(pair)).collect();
        let file = UnitFile::from_options(options).unwrap();
        let hash = file.hash();
        let record = FileRecord {
            file: Arc::new(file),
            revision: self.cluster.revision,
        };
        let desired = state.parse().unwrap();
        self.apply(Event::File(hash, Some(record)));
        self.apply(Event::Unit(unit(name), Some(UnitRecord { hash, desired })));
    }

    fn set(&mut self, name: &str, state: &str) {
        let hash = self.cluster.units[name].hash;
        let desired = state.parse().unwrap();
        self.apply(Event::Unit(unit(name), Some(UnitRecord { hash, desired })));
    }

    fn lose_file(&mut self, name: &str) {
        if let Some(hash) = self.cluster.units.get(name).map(|unit| unit.hash) {
            self.apply(Event::File(hash, None));
        }
    }

    fn row(&mut self, machine: &str, name: &str, state: &str) {
        let known = self.cluster.units.get(name).map(|unit| unit.hash);
        let assignment = Assignment {
            hash: known.unwrap_or(Hash::of("")),
            desired: state.parse().unwrap(),
        };
        self.apply(Event::Scheduled(
            machine_id(machine),
            unit(name),
            Some(assignment),
        ));
    }

    fn plan(&mut self) -> String {
        let planned = plan(&self.cluster, &self.terms);
        self.commit(&planned);
        let again = plan(&self.cluster, &self.terms).changes;
        assert!(again.is_empty(), "planning the outcome again: {again:?}");
        let next = planned
            .next
            .map(|next| format!("again at {}s\n", next.as_secs()));
        let braked = planned.braked.then(|| "braked\n".to_owned());
        let changes = planned.changes.iter().map(|change| self.told(change));
        let waiting = planned.waiting.iter().map(|unit| self.told_waiting(unit));
        let lines: String = changes.chain(waiting).chain(braked).chain(next).collect();
        if lines.is_empty() {
            "nothing changes\n".into()
        } else {
            lines
        }
    }

    pub(crate) fn commit(&mut self, plan: &Plan) {
        self.lines.push("plan".to_owned());
        for event in plan.changes.iter().flat_map(Change::events) {
            self.apply(event);
        }
    }

    /// The rules on the cluster as it stands.
    pub(crate) fn survey(&self) -> Survey {
        Survey::of(&self.cluster, &self.terms)
    }

    fn told_waiting(&self, unit: &UnitName) -> String {
        let why = summary(&self.survey().refusals(unit), self.cluster.machines.len());
        format!("waiting   {unit:<16} {why}\n")
    }

    /// What would have to change on each machine, and which one is the nearest.
    fn cure(&self, name: &str) -> String {
        let obstacles = self.survey().obstacles(&unit(name));
        let told = |(machine, refusals): &(MachineId, Vec<Refusal>)| {
            let pairs = refusals
                .iter()
                .map(|refusal| format!("{refusal} ({})", refusal.cure()));
            let all: Vec<String> = pairs.collect();
            let all = if all.is_empty() {
                "nothing".to_owned()
            } else {
                all.join(", ")
            };
            format!("{machine}: {all}\n")
        };
        let lines: String = obstacles.iter().map(told).collect();
        let nearest = nearest(&obstacles).map(|(machine, _)| format!("nearest: {machine}\n"));
        lines + &nearest.unwrap_or_default()
    }

    fn why(&self, name: &str) -> String {
        let refusals = self.survey().refusals(&unit(name));
        let lines = refusals
            .iter()
            .map(|(machine, refusal)| format!("{machine}: {refusal}\n"));
        lines.collect()
    }

    fn show(&self) -> String {
        let machines = self.cluster.schedule.iter().map(|(id, rows)| {
            let rows = rows
                .iter()
                .map(|(unit, row)| format!(" {unit}={}", row.desired));
            format!("{id}:{}\n", rows.collect::<String>())
        });
        machines.collect()
    }

    fn told(&self, change: &Change) -> String {
        match change {
            Change::Assign {
                unit,
                machine,
                assignment,
                global,
            } => {
                let desired = assignment.desired;
                let global = if *global { " global" } else { "" };
                format!("assign    {unit:<16} -> {machine}  {desired}{global}\n")
            }
            Change::Move {
                unit,
                from,
                to,
                reason,
                ..
            } => {
                format!(
                    "move      {unit:<16} {from} -> {to}  ({})\n",
                    told_reason(reason)
                )
            }
            Change::Unassign {
                unit,
                machine,
                reason,
                ..
            } => {
                format!(
                    "unassign  {unit:<16} <- {machine}  ({})\n",
                    told_reason(reason)
                )
            }
            Change::Untarget { unit } => format!("untarget  {unit}\n"),
            Change::Dismiss { machine } => format!("dismiss   {machine}\n"),
            Change::Miss { machine, away } => {
                let massive = if away.massive {
                    ", with too many others"
                } else {
                    ""
                };
                format!(
                    "miss      {machine}  since {}s{massive}\n",
                    away.since.as_secs()
                )
            }
            Change::Blame { unit, failed } => {
                format!("blame     {unit:<16} on {}\n", failed.machine)
            }
            Change::Absolve { unit } => format!("absolve   {unit}\n"),
            Change::Obey { unit } => format!("obey      {unit}\n"),
            Change::Unmiss { machine } => format!("unmiss    {machine}\n"),
            Change::Collect { file, .. } => format!("collect   {}\n", file.short()),
            Change::Admit { machine, .. } => format!("admit     {machine}\n"),
        }
    }
}

fn told_reason(reason: &Reason) -> String {
    match reason {
        Reason::NotWanted => "not wanted".into(),
        Reason::MachineGone => "machine gone".into(),
        Reason::Refused(refusal) => refusal.to_string(),
    }
}

fn option(pair: &str) -> UnitOption {
    let (name, value) = pair.split_once('=').unwrap();
    let section = if name == "Text" { "Unit" } else { "X-Fleet" };
    UnitOption {
        section: section.into(),
        name: name.into(),
        value: value.into(),
    }
}

pub(crate) fn unit(name: &str) -> UnitName {
    UnitName::parse(name).unwrap()
}

pub(crate) fn machine_id(id: &str) -> MachineId {
    MachineId::parse(id).unwrap()
}
