//! What a plan's changes make to tell.

use std::collections::BTreeMap;

use crate::schedule::{Change, Plan};
use crate::{Assignment, Away, Cluster, MachineId};

use super::{Entry, What};

/// An entry, and the change that it tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its place in [`Plan::changes`].
    pub change: usize,
    /// What is told.
    pub entry: Entry,
}

/// What the changes of a plan for `cluster` make to tell, in their order. That a machine is lost is told with the first
/// unit that leaves it, which may be written before the note of it is.
pub fn of_plan(cluster: &Cluster, plan: &Plan) -> Vec<Told> {
    let departures = departures(plan);
    let mut told = Vec::new();
    for (at, change) in plan.changes.iter().enumerate() {
        let first = match change {
            Change::Miss { machine, .. } => departures.get(machine).copied(),
            _ => None,
        };
        let change_told = first.map_or(at, |first| first.min(at));
        let entries = of_change(cluster, change).into_iter();
        told.extend(entries.map(|entry| Told {
            change: change_told,
            entry,
        }));
    }
    told.extend(brake(cluster, plan));
    told.sort_by_key(|told| told.change);
    told
}

/// The place of the first change that takes a unit off a machine.
fn departures(plan: &Plan) -> BTreeMap<&MachineId, usize> {
    let mut departures = BTreeMap::new();
    for (at, change) in plan.changes.iter().enumerate() {
        let (Change::Move { from, .. } | Change::Unassign { machine: from, .. }) = change else {
            continue;
        };
        departures.entry(from).or_insert(at);
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
    let (what, reason) = match (away.announced, away.massive) {
        (true, _) => (What::MachineLeaves, "it hands its units over"),
        (false, true) => (
            What::MachineLost,
            "its lease has ended, as those of many others",
        ),
        (false, false) => (What::MachineLost, "its lease has ended"),
    };
    Some(Entry::of(what).on(machine).because(reason))
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

/// Whether units begin to wait for machines that were lost at once, or wait no more.
fn brake(cluster: &Cluster, plan: &Plan) -> Option<Told> {
    let massive = |change: &Change| match change {
        Change::Miss { machine, away } => away.massive && !cluster.away.contains_key(machine),
        _ => false,
    };
    let over = |change: &Change| match change {
        Change::Unmiss { machine } => cluster.away.get(machine).is_some_and(|away| away.massive),
        _ => false,
    };
    if plan.braked {
        let lost = plan.changes.iter().filter(|change| massive(change)).count();
        let entry = Entry::of(What::Braked).because(format!(
            "{lost} machines were lost at once: their units wait for them, until enough are back or are forgotten"
        ));
        let change = plan.changes.iter().rposition(massive)?;
        return Some(Told { change, entry });
    }
    let change = plan.changes.iter().position(over)?;
    let entry = Entry::of(What::Released)
        .because("enough of the machines that were lost are back, or are forgotten");
    Some(Told { change, entry })
}
