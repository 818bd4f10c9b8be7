//! What a plan's changes make to tell.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::requirements::print_seconds;
use crate::schedule::{Change, Plan};
use crate::{Assignment, Away, Cluster, MachineId};

use super::{Entry, What};

/// What the changes of a plan make to tell, each worked out when it is asked for: a plan may have a great many.
#[derive(Debug)]
pub struct Account<'a> {
    cluster: &'a Cluster,
    plan: &'a Plan,
    /// Changes that are told of earlier, with another one: by the place of that.
    early: BTreeMap<usize, Vec<usize>>,
    /// Their places.
    moved: BTreeSet<usize>,
    brake: Option<(usize, Entry)>,
}

impl<'a> Account<'a> {
    /// Of a plan for `cluster`. That a machine is lost is told with the first unit that leaves it, which may be written
    /// before the note of it is.
    pub fn of(cluster: &'a Cluster, plan: &'a Plan) -> Self {
        let mut early: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (first, missed) in first_departures(plan) {
            early.entry(first).or_default().push(missed);
        }
        Account {
            cluster,
            plan,
            moved: early.values().flatten().copied().collect(),
            early,
            brake: brake(cluster, plan),
        }
    }

    /// What is to be told with the change at that place of [`Plan::changes`].
    pub fn with(&self, change: usize) -> Vec<Entry> {
        let early = self.early.get(&change).into_iter().flatten().copied();
        let own = (!self.moved.contains(&change)).then_some(change);
        let changes = early.chain(own).filter_map(|at| self.plan.changes.get(at));
        let brake = self.brake.iter().filter(|(at, _)| *at == change);
        let entries = changes.filter_map(|change| of_change(self.cluster, change));
        entries
            .chain(brake.map(|(_, entry)| entry.clone()))
            .collect()
    }
}

/// The first change that takes a unit off each machine that is missed, if that comes before the one that notes it; the
/// places of both.
fn first_departures(plan: &Plan) -> Vec<(usize, usize)> {
    let places = plan.changes.iter().enumerate();
    let missed = places.clone().filter_map(|(at, change)| match change {
        Change::Miss { machine, .. } => Some((machine, at)),
        _ => None,
    });
    let mut missed: BTreeMap<&MachineId, usize> = missed.collect();
    let mut departures = Vec::new();
    for (at, change) in places {
        if missed.is_empty() {
            break;
        }
        let (Change::Move { from, .. } | Change::Unassign { machine: from, .. }) = change else {
            continue;
        };
        let noted = missed.remove(from).filter(|noted| at < *noted);
        departures.extend(noted.map(|noted| (at, noted)));
    }
    departures
}

fn of_change(cluster: &Cluster, change: &Change) -> Option<Entry> {
    match change {
        Change::Assign {
            unit,
            machine,
            assignment,
            ..
        } => {
            let before = cluster
                .schedule
                .get(machine)
                .and_then(|rows| rows.get(unit));
            let (what, reason) = assigned(before, assignment);
            Some(Entry::of(what).unit(unit).on(machine).because(reason))
        }
        Change::Move {
            unit,
            from,
            to,
            reason,
            ..
        } => Some(Entry {
            from: Some(from.clone()),
            ..Entry::of(What::Moved)
                .unit(unit)
                .on(to)
                .because(reason.to_string())
        }),
        Change::Unassign {
            unit,
            machine,
            reason,
            ..
        } => {
            let entry = Entry::of(What::Unscheduled).unit(unit);
            Some(entry.on(machine).because(reason.to_string()))
        }
        Change::Miss { machine, away } => missed(cluster, machine, away),
        Change::Unmiss { machine } => missed_no_more(cluster, machine),
        Change::Admit { machine, .. } => admitted(cluster, machine),
        Change::Untarget { .. }
        | Change::Dismiss { .. }
        | Change::Obey { .. }
        | Change::Blame { .. }
        | Change::Absolve { .. }
        | Change::Collect { .. } => None,
    }
}

fn assigned(before: Option<&Assignment>, now: &Assignment) -> (What, String) {
    match before {
        None => (What::Scheduled, format!("to be {}", now.desired)),
        Some(before) if before.hash != now.hash => {
            let reason = format!("to be {} with another unit file", now.desired);
            (What::Rescheduled, reason)
        }
        Some(before) => {
            let reason = format!("to be {}, not {}", now.desired, before.desired);
            (What::Rescheduled, reason)
        }
    }
}

/// The note of an absence is rewritten as things go on; its first version is news.
fn missed(cluster: &Cluster, machine: &MachineId, away: &Away) -> Option<Entry> {
    if cluster.away.contains_key(machine) {
        return None;
    }
    let what = match away.announced {
        true => What::MachineLeaves,
        false => What::MachineLost,
    };
    let reason = match (grace(cluster, machine, away), away.announced, away.massive) {
        (Some(grace), true, _) => grace,
        (Some(grace), false, _) => format!("its lease has ended; {grace}"),
        (None, true, _) => "it hands its units over".to_owned(),
        (None, false, true) => "its lease has ended, as those of many others".to_owned(),
        (None, false, false) => "its lease has ended".to_owned(),
    };
    Some(Entry::of(what).on(machine).because(reason))
}

/// How long its units wait for a machine whose absence an operator has announced.
fn grace(cluster: &Cluster, machine: &MachineId, away: &Away) -> Option<String> {
    let cordon = cluster.cordons.get(machine)?;
    let waits = !cordon.grace.is_zero() && !cluster.forgotten.contains(machine);
    let seconds = print_seconds(cordon.grace.as_secs());
    let until = hour(away.since.saturating_add(cordon.grace));
    waits.then(|| format!("its units wait {seconds} for it, until {until}"))
}

/// The hour of a moment since the Unix epoch.
fn hour(moment: Duration) -> String {
    let seconds = moment.as_secs();
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{hour:02}:{minute:02}:{second:02} UTC")
}

/// What matters no more is no news.
fn missed_no_more(cluster: &Cluster, machine: &MachineId) -> Option<Entry> {
    if cluster.machines.contains_key(machine) {
        return Some(Entry::of(What::MachineBack).on(machine));
    }
    let given_up = cluster.forgotten.contains(machine);
    given_up.then(|| {
        let entry = Entry::of(What::MachineForgotten).on(machine);
        entry.because("an operator says that it is gone for good")
    })
}

fn admitted(cluster: &Cluster, machine: &MachineId) -> Option<Entry> {
    if cluster.away.contains_key(machine) {
        return None;
    }
    let entry = match cluster.admitted.contains_key(machine) {
        true => Entry::of(What::MachineBack).because("it joined again before it was missed"),
        false => Entry::of(What::MachineJoined),
    };
    Some(entry.on(machine))
}

/// Whether units begin to wait for machines that were lost at once, or wait no more: told with the change after which the records
/// say so, so that each is told once however far the plan is carried out.
fn brake(cluster: &Cluster, plan: &Plan) -> Option<(usize, Entry)> {
    let known = cluster.away.iter().filter(|(_, away)| away.massive);
    let mut massive: BTreeSet<&MachineId> = known.map(|(machine, _)| machine).collect();
    let before = !massive.is_empty();
    let turn = plan.changes.iter().position(|change| {
        match change {
            Change::Miss { machine, away } if away.massive => massive.insert(machine),
            Change::Miss { machine, .. } | Change::Unmiss { machine } => massive.remove(machine),
            _ => return false,
        };
        massive.is_empty() == before
    })?;
    let entry = match before {
        true => Entry::of(What::Released).because(
            "not too many machines are lost any more: enough are back, are forgotten, or were announced to be away",
        ),
        false => braked(plan),
    };
    Some((turn, entry))
}

fn braked(plan: &Plan) -> Entry {
    let lost = |change: &&Change| matches!(change, Change::Miss { away, .. } if away.massive);
    let lost = plan.changes.iter().filter(lost).count();
    Entry::of(What::Braked).because(format!(
        "too many machines are lost or silent at once, {lost} lost by now: their units wait for them, until enough are back or are forgotten"
    ))
}
