//! `fleetctl submit UNIT…`: gives unit files to the cluster.
//!
//! A 2xx answer means that the cluster has them: there is nothing to wait for.

use std::process::ExitCode;

use anyhow::Context;

use super::orders::{Order, send};
use super::{exit_code, some_units};
use crate::args::Submit;
use crate::client::Client;
use crate::locate::{Action, Located, Locator};
use crate::verdict::Goal;

pub(crate) async fn run(client: &Client, options: &Submit) -> anyhow::Result<ExitCode> {
    let Some(arguments) = some_units(&options.units) else {
        return Ok(ExitCode::SUCCESS);
    };
    let replace = options.files.replace.then_some(Goal::Known.desired());
    let located = Locator::new(client, replace).all(&arguments).await;
    let (located, _) = located.context(Goal::Known.complaint())?;
    let orders: Vec<Order> = located.into_iter().filter_map(order).collect();
    let refused = send(client, Goal::Known, &orders).await?;
    Ok(exit_code(refused.is_empty()))
}

fn order(unit: Located) -> Option<Order> {
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
        Action::Keep | Action::Refuse => None,
    }
}
