//! `POST /fleet/v2/what-if`: the leader's planner on a picture that somebody has thought up.

use std::collections::BTreeSet;

use fleet::schedule::{self, Change, Hold, Plan, Supposition, Survey, Terms};
use fleet::v2::{SupposedHold, SupposedMove, WhatIf, WhatThen};
use fleet::{Cluster, Event, MachineId};
use unitfile::UnitName;

use super::error::ApiError;
use super::put::{Wish, Write};
use super::terms;

/// Reads a request; what it says of units is judged by the rules of a `PUT`.
pub(super) fn suppositions(wanted: WhatIf) -> Result<Vec<Supposition>, ApiError> {
    let WhatIf {
        lose,
        drain,
        add,
        like,
        units,
    } = wanted;
    let mut all = Vec::new();
    for id in &lose {
        all.push(Supposition::Lost(machine(id)?));
    }
    for id in &drain {
        all.push(Supposition::Drained(machine(id)?));
    }
    for number in 1..=add {
        all.push(Supposition::Added(
            machine(&format!("new-{number}"))?,
            machine(&like)?,
        ));
    }
    for unit in units {
        let wish = Wish::read(None, unit)?;
        if let Write::File(_, file, desired) = wish.decide(None)? {
            all.push(Supposition::Submitted(wish.name, file, desired));
        }
    }
    Ok(all)
}

fn machine(id: &str) -> Result<MachineId, ApiError> {
    MachineId::parse(id).map_err(ApiError::bad_request)
}

/// What the leader would do.
///
/// # Errors
/// A machine that nobody knows is named, in a sentence.
pub(super) fn answer(cluster: &Cluster, suppositions: &[Supposition]) -> Result<WhatThen, String> {
    for supposition in suppositions {
        check(cluster, supposition)?;
    }
    let terms = terms();
    let (supposed, planned) = schedule::suppose(cluster, suppositions, &terms);
    let waits_now = schedule::plan(cluster, &terms).waiting;
    let waits_now: BTreeSet<&UnitName> = waits_now.iter().collect();
    let survey = Survey::of(&supposed, &terms);
    let why = |unit: &UnitName| {
        let refusals = survey.refusals(unit);
        (
            unit.to_string(),
            schedule::summary(&refusals, supposed.machines.len()),
        )
    };
    let anyway = planned
        .waiting
        .iter()
        .filter(|unit| waits_now.contains(unit));
    Ok(WhatThen {
        waiting: planned.waiting.iter().map(why).collect(),
        waiting_anyway: anyway.map(ToString::to_string).collect(),
        moves: moves(&planned),
        holds: holds(cluster, suppositions, &terms),
    })
}

/// A machine may be lost that is away already: it is given up then.
fn check(cluster: &Cluster, supposition: &Supposition) -> Result<(), String> {
    let there = |id: &MachineId| cluster.machines.contains_key(id);
    match supposition {
        Supposition::Lost(id) if !there(id) && !cluster.away.contains_key(id) => {
            Err(format!("machine {id} is neither there nor away"))
        }
        Supposition::Drained(id) | Supposition::Added(_, id) if !there(id) => {
            Err(format!("machine {id} does not exist"))
        }
        _ => Ok(()),
    }
}

/// Who would wait for machines that are lost, if nobody gives them up. Machines that are away already are none of them.
fn holds(cluster: &Cluster, suppositions: &[Supposition], terms: &Terms) -> Vec<SupposedHold> {
    let lost = suppositions
        .iter()
        .filter_map(|supposition| match supposition {
            Supposition::Lost(id) if cluster.machines.contains_key(id) => Some(id),
            _ => None,
        });
    let lost: BTreeSet<&MachineId> = lost.collect();
    if lost.is_empty() {
        return Vec::new();
    }
    let missed = missed(cluster, &lost, terms);
    let units = lost.into_iter().flat_map(|id| {
        let rows = cluster.schedule.get(id).into_iter().flatten();
        rows.map(move |(unit, _)| (id, unit))
    });
    let single = units.filter(|(id, unit)| cluster.targets.get(*unit) == Some(*id));
    let held = single.filter_map(|(id, unit)| {
        let hold = schedule::hold(&missed, unit.as_str(), id, terms.now)?;
        Some(held(id, unit, hold, terms))
    });
    held.collect()
}

/// The picture with these machines lost and nothing else done than to take note of it.
fn missed(cluster: &Cluster, lost: &BTreeSet<&MachineId>, terms: &Terms) -> Cluster {
    let mut missed = cluster.clone();
    for id in lost {
        missed.apply(Event::Machine((*id).clone(), None));
    }
    for change in schedule::plan(&missed, terms).changes {
        if let Change::Miss { machine, away } = change {
            missed.apply(Event::Away(machine, Some(away)));
        }
    }
    missed
}

fn held(id: &MachineId, unit: &UnitName, hold: Hold, terms: &Terms) -> SupposedHold {
    let (until, reason) = match hold {
        Hold::Until(end) => (Some(end), "MoveDelaySec="),
        Hold::Grace(end) => (Some(end), "the absence has been announced"),
        Hold::Sticky => (None, "Sticky="),
        Hold::Brake(end) => (end, "too many machines are lost at once"),
    };
    SupposedHold {
        unit: unit.to_string(),
        machine_id: id.to_string(),
        seconds: until.map(|end| end.saturating_sub(terms.now).as_secs()),
        reason: reason.to_owned(),
    }
}

fn moves(planned: &Plan) -> Vec<SupposedMove> {
    let told = |change: &Change| {
        let unit = change.unit()?.to_string();
        let text = |id: &MachineId| id.to_string();
        let (from, to, reason) = match change {
            Change::Assign { machine, .. } => (String::new(), text(machine), String::new()),
            Change::Move {
                from, to, reason, ..
            } => (text(from), text(to), reason.to_string()),
            Change::Unassign {
                machine, reason, ..
            } => (text(machine), String::new(), reason.to_string()),
            _ => return None,
        };
        Some(SupposedMove {
            unit,
            from,
            to,
            reason,
        })
    };
    planned.changes.iter().filter_map(told).collect()
}
