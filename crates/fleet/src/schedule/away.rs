//! Machines whose lease has ended: which of their units wait for them, and how long.
//!
//! Most do not: they move at once. A unit may ask for time (`MoveDelaySec=`), or to stay until an operator says that the machine
//! is gone for good (`Sticky=`). And when more machines go together than is likely, it is the network that went, or the
//! control plane: then all their units stay, until enough of the machines are back or an operator gives them up.

use std::collections::BTreeSet;
use std::time::Duration;

use super::draft::Draft;
use crate::{Away, Cluster, MachineId};

/// Machines that go within this time go together.
const TOGETHER: Duration = Duration::from_secs(60);

/// What a plan depends on besides the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// When it is made, since the Unix epoch by the planner's clock. Only machines that are away depend on it.
    pub now: Duration,
    /// When more than so many percent of the machines, and at least two, go together, their units wait for them. 100: never.
    pub brake_percent: u32,
}

impl Default for Terms {
    fn default() -> Self {
        Terms {
            now: Duration::ZERO,
            brake_percent: 50,
        }
    }
}

/// What keeps a unit with a machine that is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// `MoveDelaySec=`: until then, since the Unix epoch.
    Until(Duration),
    /// `Sticky=`
    Sticky,
    /// Too many machines went at once.
    Brake,
}

/// What keeps `unit` with `machine`, which is away; nothing if it moves, or if the machine is there.
pub fn hold(cluster: &Cluster, unit: &str, machine: &MachineId, terms: &Terms) -> Option<Hold> {
    let away = cluster.away.get(machine)?;
    if cluster.machines.contains_key(machine) {
        return None;
    }
    let unit = cluster.units.get(unit)?;
    let braked = is_braked(&massive(cluster), cluster.machines.len(), terms);
    held(away, unit.requirements.as_deref(), braked, terms.now)
}

fn held(
    away: &Away,
    wanted: Option<&crate::Requirements>,
    braked: bool,
    now: Duration,
) -> Option<Hold> {
    if away.forgotten {
        return None;
    }
    if away.massive && braked {
        return Some(Hold::Brake);
    }
    let wanted = wanted?;
    let until = away.since + Duration::from_secs(wanted.move_delay);
    match wanted.sticky {
        true => Some(Hold::Sticky),
        false => (now < until).then_some(Hold::Until(until)),
    }
}

/// The machines that went with many others and are not back.
fn massive(cluster: &Cluster) -> Vec<&MachineId> {
    let away = cluster.away.iter().filter(|(id, away)| {
        away.massive && !away.forgotten && !cluster.machines.contains_key(*id)
    });
    away.map(|(id, _)| id).collect()
}

/// Whether so many of them are gone, with so many there, that it is better to wait.
fn is_braked(gone: &[&MachineId], live: usize, terms: &Terms) -> bool {
    let (gone, limit) = (gone.len(), terms.brake_percent as usize);
    gone > 1 && gone * 100 > limit * (live + gone)
}

/// The machines that are away, as the draft has them.
#[derive(Default)]
pub(super) struct Absences {
    /// In order of id, with what is or will be recorded.
    pub(super) away: Vec<(MachineId, Away)>,
    pub(super) braked: bool,
    now: Duration,
}

impl Absences {
    /// Who is away or leaves by now: those of `gone` on record, and those who are not on record yet.
    fn of(cluster: &Cluster, gone: &BTreeSet<MachineId>, terms: &Terms) -> Self {
        let noticed = |id: &MachineId| Away {
            since: terms.now,
            announced: cluster.machines.contains_key(id),
            ..Away::default()
        };
        let away = gone.iter().map(|id| {
            let known = cluster.away.get(id).cloned();
            (id.clone(), known.unwrap_or_else(|| noticed(id)))
        });
        let mut away: Vec<_> = away.collect();
        let braked = brake(&mut away, cluster.machines.len(), terms);
        let now = terms.now;
        Absences { away, braked, now }
    }

    fn get(&self, id: &MachineId) -> Option<&Away> {
        let at = self
            .away
            .binary_search_by(|(other, _)| other.cmp(id))
            .ok()?;
        Some(&self.away[at].1)
    }

    /// When the first record has served its time.
    fn next(&self) -> Option<Duration> {
        let counted = self.away.iter().filter(|(_, away)| counts(away));
        let ends = counted.map(|(_, away)| away.since + TOGETHER);
        ends.filter(|end| *end > self.now).min()
    }

    /// Whether a machine's record still tells who went together.
    pub(super) fn is_recent(&self, away: &Away) -> bool {
        counts(away) && self.now < away.since + TOGETHER
    }
}

/// Whether a machine is one of those that nobody expected to go.
fn counts(away: &Away) -> bool {
    !away.forgotten && !away.announced
}

/// Marks the machines that went together if they are too many. Whether units wait for those that are marked.
fn brake(away: &mut [(MachineId, Away)], live: usize, terms: &Terms) -> bool {
    let recent = |away: &Away| counts(away) && terms.now < away.since + TOGETHER;
    let together: Vec<&MachineId> = away
        .iter()
        .filter(|(_, away)| recent(away) || (away.massive && counts(away)))
        .map(|(id, _)| id)
        .collect();
    if is_braked(&together, live, terms) {
        for (_, away) in away.iter_mut().filter(|(_, away)| recent(away)) {
            away.massive = true;
        }
    }
    let massive = away
        .iter()
        .filter(|(_, away)| away.massive && !away.forgotten);
    let massive: Vec<&MachineId> = massive.map(|(id, _)| id).collect();
    is_braked(&massive, live, terms)
}

impl Draft {
    /// Takes note of who is away by now, and goes over the machines for which that is news.
    pub(super) fn sync_absences(
        &mut self,
        cluster: &Cluster,
        gone: &BTreeSet<MachineId>,
        terms: &Terms,
    ) {
        let due = self.next().is_some_and(|next| next <= terms.now);
        let before = std::mem::replace(&mut self.absences, Absences::of(cluster, gone, terms));
        let all = due || before.braked != self.absences.braked;
        let away = self.absences.away.iter();
        let news = away.filter(|(id, away)| all || before.get(id) != Some(away));
        let hosts = news.filter_map(|(id, _)| self.hosts.find(id.as_str()));
        self.dirty.extend(hosts);
    }

    /// What keeps a unit with a machine that is not there, or leaves.
    pub(super) fn hold(&self, unit: usize, host: usize) -> Option<Hold> {
        let away = self.absences.get(&self.hosts.get(host).id)?;
        let wanted = self.units.wanted(unit)?.requirements.as_deref();
        held(away, wanted, self.absences.braked, self.absences.now)
    }

    /// When a unit's time is over, or a record's.
    pub(super) fn next(&self) -> Option<Duration> {
        let hosts = self.absences.away.iter();
        let hosts = hosts.filter_map(|(id, _)| self.hosts.find(id.as_str()));
        let units = hosts.flat_map(|host| {
            let guests = self.hosts.get(host).guests.iter();
            guests.filter_map(move |&unit| match self.hold(unit, host)? {
                Hold::Until(end) => Some(end),
                Hold::Sticky | Hold::Brake => None,
            })
        });
        units.chain(self.absences.next()).min()
    }

    /// Whether somebody waits for a machine that is away.
    pub(super) fn is_waited_for(&self, id: &MachineId) -> bool {
        let host = self.hosts.find(id.as_str());
        host.is_some_and(|host| !self.hosts.get(host).guests.is_empty())
    }
}
