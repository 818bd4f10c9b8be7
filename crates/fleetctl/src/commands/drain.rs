//! `fleetctl drain MACHINE`: the order, and the wait until the machine's units run elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use fleet::v2::{Cordon, UnitStatus};
use tokio::time::{Instant, interval};

use super::exit_code;
use crate::args::Drain;
use crate::client::Client;
use crate::output;
use crate::remote::{self, Place};
use crate::verdict::{Goal, Verdict, judge, success};
use crate::watch::Watch;

/// How often the server is asked what stays, and the deadline is looked at.
const TICK: Duration = Duration::from_millis(500);

pub(crate) async fn run(client: &Client, options: &Drain) -> anyhow::Result<ExitCode> {
    let place = remote::machine(client, &options.machine)
        .await
        .context("Unable to drain")?;
    // asked first: some may be gone as soon as the order is given
    let before = client.machine(&place.id).await.context("Unable to drain")?;
    order(client, &place, options, options.max).await?;
    if options.no_block {
        output::say(&format!("Triggered machine {} drain", place.legend()));
        return Ok(ExitCode::SUCCESS);
    }
    let staying = match before.units.is_empty() {
        true => BTreeMap::new(),
        false => wait(client, &place, options, before.units)
            .await
            .context("Error waiting for units")?,
    };
    for (unit, why) in &staying {
        output::warn(&format!("Unit {unit} stays: {why}"));
    }
    if staying.is_empty() {
        output::warn(&format!("Machine {} is drained.", place.legend()));
    }
    Ok(exit_code(staying.is_empty()))
}

async fn order(client: &Client, place: &Place, options: &Drain, max: u32) -> anyhow::Result<()> {
    let cordon = Cordon {
        reason: options.reason.clone(),
        drain: Some(max),
    };
    client
        .cordon(&place.id, Some(&cordon))
        .await
        .context("Unable to drain")
}

/// Waits until all units that can leave are what they should be elsewhere, and says so of each. Those that stay come back,
/// with the reasons.
async fn wait(
    client: &Client,
    place: &Place,
    options: &Drain,
    units: Vec<String>,
) -> anyhow::Result<BTreeMap<String, String>> {
    let mut left: BTreeSet<String> = units.iter().cloned().collect();
    let total = left.len();
    let mut watch = Watch::open(client.clone(), units).await?;
    let mut deadline = options.deadline.map(|time| Instant::now() + time);
    let mut clock = interval(TICK);
    loop {
        tokio::select! {
            status = watch.next() => {
                let status = status?;
                if has_moved(&status, place) && left.remove(&status.name) {
                    output::say(&success(&status));
                }
            }
            _ = clock.tick() => {
                if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    output::warn("The deadline is over: all that is left is moved at once.");
                    order(client, place, options, u32::MAX).await?;
                    deadline = None;
                }
                let staying = client.machine(&place.id).await?.staying;
                if left.iter().all(|unit| staying.contains_key(unit)) {
                    output::status("");
                    return Ok(staying.into_iter().filter(|(unit, _)| left.contains(unit)).collect());
                }
            }
        }
        output::status(&format!("drain: {} of {total} moved", total - left.len()));
    }
}

/// Whether a unit is elsewhere and has nothing more to become there, or is wanted nowhere by now.
fn has_moved(status: &UnitStatus, from: &Place) -> bool {
    let goal = match status.desired_state.as_str() {
        "launched" => Goal::Started,
        "loaded" => Goal::Loaded,
        _ => return true,
    };
    let elsewhere = !status.machine_id.is_empty() && status.machine_id != from.id;
    elsewhere
        && matches!(
            judge(goal, None, status),
            Verdict::Done | Verdict::Likely | Verdict::Failed(_)
        )
}
