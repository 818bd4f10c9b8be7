//! `fleetctl drain MACHINE`: the order, and the wait until the machine's units run elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use fleet::v2::{Cordon, UnitStatus};
use tokio::time::{Instant, interval};

use super::cordon::reason;
use super::exit_code;
use super::moves::still_up;
use crate::args::Drain;
use crate::client::Client;
use crate::output;
use crate::remote::{self, Place};
use crate::verdict::{Verdict, arrival, success};
use crate::watch::Watch;

/// How often the server is asked what stays, and the deadline is looked at.
const TICK: Duration = Duration::from_millis(500);

pub(crate) async fn run(client: &Client, options: &Drain) -> anyhow::Result<ExitCode> {
    let place = remote::member(client, &options.machine)
        .await
        .context("Unable to drain")?;
    // asked first: some may be gone as soon as the order is given
    let before = client.machine(&place.id).await.context("Unable to drain")?;
    let reason = reason(&options.reason, before.cordon.as_ref());
    let grace = before.cordon.map_or(0, |cordon| cordon.grace);
    let cordon = Cordon {
        reason,
        drain: Some(options.max),
        grace,
    };
    order(client, &place, &cordon).await?;
    if options.no_block {
        output::say(&format!("Triggered machine {} drain", place.legend()));
        return Ok(ExitCode::SUCCESS);
    }
    let left = match before.units.is_empty() {
        true => Left::default(),
        false => wait(client, &place, options, &cordon, before.units)
            .await
            .context("Error waiting for units")?,
    };
    for (unit, why) in &left.staying {
        output::warn(&format!("Unit {unit} stays: {why}"));
    }
    for (unit, why) in &left.failed {
        output::warn(&format!("Unit {unit} has moved, and {why}"));
    }
    let drained = left.staying.is_empty() && left.failed.is_empty();
    if drained {
        output::warn(&format!("Machine {} is drained.", place.legend()));
    }
    Ok(exit_code(drained))
}

async fn order(client: &Client, place: &Place, cordon: &Cordon) -> anyhow::Result<()> {
    client
        .cordon(&place.id, Some(cordon))
        .await
        .context("Unable to drain")
}

/// What a drain did not bring elsewhere, each unit with the reason.
#[derive(Default)]
struct Left {
    /// They cannot leave.
    staying: BTreeMap<String, String>,
    /// They have failed at their new places.
    failed: BTreeMap<String, String>,
}

/// Waits until all units that can leave are what they should be elsewhere, and down here, and says so of each.
async fn wait(
    client: &Client,
    place: &Place,
    options: &Drain,
    cordon: &Cordon,
    units: Vec<String>,
) -> anyhow::Result<Left> {
    let mut left: BTreeSet<String> = units.iter().cloned().collect();
    let (total, mut failed) = (left.len(), BTreeMap::new());
    let mut watch = Watch::open(client.clone(), units).await?;
    let mut deadline = options.deadline.map(|time| Instant::now() + time);
    let mut clock = interval(TICK);
    loop {
        tokio::select! {
            status = watch.next() => {
                let status = status?;
                match departure(&status, place) {
                    Some(Verdict::Failed(why)) if left.remove(&status.name) => {
                        let why = format!("it has failed at its new place: {why}{}", still_up(&status));
                        failed.insert(status.name, why);
                    }
                    Some(_) if left.remove(&status.name) => output::say(&success(&status)),
                    _ => {}
                }
            }
            _ = clock.tick() => {
                if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    output::warn("The deadline is over: all that is left is moved at once.");
                    let rest = Cordon {
                        drain: Some(u32::MAX),
                        ..cordon.clone()
                    };
                    order(client, place, &rest).await?;
                    deadline = None;
                }
                let staying = client.machine(&place.id).await?.staying;
                if left.iter().all(|unit| staying.contains_key(unit)) {
                    output::status("");
                    let staying = staying.into_iter().filter(|(unit, _)| left.contains(unit));
                    return Ok(Left { staying: staying.collect(), failed });
                }
            }
        }
        output::status(&format!("drain: {} of {total} moved", total - left.len()));
    }
}

/// What came of a unit elsewhere, or that it is wanted nowhere by now; none while it is on its way, or not down here.
fn departure(status: &UnitStatus, from: &Place) -> Option<Verdict> {
    if !["launched", "loaded"].contains(&status.desired_state.as_str()) {
        return Some(Verdict::Done);
    }
    if status.machine_id.is_empty() || status.machine_id == from.id {
        return None;
    }
    let mut states = status.states.iter();
    let down = states.all(|state| state.machine_id != from.id);
    arrival(status).filter(|verdict| down || matches!(verdict, Verdict::Failed(_)))
}
