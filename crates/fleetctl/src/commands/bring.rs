//! What `load` and `start` share: find the units, send what has to change, wait.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use fleet::v2::UnitStatus;

use super::orders::{Order, carry_out};
use super::{exit_code, some_units};
use crate::args::Bring;
use crate::client::Client;
use crate::locate::{Action, Located, Locator};
use crate::output;
use crate::verdict::{Goal, whereabouts};

/// Brings units to `goal`.
pub(crate) async fn run(client: &Client, goal: Goal, options: &Bring) -> anyhow::Result<ExitCode> {
    let Some(arguments) = some_units(&options.units) else {
        return Ok(ExitCode::SUCCESS);
    };
    let replace = options.files.replace.then_some(goal.desired());
    let located = Locator::new(client, replace).all(&arguments).await;
    let (located, watch) = located.context("Error creating units")?;
    refuse_templates(&located).context(goal.complaint())?;
    let orders: Vec<Order> = located
        .into_iter()
        .filter_map(|unit| order(unit, goal))
        .collect();
    let failed = carry_out(client, goal, &orders, &options.blocking, watch).await?;
    Ok(exit_code(failed.is_empty()))
}

fn refuse_templates(located: &[Located]) -> anyhow::Result<()> {
    for Located { name, .. } in located {
        ensure!(!name.is_template(), "cannot activate template \"{name}\"");
    }
    Ok(())
}

/// What there is to do about a unit; none if it is there.
fn order(unit: Located, goal: Goal) -> Option<Order> {
    let Located {
        status: before,
        global,
        action,
        ..
    } = unit;
    match action {
        Action::Send(file) => Some(Order {
            before,
            global,
            file: Some(file),
        }),
        Action::Keep if is_there(&before, global, goal) => {
            warn_if_failed(&before);
            None
        }
        Action::Keep => Some(Order {
            before,
            global,
            file: None,
        }),
        Action::Refuse => None,
    }
}

/// A unit that was launched and has failed since is not started again: that is what `restart` is for.
fn is_there(before: &UnitStatus, global: bool, goal: Goal) -> bool {
    let wanted = goal.desired().as_str();
    before.desired_state == wanted && (global || before.current_state == wanted)
}

/// fleet's own way is to say nothing of a unit that is launched already; that it is down should be said.
fn warn_if_failed(before: &UnitStatus) {
    if before.states.iter().any(|state| state.active == "failed") {
        let (name, place) = (&before.name, whereabouts(before));
        output::warn(&format!(
            "Unit {name} is launched already and has failed: {place}; \"fleetctl stop {name}\" lets it be started again"
        ));
    }
}
