//! What an agent tells of its units: told from the states that it publishes.
//!
//! While systemd is at work on a unit nothing is told: what comes of it is. So a unit that systemd starts again and
//! again by its `Restart=` makes no entries until it has failed for good, and one that goes up and down by order makes
//! two. A unit that never comes to rest is told of now and then only.

use std::collections::BTreeMap;
use std::time::Duration;

use unitfile::UnitName;

use super::{Entry, What};
use crate::{DesiredState, UnitState};

/// A unit may have so many entries at once;
const BURST: u32 = 10;
/// and then one in so long.
const PAUSE: Duration = Duration::from_secs(600);

/// How a stop ends after which systemd calls the unit failed.
const UNCLEAN: &str =
    "it ended with an error, or was killed after its TimeoutStopSec=, when it was stopped";

/// What has been told of each unit of one machine.
#[derive(Debug, Default)]
pub struct Teller {
    units: BTreeMap<UnitName, Known>,
}

/// How a unit stood when it was at rest last.
#[derive(Debug, Default)]
struct Known {
    phase: Phase,
    launched: bool,
    problem: String,
    allowance: Allowance,
}

/// Where a unit comes to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Gone,
    Loaded,
    Up,
    Ended,
    Failed,
}

impl Teller {
    /// A unit is found as it is: no news.
    pub fn know(&mut self, unit: &UnitName, state: Option<&UnitState>) {
        let known = self.units.entry(unit.clone()).or_default();
        known.take(state);
    }

    /// How many units of those that it knows are up.
    pub fn up(&self) -> usize {
        let phases = self.units.values().map(|known| known.phase);
        phases.filter(|phase| *phase == Phase::Up).count()
    }

    /// A unit's state is another one: what there is to tell of that at the time `now`, since the Unix epoch. With `why`, where
    /// that is known, in the place of systemd's words.
    pub fn hear(
        &mut self,
        unit: &UnitName,
        state: Option<&UnitState>,
        why: Option<&str>,
        now: Duration,
    ) -> Option<Entry> {
        let known = self.units.entry(unit.clone()).or_default();
        let news = known.news(state, why);
        known.take(state);
        let told = news.and_then(|(what, reason)| {
            let reason = known.allowance.spend(reason, now)?;
            Some(Entry::of(what).unit(unit).because(reason))
        });
        if state.is_none() {
            self.units.remove(unit);
        }
        told.map(|entry| Entry {
            at: Some(now),
            ..entry
        })
    }
}

impl Known {
    fn news(&self, state: Option<&UnitState>, why: Option<&str>) -> Option<(What, String)> {
        let problem = state.map_or("", |state| state.problem.as_str());
        if !problem.is_empty() && problem != self.problem {
            let what = match state.is_some_and(UnitState::waits) {
                true => What::Waits,
                false => What::Failed,
            };
            return Some((what, problem.to_owned()));
        }
        let phase = Phase::of(state)?;
        if phase == Phase::Failed && !problem.is_empty() {
            // the end of its job was told, and is seen in its state only now
            return None;
        }
        let what = self.what(phase, state)?;
        let said = || {
            let said = state.map_or_else(String::new, said);
            match (what, phase) {
                (What::Stopped, Phase::Failed) => format!("{said}: {UNCLEAN}"),
                _ => said,
            }
        };
        Some((what, why.map_or_else(said, str::to_owned)))
    }

    fn what(&self, phase: Phase, state: Option<&UnitState>) -> Option<What> {
        if phase == self.phase {
            return None;
        }
        let by_order = self.launched && !state.is_some_and(is_launched);
        match (self.phase, phase) {
            (_, Phase::Up) => Some(What::Started),
            (_, Phase::Ended) => Some(What::Ended),
            (Phase::Up, Phase::Failed) if by_order => Some(What::Stopped),
            (_, Phase::Failed) => Some(What::Failed),
            (Phase::Up, _) if !by_order => Some(What::Ended),
            // one that has ended is down already
            (Phase::Up | Phase::Failed, Phase::Loaded) if by_order => Some(What::Stopped),
            (Phase::Up, Phase::Gone) => Some(What::Stopped),
            _ => None,
        }
    }

    fn take(&mut self, state: Option<&UnitState>) {
        if let Some(phase) = Phase::of(state) {
            self.phase = phase;
        }
        self.launched = state.is_some_and(is_launched);
        self.problem = state.map_or_else(String::new, |state| state.problem.clone());
    }
}

impl Phase {
    /// None while systemd is at work on it.
    fn of(state: Option<&UnitState>) -> Option<Phase> {
        let Some(state) = state else {
            return Some(Phase::Gone);
        };
        match state.active.as_str() {
            _ if state.starting => None,
            "active" | "reloading" | "refreshing" => Some(Phase::Up),
            "failed" => Some(Phase::Failed),
            "inactive" if !state.problem.is_empty() => Some(Phase::Failed),
            "inactive" if is_launched(state) => Some(Phase::Ended),
            "inactive" => Some(Phase::Loaded),
            _ => None,
        }
    }
}

fn is_launched(state: &UnitState) -> bool {
    state.current == DesiredState::Launched
}

/// What systemd says, as `systemctl status` has it.
fn said(state: &UnitState) -> String {
    let UnitState {
        load, active, sub, ..
    } = state;
    match load.as_str() {
        "loaded" => format!("{active} ({sub})"),
        _ => format!("{active} ({sub}), {load}"),
    }
}

/// How much may still be told of a unit.
#[derive(Debug)]
struct Allowance {
    left: u32,
    /// When it was filled last.
    filled: Duration,
    /// How much has not been told since.
    silent: u32,
}

impl Default for Allowance {
    fn default() -> Self {
        Allowance {
            left: BURST,
            filled: Duration::ZERO,
            silent: 0,
        }
    }
}

impl Allowance {
    /// The text to tell; none if too much has been told of late.
    fn spend(&mut self, text: String, now: Duration) -> Option<String> {
        self.fill(now);
        let Some(left) = self.left.checked_sub(1) else {
            self.silent += 1;
            return None;
        };
        self.left = left;
        match std::mem::take(&mut self.silent) {
            0 => Some(text),
            silent => Some(format!("{text}; {silent} events before it were not kept")),
        }
    }

    fn fill(&mut self, now: Duration) {
        let pauses = now.saturating_sub(self.filled).as_secs() / PAUSE.as_secs();
        let more = u32::try_from(pauses).unwrap_or(u32::MAX);
        if more > 0 || self.filled > now {
            self.left = self.left.saturating_add(more).min(BURST);
            self.filled = now;
        }
    }
}

#[cfg(test)]
mod tests;
