//! What is said of units that did not get where they were asked to be.

use std::collections::BTreeMap;

use crate::client::ClientError;
use crate::output;
use crate::pending::Cause;
use crate::progress::enumerate;
use crate::verdict::Goal;
use crate::wait::Failure;

/// Says it on stderr: a line for each unit; one for all that no machine takes for the same reason.
pub(crate) fn report(goal: Goal, failures: &[Failure]) {
    let mut unplaced: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Failure { name, cause } in failures {
        match cause {
            Cause::Failed(how) => output::warn(&failed(goal, name, how)),
            Cause::Changed(what) => {
                output::warn(&format!("Stopped waiting for {name}: by now {what}"))
            }
            Cause::TimedOut(whereabouts) => output::warn(&timed_out(goal, name, whereabouts)),
            Cause::Unplaced(reason) => unplaced.entry(reason).or_default().push(name),
        }
    }
    for (reason, names) in unplaced {
        output::warn(&nowhere(goal, &names, reason));
    }
}

/// The line for an order that the server did not take. `sent`: with a unit file.
pub(crate) fn refusal(goal: Goal, name: &str, sent: bool, error: &ClientError) -> String {
    let complaint = goal.complaint();
    match sent {
        true => format!(
            "{}: failed creating unit {name}: {error}",
            Goal::Known.complaint()
        ),
        false if goal.is_withdrawal() => format!("{complaint} [{name}]. err: {error}"),
        false => format!("{complaint}: {error}"),
    }
}

fn failed(goal: Goal, name: &str, how: &str) -> String {
    match goal {
        Goal::Started => {
            format!("Error waiting for units: Failed to find an active unit {name}: {how}")
        }
        _ => format!("Unable to {} unit {name}: {how}", goal.verb()),
    }
}

fn timed_out(goal: Goal, name: &str, whereabouts: &str) -> String {
    let what = format!(
        "timed out waiting for unit {name} to report state {}",
        goal.desired()
    );
    match goal {
        Goal::Known | Goal::Loaded | Goal::Started => {
            format!("Error waiting for unit states, exit status: {what}: {whereabouts}")
        }
        Goal::Stopped | Goal::Unloaded => {
            format!(
                "Failed to {} units [{name}]. err: {what}: {whereabouts}",
                goal.verb()
            )
        }
    }
}

fn nowhere(goal: Goal, names: &[&str], reason: &str) -> String {
    let (units, verb) = (enumerate(names), goal.verb());
    let (they, them, unload) = match names {
        [name] => ("it", "it", *name),
        _ => ("they", "them", "UNIT..."),
    };
    format!(
        "Unable to {verb} {units}: {reason}; {they} will {verb} as soon as a machine fits; \
         \"fleetctl unload {unload}\" withdraws {them}"
    )
}
