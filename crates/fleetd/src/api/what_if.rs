//! `POST /fleet/v2/what-if`: the leader's planner on a picture that somebody has thought up.

use std::collections::BTreeSet;

use fleet::schedule::{self, Change, Plan, Supposition, Survey};
use fleet::v2::{SupposedMove, WhatIf, WhatThen};
use fleet::{Cluster, MachineId};
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
        if let Supposition::Lost(id) | Supposition::Drained(id) | Supposition::Added(_, id) =
            supposition
            && !cluster.machines.contains_key(id)
        {
            return Err(format!("machine {id} does not exist"));
        }
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
    })
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
