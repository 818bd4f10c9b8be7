//! The units that the systemd in memory knows, and the rules by which they change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleet::Requirements;
use tokio::sync::oneshot;
use tokio::time::Instant;
use unitfile::{UnitFile, UnitName};

use super::play::{Play, play};
use crate::systemd::{JobResult, Status, SystemdError};

/// All that systemd has in memory.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) directory: PathBuf,
    pub(super) away: bool,
    pub(super) orders: Vec<String>,
    pub(super) links: BTreeSet<PathBuf>,
    pub(super) linked: Vec<PathBuf>,
    /// When fenced units are stopped.
    pub(super) armed: Option<Instant>,
    units: BTreeMap<UnitName, Unit>,
    turns: u64,
}

/// A unit in memory: one that is up or failed, or that one in memory refers to.
#[derive(Debug)]
struct Unit {
    /// Empty if there was no file when systemd last looked.
    text: String,
    active: &'static str,
    sub: &'static str,
    /// Its start job waits until units that it is ordered after have started.
    waiting: bool,
    /// Which of all beginnings the unit's present one is.
    turn: u64,
    /// What it runs as, or last ran as.
    process: Process,
    /// Who waits for the unit's job.
    job: Vec<oneshot::Sender<JobResult>>,
}

/// One run of a unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Process {
    /// Like a process id: no two runs since the boot share one.
    pub number: u64,
    /// When it was started.
    pub begun: Option<Instant>,
}

/// A unit that began to move, its turn, and when that ends.
pub(super) type Begun = (UnitName, u64, Option<Duration>);

impl Machine {
    pub(super) fn new(directory: &Path) -> Machine {
        Machine {
            directory: directory.to_owned(),
            away: false,
            orders: Vec::new(),
            links: BTreeSet::new(),
            linked: Vec::new(),
            armed: None,
            units: BTreeMap::new(),
            turns: 0,
        }
    }

    pub(super) fn status(&self, name: &UnitName) -> Status {
        let (load, active, sub) = match self.units.get(name) {
            Some(unit) => (load_state(name, &unit.text), unit.active, unit.sub),
            None => match self.text(name) {
                Some(text) => (load_state(name, &text), "inactive", "dead"),
                None => ("not-found", "inactive", "dead"),
            },
        };
        let [load, active, sub] = [load, active, sub].map(str::to_owned);
        Status {
            load,
            active,
            sub,
            starting: self.units.get(name).is_some_and(Unit::is_starting),
        }
    }

    /// Starts a unit and what it requires. Gives all that began to move.
    pub(super) fn start(
        &mut self,
        name: &UnitName,
        end: oneshot::Sender<JobResult>,
    ) -> Result<Vec<Begun>, SystemdError> {
        let text = self.loadable(name)?;
        let required: Vec<UnitName> = required(&text).collect();
        for other in &required {
            self.loadable(other)?;
        }
        let mut begun = Vec::new();
        for other in &required {
            if !self.is_up(other) {
                begun.extend(self.begin(other, None)?);
            }
        }
        begun.extend(self.begin(name, Some(end))?);
        self.load_referred();
        Ok(begun)
    }

    /// Begins to stop a unit; none if there is nothing to stop.
    pub(super) fn stop(
        &mut self,
        name: &UnitName,
        end: oneshot::Sender<JobResult>,
    ) -> Option<(u64, Option<Duration>)> {
        self.cancel_waiting(name);
        let turn = self.next_turn();
        let unit = self.units.get_mut(name).filter(|unit| unit.is_up())?;
        tell(unit.job.drain(..), &JobResult::Canceled);
        unit.job.push(end);
        (unit.active, unit.sub, unit.turn) = ("deactivating", "stop", turn);
        let fall = unit
            .play(name)
            .map_or(Some(Duration::ZERO), |play| play.fall);
        Some((turn, fall))
    }

    /// Brings a unit to where its present turn leads, unless another turn began meanwhile. Gives those that waited
    /// for that, and begin to move.
    pub(super) fn end_turn(&mut self, name: &UnitName, turn: u64) -> Vec<Begun> {
        let Some(unit) = self.units.get_mut(name).filter(|unit| unit.turn == turn) else {
            return Vec::new();
        };
        let (state, result) = unit.destination(name);
        (unit.active, unit.sub) = state;
        tell(unit.job.drain(..), &result);
        self.forget_unused();
        let waiting = self.units.iter().filter(|(_, unit)| unit.waiting);
        let waiting: Vec<UnitName> = waiting.map(|(name, _)| name.clone()).collect();
        waiting.iter().filter_map(|name| self.rise(name)).collect()
    }

    pub(super) fn crash(&mut self, name: &UnitName) {
        if let Some(unit) = self.units.get_mut(name) {
            (unit.active, unit.sub) = ("failed", "failed");
        }
    }

    pub(super) fn reset_failed(&mut self, name: &UnitName) {
        if let Some(unit) = self
            .units
            .get_mut(name)
            .filter(|unit| unit.active == "failed")
        {
            (unit.active, unit.sub) = ("inactive", "dead");
        }
        self.forget_unused();
    }

    pub(super) fn reload(&mut self) {
        let names: Vec<UnitName> = self.units.keys().cloned().collect();
        for name in names {
            let text = self.text(&name).unwrap_or_default();
            if let Some(unit) = self.units.get_mut(&name) {
                unit.text = text;
            }
        }
        self.forget_unused();
    }

    pub(super) fn is_stale(&self, name: &UnitName) -> bool {
        let loaded = self.units.get(name).filter(|unit| !unit.text.is_empty());
        loaded.is_some_and(|unit| Some(&unit.text) != self.text(name).as_ref())
    }

    pub(super) fn is_in_memory(&self, name: &UnitName) -> bool {
        self.units.contains_key(name)
    }

    pub(super) fn enable(&mut self, names: &[UnitName]) -> Result<Vec<PathBuf>, SystemdError> {
        let mut wanted = Vec::new();
        for name in names {
            let text = self.text(name).ok_or_else(|| not_found(name))?;
            wanted.extend(install_links(name, &text));
        }
        wanted.retain(|link| self.links.insert(link.clone()));
        Ok(wanted)
    }

    pub(super) fn disable(&mut self, names: &[UnitName]) {
        let disabled = |path: &Path| names.iter().any(|name| path.ends_with(name.as_str()));
        self.links.retain(|link| !disabled(link));
        self.linked.retain(|file| !disabled(file));
    }

    pub(super) fn processes(&self) -> BTreeMap<UnitName, Process> {
        let up = self.units.iter().filter(|(_, unit)| unit.is_up());
        up.map(|(name, unit)| (name.clone(), unit.process))
            .collect()
    }

    /// The units that are up and that say `Fence=yes` in their files.
    pub(super) fn fenced(&self) -> Vec<UnitName> {
        let up = self.units.iter().filter(|(_, unit)| unit.is_up());
        let fenced = up.filter(|(name, unit)| {
            parse(&unit.text).is_some_and(|file| Requirements::of(name, &file).fence)
        });
        fenced.map(|(name, _)| name.clone()).collect()
    }

    /// Whoever waits for the end of a job will not hear of it.
    pub(super) fn lose_jobs(&mut self) {
        self.units.values_mut().for_each(|unit| unit.job.clear());
    }

    pub(super) fn running_text(&self, name: &UnitName) -> Option<String> {
        let unit = self.units.get(name).filter(|unit| unit.is_up())?;
        Some(unit.text.clone())
    }

    /// Takes the start job away from a unit that still waits for its turn.
    fn cancel_waiting(&mut self, name: &UnitName) {
        let Some(unit) = self.units.get_mut(name).filter(|unit| unit.waiting) else {
            return;
        };
        unit.waiting = false;
        tell(unit.job.drain(..), &JobResult::Canceled);
        self.forget_unused();
    }

    fn begin(
        &mut self,
        name: &UnitName,
        end: Option<oneshot::Sender<JobResult>>,
    ) -> Result<Option<Begun>, SystemdError> {
        match self.units.get_mut(name) {
            Some(unit) if unit.active == "active" => {
                tell(end, &JobResult::Done);
                return Ok(None);
            }
            Some(unit) if unit.is_starting() => {
                unit.job.extend(end);
                return Ok(None);
            }
            _ => {}
        }
        let unit = Unit {
            waiting: true,
            job: end.into_iter().collect(),
            ..Unit::at_rest(self.loadable(name)?)
        };
        let before = self.units.insert(name.clone(), unit);
        tell(
            before.into_iter().flat_map(|unit| unit.job),
            &JobResult::Canceled,
        );
        Ok(self.rise(name))
    }

    /// Lets a waiting unit begin, if it is its turn.
    fn rise(&mut self, name: &UnitName) -> Option<Begun> {
        let starting = |other| self.units.get(&other).is_some_and(Unit::is_starting);
        if named(&self.units.get(name)?.text, "After").any(starting) {
            return None;
        }
        let turn = self.next_turn();
        let unit = self.units.get_mut(name)?;
        (unit.active, unit.sub, unit.turn) = ("activating", "start", turn);
        unit.process = Process {
            number: turn,
            begun: Some(Instant::now()),
        };
        unit.waiting = false;
        let rise = unit.play(name).and_then(|play| play.rise);
        Some((name.clone(), turn, rise))
    }

    /// The text that a start would run: the one in memory, or else the file's.
    fn loadable(&self, name: &UnitName) -> Result<String, SystemdError> {
        let loaded = self.units.get(name).map(|unit| unit.text.clone());
        let text = loaded
            .filter(|text| !text.is_empty())
            .or_else(|| self.text(name))
            .ok_or_else(|| not_found(name))?;
        if load_state(name, &text) != "loaded" {
            return Err(refused(
                "BadUnitSetting",
                format!("Unit {name} has a bad unit file setting."),
            ));
        }
        Ok(text)
    }

    fn text(&self, name: &UnitName) -> Option<String> {
        let linked = self
            .linked
            .iter()
            .find(|file| file.ends_with(name.as_str()));
        let path = linked
            .cloned()
            .unwrap_or_else(|| self.directory.join(name.as_str()));
        std::fs::read_to_string(path).ok()
    }

    /// What a running unit refers to is in memory too.
    fn load_referred(&mut self) {
        let referred: Vec<UnitName> = self.referred().into_iter().collect();
        for name in referred {
            if let (false, Some(text)) = (self.units.contains_key(&name), self.text(&name)) {
                self.units.insert(name, Unit::at_rest(text));
            }
        }
    }

    fn forget_unused(&mut self) {
        let referred = self.referred();
        self.units
            .retain(|name, unit| unit.is_kept() || referred.contains(name));
    }

    fn referred(&self) -> BTreeSet<UnitName> {
        let kept = self.units.iter().filter(|(_, unit)| unit.is_kept());
        kept.flat_map(|(name, unit)| required(&unit.text).chain(triggered(name)))
            .collect()
    }

    fn is_up(&self, name: &UnitName) -> bool {
        self.units.get(name).is_some_and(Unit::is_up)
    }

    fn next_turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }
}

impl Unit {
    fn at_rest(text: String) -> Unit {
        Unit {
            text,
            active: "inactive",
            sub: "dead",
            waiting: false,
            turn: 0,
            process: Process::default(),
            job: Vec::new(),
        }
    }

    fn is_up(&self) -> bool {
        !matches!(self.active, "inactive" | "failed")
    }

    fn is_starting(&self) -> bool {
        self.waiting || self.active == "activating"
    }

    fn is_kept(&self) -> bool {
        self.waiting || self.active != "inactive"
    }

    fn play(&self, name: &UnitName) -> Option<Play> {
        parse(&self.text).and_then(|file| play(name, &file))
    }

    fn destination(&self, name: &UnitName) -> ((&'static str, &'static str), JobResult) {
        match self.play(name) {
            Some(play) if self.active == "activating" && play.rises => (play.up, JobResult::Done),
            Some(_) if self.active == "activating" => {
                (("failed", "failed"), JobResult::Failed("failed".to_owned()))
            }
            _ => (("inactive", "dead"), JobResult::Done),
        }
    }
}

fn load_state(name: &UnitName, text: &str) -> &'static str {
    match parse(text).and_then(|file| play(name, &file)) {
        Some(_) => "loaded",
        None if text.is_empty() => "not-found",
        None => "bad-setting",
    }
}

fn parse(text: &str) -> Option<UnitFile> {
    UnitFile::parse(text.as_bytes()).ok()
}

fn required(text: &str) -> impl Iterator<Item = UnitName> {
    named(text, "Requires")
}

/// The units that a unit file's `[Unit]` section names with `option`, each line naming one.
fn named(text: &str, option: &str) -> impl Iterator<Item = UnitName> + use<> {
    let file = parse(text).unwrap_or_default();
    let names: Vec<String> = file.values("Unit", option).map(str::to_owned).collect();
    names
        .into_iter()
        .filter_map(|name| UnitName::parse(&name).ok())
}

/// The service that a socket, timer or path unit starts.
fn triggered(name: &UnitName) -> Option<UnitName> {
    let trigger = matches!(name.suffix(), "socket" | "timer" | "path");
    trigger.then(|| UnitName::parse(&format!("{}.service", name.stem())).ok())?
}

fn install_links(name: &UnitName, text: &str) -> Vec<PathBuf> {
    let file = parse(text).unwrap_or_default();
    file.values("Install", "WantedBy")
        .map(|target| Path::new(&format!("{target}.wants")).join(name.as_str()))
        .collect()
}

fn tell(ends: impl IntoIterator<Item = oneshot::Sender<JobResult>>, result: &JobResult) {
    for end in ends {
        // whoever ordered the job may have lost interest
        let _ = end.send(result.clone());
    }
}

fn not_found(name: &UnitName) -> SystemdError {
    refused("NoSuchUnit", format!("Unit {name} not found."))
}

fn refused(error: &str, message: String) -> SystemdError {
    let name = format!("org.freedesktop.systemd1.{error}");
    SystemdError::Refused { name, message }
}
