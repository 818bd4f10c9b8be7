//! What `stop` and `unload` share: ask where the units stand, send what has to change, wait.

use std::process::ExitCode;

use fleet::v2::UnitStatus;

use super::orders::{Order, carry_out};
use super::{exit_code, some_units};
use crate::args::Withdraw;
use crate::client::{Client, ClientError};
use crate::names::Argument;
use crate::output;
use crate::verdict::Goal;
use crate::watch::Watch;

/// Takes units back to `goal`.
pub(crate) async fn run(
    client: &Client,
    goal: Goal,
    options: &Withdraw,
) -> anyhow::Result<ExitCode> {
    let Some(arguments) = some_units(&options.units) else {
        return Ok(ExitCode::SUCCESS);
    };
    let Some((known, watch)) = known(client, arguments).await? else {
        output::warn("Units not found in registry");
        return Ok(ExitCode::SUCCESS);
    };
    let stuck = complain_of_stuck(goal, &known);
    let orders: Vec<Order> = known
        .into_iter()
        .filter_map(|unit| order(goal, unit))
        .collect();
    let failed = carry_out(client, goal, &orders, &options.blocking, watch).await?;
    let singles = orders
        .iter()
        .filter(|order| !order.global)
        .map(|order| order.before.name.as_str());
    let done: Vec<&str> = singles.filter(|name| !failed.contains(*name)).collect();
    say_success(goal, &done, failed.is_empty());
    Ok(exit_code(failed.is_empty() && !stuck))
}

/// The units that the cluster knows, and a watch on them; none if it knows none.
async fn known(
    client: &Client,
    arguments: Vec<Argument>,
) -> Result<Option<(Vec<UnitStatus>, Watch)>, ClientError> {
    let possible = arguments.into_iter().filter(Argument::is_unit_name);
    let names: Vec<String> = possible.map(|argument| argument.name).collect();
    if names.is_empty() {
        return Ok(None);
    }
    let mut watch = Watch::open(client.clone(), names).await?;
    let mut statuses = watch.first().await?;
    statuses.retain(|status| status.exists);
    Ok((!statuses.is_empty()).then_some((statuses, watch)))
}

/// Says which units cannot be stopped as they are not even loaded; whether there are any.
fn complain_of_stuck(goal: Goal, known: &[UnitStatus]) -> bool {
    let idle = |unit: &&UnitStatus| unit.desired_state == "inactive" && !unit.global;
    let stuck: Vec<&UnitStatus> = known
        .iter()
        .filter(|_| goal == Goal::Stopped)
        .filter(idle)
        .collect();
    for UnitStatus { name, .. } in &stuck {
        output::warn(&format!("Unable to stop unit {name} in state inactive"));
    }
    !stuck.is_empty()
}

/// What there is to do about a unit; none if it is there.
fn order(goal: Goal, before: UnitStatus) -> Option<Order> {
    let target = goal.desired().as_str();
    let changes = before.desired_state != target;
    let concerns = match (goal, before.desired_state.as_str()) {
        // to stop what is not even loaded would load it
        (Goal::Stopped, "inactive") => false,
        _ if before.global => changes,
        _ => changes || before.current_state != target,
    };
    concerns.then_some(Order {
        global: before.global,
        file: None,
        before,
    })
}

fn say_success(goal: Goal, units: &[&str], all: bool) {
    let done = if goal == Goal::Stopped {
        "stopped"
    } else {
        "unloaded"
    };
    if all || !units.is_empty() {
        output::warn(&format!("Successfully {done} units [{}].", units.join(" ")));
    }
}
