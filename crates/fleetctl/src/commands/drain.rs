//! `fleetctl drain MACHINE…`: the orders, and the wait until the machines' units run elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use fleet::v2::{Cordon, UnitStatus};
use tokio::time::{Instant, interval};

use super::cordon::reason;
use super::exit_code;
use super::machines::{named, told};
use super::moves::still_up;
use crate::args::Drain as Options;
use crate::client::Client;
use crate::output;
use crate::remote::{self, Place};
use crate::verdict::{Verdict, arrival, success};
use crate::watch::Watch;

/// How often the server is asked what stays, and the deadline is looked at.
const TICK: Duration = Duration::from_millis(500);

pub(crate) async fn run(client: &Client, options: &Options) -> anyhow::Result<ExitCode> {
    let named = named(client, &options.machines, "drain", remote::member).await?;
    let mut well = named.all;
    let mut drains = Vec::new();
    // all are ordered before one is waited for: no unit shall go from one of them to another
    for place in named.places {
        match told(Drain::order(client, place, options).await)? {
            Some(drain) => drains.push(drain),
            None => well = false,
        }
    }
    if options.no_block {
        for Drain { place, .. } in &drains {
            output::say(&format!("Triggered machine {} drain", place.legend()));
        }
        return Ok(exit_code(well));
    }
    let left = wait(client, options, &drains)
        .await
        .context("Error waiting for units")?;
    left.tell();
    for drain in &drains {
        match left.is_of(drain) {
            true => well = false,
            false => output::warn(&format!("Machine {} is drained.", drain.place.legend())),
        }
    }
    Ok(exit_code(well))
}

/// A machine that is to be empty.
struct Drain {
    place: Place,
    cordon: Cordon,
    /// What was there when the order was given.
    units: Vec<String>,
}

impl Drain {
    async fn order(client: &Client, place: Place, options: &Options) -> anyhow::Result<Self> {
        let failed = || format!("Unable to drain {}", place.legend());
        // asked first: some may be gone as soon as the order is given
        let before = client.machine(&place.id).await.with_context(failed)?;
        let cordon = Cordon {
            reason: reason(&options.reason, before.cordon.as_ref()),
            drain: Some(options.max),
            grace: before.cordon.map_or(0, |cordon| cordon.grace),
        };
        let written = client.cordon(&place.id, Some(&cordon)).await;
        written.with_context(failed)?;
        Ok(Drain {
            place,
            cordon,
            units: before.units,
        })
    }

    /// Moves all that is left at once.
    async fn hurry(&self, client: &Client) -> anyhow::Result<()> {
        let rest = Cordon {
            drain: Some(u32::MAX),
            ..self.cordon.clone()
        };
        let written = client.cordon(&self.place.id, Some(&rest)).await;
        written.with_context(|| format!("Unable to drain {}", self.place.legend()))
    }
}

/// What drains did not bring elsewhere, each unit with the reason.
#[derive(Default)]
struct Left {
    /// They cannot leave the machine of that id.
    staying: BTreeMap<String, (String, String)>,
    /// They have failed at their new places.
    failed: BTreeMap<String, String>,
}

impl Left {
    fn tell(&self) {
        for (unit, (_, why)) in &self.staying {
            output::warn(&format!("Unit {unit} stays: {why}"));
        }
        for (unit, why) in &self.failed {
            output::warn(&format!("Unit {unit} has moved, and {why}"));
        }
    }

    fn is_of(&self, drain: &Drain) -> bool {
        let mut staying = self.staying.values();
        let mut units = drain.units.iter();
        staying.any(|(machine, _)| *machine == drain.place.id)
            || units.any(|unit| self.failed.contains_key(unit))
    }
}

/// What no other machine may take of what is on these: where it is, and why.
async fn staying(
    client: &Client,
    drains: &[Drain],
) -> anyhow::Result<BTreeMap<String, (String, String)>> {
    let mut all = BTreeMap::new();
    for Drain { place, .. } in drains {
        let staying = client.machine(&place.id).await?.staying.into_iter();
        all.extend(staying.map(|(unit, why)| (unit, (place.id.clone(), why))));
    }
    Ok(all)
}

/// Waits until all units that can leave are what they should be elsewhere, and down here, and says so of each.
async fn wait(client: &Client, options: &Options, drains: &[Drain]) -> anyhow::Result<Left> {
    let units = drains.iter().flat_map(|drain| drain.units.iter().cloned());
    let mut left: BTreeSet<String> = units.collect();
    if left.is_empty() {
        return Ok(Left::default());
    }
    let from: BTreeSet<&str> = drains.iter().map(|drain| drain.place.id.as_str()).collect();
    let (total, mut failed) = (left.len(), BTreeMap::new());
    let mut watch = Watch::open(client.clone(), left.iter().cloned().collect()).await?;
    let mut deadline = options.deadline.map(|time| Instant::now() + time);
    let mut clock = interval(TICK);
    loop {
        tokio::select! {
            status = watch.next() => {
                let status = status?;
                match departure(&status, &from) {
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
                    for drain in drains {
                        drain.hurry(client).await?;
                    }
                    deadline = None;
                }
                let mut staying = staying(client, drains).await?;
                if left.iter().all(|unit| staying.contains_key(unit)) {
                    output::status("");
                    staying.retain(|unit, _| left.contains(unit));
                    return Ok(Left { staying, failed });
                }
            }
        }
        output::status(&format!("drain: {} of {total} moved", total - left.len()));
    }
}

/// What came of a unit elsewhere, or that it is wanted nowhere by now; none while it is on its way, or not down here.
fn departure(status: &UnitStatus, from: &BTreeSet<&str>) -> Option<Verdict> {
    if !["launched", "loaded"].contains(&status.desired_state.as_str()) {
        return Some(Verdict::Done);
    }
    if status.machine_id.is_empty() || from.contains(status.machine_id.as_str()) {
        return None;
    }
    let mut states = status.states.iter();
    let down = states.all(|state| !from.contains(state.machine_id.as_str()));
    arrival(status).filter(|verdict| down || matches!(verdict, Verdict::Failed(_)))
}
