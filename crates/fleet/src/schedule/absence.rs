//! Machines whose lease has ended: which of their units wait for them, and how long.
//!
//! Most do not: they move at once. A unit may ask for time (`MoveDelaySec=`), or to stay until an operator says that the machine
//! is gone for good (`Sticky=`). And when more machines go together than is likely, it is the network that went, or the
//! control plane: then all their units stay, until enough of the machines are back or an operator gives them up.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::{Away, Cluster, Machine, MachineId, Requirements};

/// Machines that go within this time go together.
const TOGETHER: Duration = Duration::from_secs(60);

/// When enough of them are back, the others get so much more time: they may be on their way.
const REUNION: Duration = Duration::from_secs(30);

/// What a plan depends on besides the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// When it is made, since the Unix epoch by the planner's clock. Only machines that are away depend on it.
    pub now: Duration,
    /// When more than so many percent of the machines, and at least two, go together, their units wait for them. 100: never.
    pub brake_percent: u32,
    /// Machines that are there by the records and have not been heard of for long. They get no units, and count among those
    /// that are lost: when the network goes, leases do not end all at once.
    pub silent: BTreeSet<MachineId>,
}

impl Default for Terms {
    fn default() -> Self {
        Terms {
            now: Duration::ZERO,
            brake_percent: 50,
            silent: BTreeSet::new(),
        }
    }
}

/// What keeps a unit with a machine that is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// `MoveDelaySec=`: until then, since the Unix epoch.
    Until(Duration),
    /// An operator has announced the absence: until then, since the Unix epoch.
    Grace(Duration),
    /// `Sticky=`
    Sticky,
    /// Too many machines went at once; or they did, and it has until then, since the Unix epoch, to come back with the others.
    Brake(Option<Duration>),
}

/// What keeps `unit` with `machine`, which is away; nothing if it moves, or if the machine is there.
pub fn hold(cluster: &Cluster, unit: &str, machine: &MachineId, now: Duration) -> Option<Hold> {
    let away = cluster.away.get(machine)?;
    if cluster.machines.contains_key(machine) {
        return None;
    }
    let unit = cluster.units.get(unit)?;
    let absence = Absence::of(cluster, machine, away.clone());
    absence.holds(unit.requirements.as_deref(), now)
}

/// Whether so many machines are gone, with so many there, that it is better to wait.
fn is_mass(gone: usize, live: usize, terms: &Terms) -> bool {
    gone > 1 && gone * 100 > terms.brake_percent as usize * (live + gone)
}

/// Whether a machine has said that it leaves, or an operator that it will be away: that it is silent is no surprise.
fn is_expected_to_go(cluster: &Cluster, machine: &Machine) -> bool {
    let cordon = cluster.cordons.get(&machine.id);
    machine.leaving || cordon.is_some_and(|cordon| !cordon.grace.is_zero())
}

/// How many machines have been heard of and have joined anew since their schedule was decided: their leases had ended, too.
fn lost_and_back(cluster: &Cluster, terms: &Terms) -> usize {
    let heard = cluster.machines.values();
    let heard = heard.filter(|machine| !terms.silent.contains(&machine.id));
    let is_back = |id: &MachineId, since: i64| {
        let decided = cluster.admitted.get(id);
        decided.is_some_and(|decided| *decided != since)
    };
    heard
        .filter(|machine| is_back(&machine.id, machine.member_since))
        .count()
}

/// One machine that is away, or leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Absence {
    pub(super) id: MachineId,
    /// What is or will be recorded.
    pub(super) away: Away,
    /// An operator has given it up.
    forgotten: bool,
    /// An operator has announced that it will be away for so long.
    grace: Duration,
}

impl Absence {
    fn of(cluster: &Cluster, id: &MachineId, away: Away) -> Self {
        Absence {
            id: id.clone(),
            away,
            forgotten: cluster.forgotten.contains(id),
            grace: cluster
                .cordons
                .get(id)
                .map_or(Duration::ZERO, |cordon| cordon.grace),
        }
    }

    /// Whether nobody expected it.
    fn counts(&self) -> bool {
        !self.forgotten && !self.away.announced && self.grace.is_zero()
    }

    /// Whether its units wait because it went with too many others.
    pub(super) fn is_massive(&self) -> bool {
        self.counts() && self.away.massive
    }

    /// Whether it is one of those that go together by now.
    pub(super) fn is_recent(&self, now: Duration) -> bool {
        self.counts() && now < self.away.since + TOGETHER
    }

    pub(super) fn holds(&self, wanted: Option<&Requirements>, now: Duration) -> Option<Hold> {
        if self.forgotten {
            return None;
        }
        if self.is_massive() {
            return Some(Hold::Brake(None));
        }
        if let Some(until) = self.away.until.filter(|until| now < *until) {
            return Some(Hold::Brake(Some(until)));
        }
        if wanted.is_some_and(|wanted| wanted.sticky) {
            return Some(Hold::Sticky);
        }
        let delay = wanted.map_or(0, |wanted| wanted.move_delay);
        let delay = Duration::from_secs(delay);
        let end = self.away.since.saturating_add(delay.max(self.grace));
        let hold = match self.grace > delay {
            true => Hold::Grace(end),
            false => Hold::Until(end),
        };
        (now < end).then_some(hold)
    }
}

/// The machines that are away or leave, as the draft has them.
#[derive(Default)]
pub(super) struct Absences {
    /// In order of id.
    pub(super) all: Vec<Absence>,
    pub(super) braked: bool,
    pub(super) now: Duration,
}

impl Absences {
    /// Those of `gone` that are on record, and those that are not yet.
    pub(super) fn of(cluster: &Cluster, gone: &BTreeSet<MachineId>, terms: &Terms) -> Self {
        let noticed = |id: &MachineId| Away {
            since: terms.now,
            announced: cluster.machines.contains_key(id),
            ..Away::default()
        };
        let all = gone.iter().map(|id| {
            let known = cluster.away.get(id).cloned();
            Absence::of(cluster, id, known.unwrap_or_else(|| noticed(id)))
        });
        let mut absences = Absences {
            all: all.collect(),
            braked: false,
            now: terms.now,
        };
        let silent = terms.silent.iter();
        let silent = silent.filter_map(|id| cluster.machines.get(id));
        let heard = cluster.machines.len() - silent.clone().count();
        let silent = silent.filter(|machine| !is_expected_to_go(cluster, machine));
        let silent = silent.count();
        let mass = absences.is_mass(silent, heard, terms);
        // several went together, and some of them are back
        let reunion = cluster.away.values().filter(|away| away.massive).count() > 1;
        absences.brake(mass, reunion);
        let back = match absences.all.is_empty() {
            true => 0,
            false => lost_and_back(cluster, terms),
        };
        if !mass && absences.is_mass(silent + back, heard - back, terms) {
            absences.expect_others();
        }
        absences
    }

    /// Whether too many machines are gone, with some that are silent and some that are well.
    fn is_mass(&self, silent: usize, live: usize, terms: &Terms) -> bool {
        let gone = self.all.iter();
        let gone = gone.filter(|absence| absence.is_recent(self.now) || absence.is_massive());
        let gone = gone.count();
        gone > 0 && is_mass(gone + silent, live, terms)
    }

    /// Many went together, and enough of them are back before anybody has seen that: the others have time to follow.
    fn expect_others(&mut self) {
        let until = self.now + REUNION;
        let now = self.now;
        let others = self.all.iter_mut().filter(|absence| absence.is_recent(now));
        others.for_each(|absence| absence.away.until = absence.away.until.or(Some(until)));
    }

    /// Marks the machines that went together for as long as they are too many.
    fn brake(&mut self, mass: bool, reunion: bool) {
        let now = self.now;
        for absence in &mut self.all {
            let before = absence.is_massive();
            let together = absence.is_recent(now) || before;
            absence.away.massive = mass && together;
            if before && !absence.away.massive && reunion {
                absence.away.until = Some(now + REUNION);
            }
        }
        self.braked = self.all.iter().any(Absence::is_massive);
    }

    pub(super) fn get(&self, id: &MachineId) -> Option<&Absence> {
        let at = self
            .all
            .binary_search_by(|absence| absence.id.cmp(id))
            .ok()?;
        Some(&self.all[at])
    }

    /// When the first record has served its time.
    pub(super) fn next(&self) -> Option<Duration> {
        let recent = self
            .all
            .iter()
            .filter(|absence| absence.is_recent(self.now));
        recent.map(|absence| absence.away.since + TOGETHER).min()
    }
}
