//! A systemd in memory, for tests: it reads real unit files from a directory, and plays what
//! their commands would do ([`Play`]) instead of running them.
//!
//! It keeps systemd's rules of what is in memory: a unit that runs, or that something that runs refers to,
//! keeps the text it was loaded with until a reload; any other is forgotten and read again at its next start.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use unitfile::UnitName;

use self::machine::{Begun, Machine, Stop};
pub use self::machine::{Process, Run};
use super::{Changes, Job, JobResult, Status, Systemd, SystemdError};

mod loaded;
mod machine;
mod play;

/// systemd in memory. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub struct Memory {
    machine: Arc<Mutex<Machine>>,
    changes: Arc<Changes>,
    /// How long a second by this machine's clock is, in seconds.
    second: f64,
}

impl Memory {
    /// A systemd that has just booted and looks for unit files in `directory`.
    pub fn boot(directory: &Path) -> Memory {
        Memory {
            machine: Arc::new(Mutex::new(Machine::new(directory))),
            changes: Arc::default(),
            second: 1.0,
        }
    }

    /// The same with a clock that is off: a second by it takes so many seconds.
    #[must_use]
    pub fn with_second(self, second: f64) -> Memory {
        Memory { second, ..self }
    }

    /// Every order that was carried out, in order, such as `start web.service` or `reload`.
    pub fn orders(&self) -> Vec<String> {
        self.machine().orders.clone()
    }

    /// Forgets the orders so far.
    pub fn forget_orders(&self) {
        self.machine().orders.clear();
    }

    /// The links that `[Install]` sections asked for, as `multi-user.target.wants/web.service`.
    pub fn links(&self) -> BTreeSet<PathBuf> {
        self.machine().links.clone()
    }

    /// The text that a unit was started with; none when it does not run.
    pub fn running_text(&self, name: &UnitName) -> Option<String> {
        self.machine().running_text(name)
    }

    /// The units that are up, and the run of each.
    pub fn processes(&self) -> BTreeMap<UnitName, Process> {
        self.machine().processes()
    }

    /// Makes systemd unreachable, or reachable again. Whoever waits for a job meanwhile will not hear of its end.
    pub fn set_away(&self, away: bool) {
        let mut machine = self.machine();
        machine.away = away;
        machine.lose_jobs();
        drop(machine);
        self.changes.note_everything();
    }

    /// A running unit's process dies.
    pub fn crash(&self, name: &UnitName) {
        self.machine().crash(name);
        self.changes.note(name.clone());
    }

    /// The machine loses its power: all that runs has ended.
    pub fn lose_power(&self) {
        self.machine().lose_power();
    }

    /// The runs that have ended since this was asked last.
    pub fn take_ended(&self) -> Vec<Run> {
        std::mem::take(&mut self.machine().ended)
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine, and the order noted, unless systemd is away.
    fn order(&self, order: &'static str, names: &[UnitName]) -> Answered<MutexGuard<'_, Machine>> {
        let mut machine = self.reach(order)?;
        let words: Vec<&str> = names.iter().map(UnitName::as_str).collect();
        let line = format!("{order} {}", words.join(" "));
        machine.orders.push(line.trim_end().to_owned());
        Ok(machine)
    }

    fn reach(&self, operation: &'static str) -> Answered<MutexGuard<'_, Machine>> {
        let machine = self.machine();
        if machine.away {
            let source = zbus::Error::Failure("systemd is away".to_owned());
            return Err(SystemdError::Away { operation, source });
        }
        Ok(machine)
    }

    fn move_on(&self, begun: Vec<Begun>) {
        for (unit, turn, after) in begun {
            self.end_later(&unit, turn, after);
            self.changes.note(unit);
        }
    }

    /// Ends what `turn` of the unit `name` began, once its time has come.
    fn end_later(&self, name: &UnitName, turn: u64, after: Option<Duration>) {
        let (this, name) = (self.clone(), name.clone());
        let Some(after) = after else { return };
        let after = after.mul_f64(self.second);
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let begun = this.machine().end_turn(&name, turn);
            this.changes.note(name);
            this.move_on(begun);
        });
    }
}

impl Memory {
    /// Stops the fenced units, unless it has been armed for another time since.
    fn lease_ends(&self, armed: Instant) {
        let mut machine = self.machine();
        if machine.armed != Some(armed) {
            return;
        }
        machine.armed = None;
        for name in machine.fenced() {
            let (end, _) = Job::new();
            if let Stop::Begun(turn, after) = machine.stop(&name, end) {
                self.end_later(&name, turn, after);
                self.changes.note(name);
            }
        }
    }
}

type Answered<T> = Result<T, SystemdError>;

impl Systemd for Memory {
    async fn states(&self, names: &[UnitName]) -> Answered<BTreeMap<UnitName, Status>> {
        let machine = self.reach("states")?;
        Ok(names
            .iter()
            .map(|name| (name.clone(), machine.status(name)))
            .collect())
    }

    async fn start(&self, name: &UnitName) -> Answered<Job> {
        let (end, job) = Job::new();
        let begun = self
            .order("start", std::slice::from_ref(name))?
            .start(name, end)?;
        self.move_on(begun);
        Ok(job)
    }

    async fn stop(&self, name: &UnitName) -> Answered<Job> {
        let (end, job) = Job::new();
        let stop = self
            .order("stop", std::slice::from_ref(name))?
            .stop(name, end);
        match stop {
            Stop::Down => return Ok(Job::ended(JobResult::Done)),
            Stop::UnderWay => {}
            Stop::Begun(turn, after) => {
                self.end_later(name, turn, after);
                self.changes.note(name.clone());
            }
        }
        Ok(job)
    }

    async fn reset_failed(&self, name: &UnitName) -> Answered<()> {
        self.reach("reset-failed")?.reset_failed(name);
        self.changes.note(name.clone());
        Ok(())
    }

    async fn reload(&self) -> Answered<()> {
        self.order("reload", &[])?.reload();
        self.changes.note_everything();
        Ok(())
    }

    async fn stale(&self, names: &[UnitName]) -> Answered<BTreeSet<UnitName>> {
        let machine = self.reach("stale")?;
        let stale = names.iter().filter(|name| machine.is_stale(name));
        Ok(stale.cloned().collect())
    }

    async fn in_memory(&self, names: &[UnitName]) -> Answered<BTreeSet<UnitName>> {
        let machine = self.reach("in-memory")?;
        let there = names.iter().filter(|name| machine.is_in_memory(name));
        Ok(there.cloned().collect())
    }

    async fn enable(&self, names: &[UnitName]) -> Answered<Vec<PathBuf>> {
        self.order("enable", names)?.enable(names)
    }

    async fn disable(&self, names: &[UnitName]) -> Answered<()> {
        self.order("disable", names)?.disable(names);
        Ok(())
    }

    async fn link(&self, files: &[PathBuf]) -> Answered<()> {
        self.reach("link")?.linked.extend_from_slice(files);
        Ok(())
    }

    async fn arm(&self, until: Instant) -> Answered<bool> {
        let before = self.reach("arm")?.armed.replace(until);
        let this = self.clone();
        let left = until.saturating_duration_since(Instant::now());
        let left = left.mul_f64(self.second);
        tokio::spawn(async move {
            tokio::time::sleep(left).await;
            this.lease_ends(until);
        });
        Ok(before.is_none())
    }

    async fn unit_path(&self) -> Answered<Vec<PathBuf>> {
        Ok(vec![self.reach("unit-path")?.directory.clone()])
    }

    fn changes(&self) -> Arc<Changes> {
        Arc::clone(&self.changes)
    }
}
