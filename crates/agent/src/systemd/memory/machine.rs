//! The units that the systemd in memory knows, and the rules by which they change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use unitfile::UnitName;

use super::loaded::{Loaded, Reader};
use super::play::Play;
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
    /// The runs that have ended since somebody asked.
    pub(super) ended: Vec<Run>,
    units: BTreeMap<UnitName, Unit>,
    reader: Reader,
    turns: u64,
}

/// A unit in memory: one that is up or failed, or that one in memory refers to.
#[derive(Debug)]
struct Unit {
    /// As its file was when systemd last looked; none if there was none.
    loaded: Option<Arc<Loaded>>,
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

/// A run that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Of which unit.
    pub unit: UnitName,
    /// What it ran as.
    pub process: Process,
    /// When it ended.
    pub ended: Instant,
}

/// A unit that began to move, its turn, and when that ends.
pub(super) type Begun = (UnitName, u64, Option<Duration>);

/// What an order to stop a unit comes to.
pub(super) enum Stop {
    /// There is nothing to stop.
    Down,
    /// It is being stopped already: systemd joins the two.
    UnderWay,
    /// It begins with this turn, and takes so long.
    Begun(u64, Option<Duration>),
}

impl Machine {
    pub(super) fn new(directory: &Path) -> Machine {
        Machine {
            directory: directory.to_owned(),
            away: false,
            orders: Vec::new(),
            links: BTreeSet::new(),
            linked: Vec::new(),
            armed: None,
            ended: Vec::new(),
            units: BTreeMap::new(),
            reader: Reader::default(),
            turns: 0,
        }
    }

    pub(super) fn status(&self, name: &UnitName) -> Status {
        let (load, active, sub) = match self.units.get(name) {
            Some(unit) => (load_state(unit.loaded.as_deref()), unit.active, unit.sub),
            None => (load_state(self.read(name).as_deref()), "inactive", "dead"),
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
        let loaded = self.loadable(name)?;
        // it requires the lease's target to be there
        if loaded.fence && self.armed.is_none() {
            // nobody may wait for that
            let _ = end.send(JobResult::Failed("dependency".to_owned()));
            return Ok(Vec::new());
        }
        let required = loaded.required.clone();
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

    /// Begins to stop a unit.
    pub(super) fn stop(&mut self, name: &UnitName, end: oneshot::Sender<JobResult>) -> Stop {
        self.cancel_waiting(name);
        let turn = self.next_turn();
        let Some(unit) = self.units.get_mut(name).filter(|unit| unit.is_up()) else {
            return Stop::Down;
        };
        if unit.active == "deactivating" {
            unit.job.push(end);
            return Stop::UnderWay;
        }
        tell(unit.job.drain(..), &JobResult::Canceled);
        unit.job.push(end);
        (unit.active, unit.sub, unit.turn) = ("deactivating", "stop", turn);
        let fall = unit.play().map_or(Some(Duration::ZERO), |play| play.fall);
        Stop::Begun(turn, fall)
    }

    /// Brings a unit to where its present turn leads, unless another turn began meanwhile. Gives those that waited
    /// for that, and begin to move.
    pub(super) fn end_turn(&mut self, name: &UnitName, turn: u64) -> Vec<Begun> {
        let Some(unit) = self.units.get_mut(name).filter(|unit| unit.turn == turn) else {
            return Vec::new();
        };
        let (state, result) = unit.destination();
        (unit.active, unit.sub) = state;
        tell(unit.job.drain(..), &result);
        self.note_end(name);
        self.forget_unused();
        let waiting = self.units.iter().filter(|(_, unit)| unit.waiting);
        let waiting: Vec<UnitName> = waiting.map(|(name, _)| name.clone()).collect();
        waiting.iter().filter_map(|name| self.rise(name)).collect()
    }

    pub(super) fn crash(&mut self, name: &UnitName) {
        if let Some(unit) = self.units.get_mut(name) {
            (unit.active, unit.sub) = ("failed", "failed");
            self.note_end(name);
        }
    }

    /// All that runs ends now.
    pub(super) fn lose_power(&mut self) {
        for name in self.processes().into_keys() {
            self.crash(&name);
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
            let loaded = self.read(&name);
            if let Some(unit) = self.units.get_mut(&name) {
                unit.loaded = loaded;
            }
        }
        self.forget_unused();
    }

    pub(super) fn is_stale(&self, name: &UnitName) -> bool {
        let unit = self.units.get(name);
        let loaded = unit.and_then(|unit| unit.loaded.as_ref());
        loaded.is_some_and(|loaded| self.read(name).as_ref() != Some(loaded))
    }

    pub(super) fn is_in_memory(&self, name: &UnitName) -> bool {
        self.units.contains_key(name)
    }

    pub(super) fn enable(&mut self, names: &[UnitName]) -> Result<Vec<PathBuf>, SystemdError> {
        let mut wanted = Vec::new();
        for name in names {
            let loaded = self.read(name).ok_or_else(|| not_found(name))?;
            wanted.extend(loaded.links.iter().cloned());
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
        let fenced = up.filter(|(_, unit)| unit.loaded.as_ref().is_some_and(|loaded| loaded.fence));
        fenced.map(|(name, _)| name.clone()).collect()
    }

    /// Whoever waits for the end of a job will not hear of it.
    pub(super) fn lose_jobs(&mut self) {
        self.units.values_mut().for_each(|unit| unit.job.clear());
    }

    pub(super) fn running_text(&self, name: &UnitName) -> Option<String> {
        let unit = self.units.get(name).filter(|unit| unit.is_up())?;
        unit.loaded.as_ref().map(|loaded| loaded.text.clone())
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
        let starting = |other: &UnitName| self.units.get(other).is_some_and(Unit::is_starting);
        let before = |loaded: &Arc<Loaded>| loaded.after.iter().any(starting);
        if self.units.get(name)?.loaded.as_ref().is_some_and(before) {
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
        let rise = unit.play().and_then(|play| play.rise);
        Some((name.clone(), turn, rise))
    }

    /// What a start would run: what is in memory, or else the file.
    fn loadable(&self, name: &UnitName) -> Result<Arc<Loaded>, SystemdError> {
        let unit = self.units.get(name);
        let loaded = unit.and_then(|unit| unit.loaded.clone());
        let loaded = loaded
            .or_else(|| self.read(name))
            .ok_or_else(|| not_found(name))?;
        if loaded.play.is_none() {
            return Err(refused(
                "BadUnitSetting",
                format!("Unit {name} has a bad unit file setting."),
            ));
        }
        Ok(loaded)
    }

    /// The unit's file as it is now.
    fn read(&self, name: &UnitName) -> Option<Arc<Loaded>> {
        let linked = self
            .linked
            .iter()
            .find(|file| file.ends_with(name.as_str()));
        let path = linked
            .cloned()
            .unwrap_or_else(|| self.directory.join(name.as_str()));
        self.reader.read(name, &path)
    }

    /// What a running unit refers to is in memory too.
    fn load_referred(&mut self) {
        let referred: Vec<UnitName> = self.referred().into_iter().collect();
        for name in referred {
            if self.units.contains_key(&name) {
                continue;
            }
            if let Some(loaded) = self.read(&name) {
                self.units.insert(name, Unit::at_rest(loaded));
            }
        }
    }

    fn forget_unused(&mut self) {
        let referred = self.referred();
        self.units
            .retain(|name, unit| unit.is_kept() || referred.contains(name));
    }

    fn referred(&self) -> BTreeSet<UnitName> {
        let mut referred = BTreeSet::new();
        for (name, unit) in self.units.iter().filter(|(_, unit)| unit.is_kept()) {
            let loaded = unit.loaded.iter();
            referred.extend(loaded.flat_map(|loaded| loaded.required.iter().cloned()));
            referred.extend(triggered(name));
        }
        referred
    }

    fn is_up(&self, name: &UnitName) -> bool {
        self.units.get(name).is_some_and(Unit::is_up)
    }

    /// Notes that a run is over, if the unit is down.
    fn note_end(&mut self, name: &UnitName) {
        let down = self.units.get(name).filter(|unit| !unit.is_up());
        self.ended.extend(down.map(|unit| Run {
            unit: name.clone(),
            process: unit.process,
            ended: Instant::now(),
        }));
    }

    fn next_turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }
}

impl Unit {
    fn at_rest(loaded: Arc<Loaded>) -> Unit {
        Unit {
            loaded: Some(loaded),
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

    fn play(&self) -> Option<&Play> {
        self.loaded.as_ref()?.play.as_ref()
    }

    fn destination(&self) -> ((&'static str, &'static str), JobResult) {
        match self.play() {
            Some(play) if self.active == "activating" && play.rises => (play.up, JobResult::Done),
            Some(_) if self.active == "activating" => {
                (("failed", "failed"), JobResult::Failed("failed".to_owned()))
            }
            _ => (("inactive", "dead"), JobResult::Done),
        }
    }
}

fn load_state(loaded: Option<&Loaded>) -> &'static str {
    match loaded {
        None => "not-found",
        Some(loaded) if loaded.play.is_none() => "bad-setting",
        Some(_) => "loaded",
    }
}

/// The service that a socket, timer or path unit starts.
fn triggered(name: &UnitName) -> Option<UnitName> {
    let trigger = matches!(name.suffix(), "socket" | "timer" | "path");
    trigger.then(|| UnitName::parse(&format!("{}.service", name.stem())).ok())?
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
