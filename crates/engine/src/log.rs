//! The leader's decisions, one line each.

use fleet::schedule::Change;

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
        Change::Collect { file, .. } => tracing::debug!("unit file {file} is used no more"),
        Change::Admit { machine, since } => {
            tracing::info!(
                "the schedule of Machine({machine}) is decided for its membership {since}"
            );
        }
    }
}
