//! The leader's decisions, one line each.

use fleet::schedule::Change;
use fleet::{Away, MachineId};

/// Tells what was written.
pub(crate) fn change(change: &Change) {
    match change {
        Change::Assign {
            unit,
            machine,
            assignment,
            ..
        } => {
            tracing::info!(
                "scheduled Unit({unit}) to Machine({machine}): {}",
                assignment.desired
            );
        }
        Change::Move {
            unit,
            from,
            to,
            reason,
            ..
        } => {
            tracing::info!(
                "scheduled Unit({unit}) to Machine({to}), away from Machine({from}): {}",
                reason
            );
        }
        Change::Unassign {
            unit,
            machine,
            reason,
            ..
        } => {
            tracing::info!(
                "unscheduled Unit({unit}) from Machine({machine}): {}",
                reason
            );
        }
        Change::Untarget { unit } => tracing::debug!("Unit({unit}) has no target any more"),
        Change::Dismiss { machine } => {
            tracing::info!("Machine({machine}) is gone and has no schedule any more")
        }
        Change::Miss { machine, away } => missed(machine, away),
        Change::Obey { unit } => tracing::debug!("the order to move Unit({unit}) is done with"),
        Change::Blame { unit, failed } => tracing::info!(
            "Unit({unit}) kept failing on Machine({}): it is tried elsewhere, once",
            failed.machine
        ),
        Change::Absolve { unit } => {
            tracing::debug!("Unit({unit}) is not the one that kept failing any more")
        }
        Change::Unmiss { machine } => {
            tracing::debug!("Machine({machine}) is noted as away no more")
        }
        Change::Collect { file, .. } => tracing::debug!("unit file {file} is used no more"),
        Change::Admit { machine, since } => {
            tracing::info!(
                "the schedule of Machine({machine}) is decided for its membership {since}"
            );
        }
    }
}

fn missed(machine: &MachineId, away: &Away) {
    let how = match (away.announced, away.massive) {
        (true, _) => "leaves",
        (false, true) => "is gone, together with many others",
        (false, false) => "is gone",
    };
    tracing::info!("Machine({machine}) {how}");
}

/// Tells when units begin to wait for lost machines, and when that is over.
pub(crate) fn brake(before: bool, now: bool) {
    match (before, now) {
        (false, true) => tracing::warn!(
            "too many machines were lost at once: their units wait for them, until enough are back or \
             \"fleetctl forget MACHINE\" gives machines up"
        ),
        (true, false) => tracing::info!("no units wait for lost machines any more"),
        _ => {}
    }
}
