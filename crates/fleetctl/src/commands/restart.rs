//! `fleetctl restart UNIT…`: stops units and starts them again, one after the other.
//!
//! The original asks for `loaded` and then waits for `launched`, so that it restarts by chance only. Here each
//! unit has stopped before it is started again.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use fleet::v2::UnitStatus;
use tokio::time::timeout;

use super::orders::{Order, carry_out, send};
use super::{exit_code, some_units};
use crate::args::{Blocking, Restart};
use crate::client::{Client, ClientError};
use crate::locate::{Action, Located, Locator};
use crate::output;
use crate::verdict::Goal;
use crate::watch::Watch;

/// How long a global unit may take to stop everywhere: systemd kills what takes longer.
const STOP: Duration = Duration::from_secs(120);

pub(crate) async fn run(client: &Client, options: &Restart) -> anyhow::Result<ExitCode> {
    let Some(arguments) = some_units(&options.units) else {
        return Ok(ExitCode::SUCCESS);
    };
    let located = Locator::new(client, None).all(&arguments).await;
    let (located, _) = located.context(Goal::Known.complaint())?;
    let (new, known): (Vec<_>, Vec<_>) = located
        .into_iter()
        .partition(|unit| matches!(unit.action, Action::Send(_)));
    let refused = submit(client, new).await?;
    for unit in &known {
        if !restart(client, &options.blocking, unit).await? {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(exit_code(!refused))
}

/// A unit that the cluster did not know is made known and not started, as the original has it. Whether one was refused.
async fn submit(client: &Client, new: Vec<Located>) -> anyhow::Result<bool> {
    let order = |unit: Located| match unit.action {
        Action::Send(file) => Some(Order {
            before: unit.status,
            global: unit.global,
            file: Some(file),
        }),
        Action::Keep | Action::Refuse => None,
    };
    let orders: Vec<Order> = new.into_iter().filter_map(order).collect();
    Ok(!send(client, Goal::Known, &orders).await?.is_empty())
}

/// Whether the unit is where it was asked to be; why not has been said.
async fn restart(client: &Client, blocking: &Blocking, unit: &Located) -> anyhow::Result<bool> {
    match unit.status.desired_state.as_str() {
        "launched" => {
            let stopped = match unit.global {
                true => stop_everywhere(client, blocking, unit).await?,
                false => bring(client, blocking, unit, Goal::Stopped).await?,
            };
            let again = stopped && bring(client, blocking, unit, Goal::Started).await?;
            if again {
                output::warn(&format!("INFO: Unit({}) was restarted.", unit.name));
            }
            Ok(again)
        }
        "loaded" => {
            let name = &unit.name;
            output::warn(&format!("INFO: Unit({name}) already loaded, starting."));
            bring(client, blocking, unit, Goal::Started).await
        }
        _ => {
            output::warn(&format!(
                "Unable to restart unit {} in state inactive",
                unit.name
            ));
            Ok(true)
        }
    }
}

/// Orders the unit to `goal` and waits for it. A stop is waited for even with `--no-block`: what has not stopped
/// cannot be started again.
async fn bring(
    client: &Client,
    blocking: &Blocking,
    unit: &Located,
    goal: Goal,
) -> anyhow::Result<bool> {
    let failed = || format!("Error setting target state for unit {}", unit.name);
    let (before, watch) = look(client, unit).await.with_context(failed)?;
    let order = Order {
        before,
        global: unit.global,
        file: None,
    };
    let blocking = Blocking {
        no_block: blocking.no_block && goal == Goal::Started,
        ..*blocking
    };
    let failed = carry_out(client, goal, &[order], &blocking, watch).await?;
    Ok(failed.is_empty())
}

/// Where the unit stands now, and a watch on it.
async fn look(client: &Client, unit: &Located) -> anyhow::Result<(UnitStatus, Watch)> {
    let mut watch = Watch::open(client.clone(), vec![unit.name.to_string()]).await?;
    let Some(status) = watch.first().await?.pop().filter(|status| status.exists) else {
        bail!("unable to find unit {}", unit.name)
    };
    Ok((status, watch))
}

/// A global unit has no one state to wait for: it has stopped when no machine says that it runs.
async fn stop_everywhere(
    client: &Client,
    blocking: &Blocking,
    unit: &Located,
) -> anyhow::Result<bool> {
    if !bring(client, blocking, unit, Goal::Stopped).await? {
        return Ok(false);
    }
    let (status, mut watch) = look(client, unit).await?;
    match timeout(STOP, until_stopped(status, &mut watch)).await {
        Ok(stopped) => stopped.map(|()| true).context("Error waiting for units"),
        Err(_) => bail!(
            "Unit {} does not stop on every machine within {}s",
            unit.name,
            STOP.as_secs()
        ),
    }
}

async fn until_stopped(mut status: UnitStatus, watch: &mut Watch) -> Result<(), ClientError> {
    while status
        .states
        .iter()
        .any(|state| !matches!(state.active.as_str(), "" | "inactive" | "failed"))
    {
        status = watch.next().await?;
    }
    Ok(())
}
