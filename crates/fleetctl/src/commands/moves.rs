//! `fleetctl move UNIT MACHINE` and `fleetctl rebalance`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use fleet::v2::{Rebalance, UnitStatus};
use tokio::time::{sleep, timeout};

use crate::args::{Move, Output, Rebalance as Options};
use crate::client::Client;
use crate::legend::Addresses;
use crate::names::Argument;
use crate::pending::Pending;
use crate::progress::Progress;
use crate::verdict::{Verdict, arrival, destiny, success};
use crate::watch::Watch;
use crate::{legend, output, remote, table};

/// How long the leader may take to carry an order out.
const DECISION: Duration = Duration::from_secs(15);
/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(500);

/// Moves one unit, and waits until it is there what it should be.
pub(crate) async fn one(client: &Client, options: &Move) -> anyhow::Result<ExitCode> {
    let name = Argument::new(&options.unit).name;
    let place = remote::member(client, &options.machine)
        .await
        .context("Unable to move")?;
    if options.no_block {
        order(client, &name, &place.id).await?;
        output::say(&format!("Triggered unit {name} move"));
        return Ok(ExitCode::SUCCESS);
    }
    move_and_wait(client, &name, &place.id).await?;
    Ok(ExitCode::SUCCESS)
}

/// Shows what would make the cluster even; does it if asked to.
pub(crate) async fn rebalance(client: &Client, options: &Options) -> anyhow::Result<ExitCode> {
    let plan = client.rebalance(options.max_moves).await;
    let plan = plan.context("Error asking for a balance")?;
    let machines = client.machines().await?;
    output::say(&match options.output {
        Output::Json => serde_json::to_string_pretty(&plan)? + "\n",
        Output::Text => told(&plan, &Addresses::of(machines), options),
    });
    if options.apply {
        for row in &plan.moves {
            move_and_wait(client, &row.unit, &row.to).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn told(plan: &Rebalance, addresses: &Addresses, options: &Options) -> String {
    let ((least, most), (then_least, then_most)) = (plan.before, plan.after);
    if plan.moves.is_empty() {
        return format!("Nothing to move: machines carry {least} to {most}.\n");
    }
    let header = ["UNIT", "FROM", "TO"].map(str::to_owned).to_vec();
    let rows = plan.moves.iter().map(|row| {
        let place = |id: &str| addresses.legend(id, options.full);
        vec![row.unit.clone(), place(&row.from), place(&row.to)]
    });
    let mut text = table::render(&std::iter::once(header).chain(rows).collect::<Vec<_>>());
    text += &format!("Machines carry {least} to {most}, and {then_least} to {then_most} then.\n");
    if !options.apply {
        text += "Nothing has been moved: --apply does it, one after the other.\n";
    }
    text
}

/// A unit may come along with one that was moved before: then it is there already.
async fn move_and_wait(client: &Client, unit: &str, to: &str) -> anyhow::Result<()> {
    let mut way = Way::open(client, unit).await?;
    let origin = way.status.machine_id.clone();
    let there = |status: &UnitStatus| (status.machine_id == to).then(|| arrival(status))?;
    if way.status.exists && there(&way.status).is_none() {
        order(client, unit, to).await?;
    }
    let mut decided = way.status.machine_id == to;
    loop {
        let status = &way.status;
        if !status.exists {
            bail!("Unit {unit} does not exist.");
        }
        match there(status) {
            Some(Verdict::Failed(why)) => bail!(
                "Unit {unit} is on its new machine, and has failed there: {why}{}",
                still_up(status)
            ),
            Some(_) => {
                output::say(&success(status));
                return Ok(());
            }
            None => {}
        }
        decided |= status.machine_id == to;
        if status.machine_id != to && (decided || status.machine_id != origin) {
            bail!(
                "Unit {unit} is not to be on that machine any more: \"fleetctl why {unit}\" tells where, and why."
            );
        }
        match decided {
            true => way.go_on().await?,
            false => timeout(DECISION, way.go_on()).await.map_err(|_| {
                anyhow!("Unit {unit} stays where it is: the order to move it was not carried out. \"fleetctl why {unit}\" tells more.")
            })??,
        }
    }
}

/// A unit's way, as it is seen.
struct Way {
    watch: Watch,
    /// Where it stands.
    status: UnitStatus,
    /// The unit alone, as waits have it.
    pending: BTreeMap<String, Pending>,
    progress: Progress,
}

impl Way {
    async fn open(client: &Client, unit: &str) -> anyhow::Result<Way> {
        let mut watch = Watch::open(client.clone(), vec![unit.to_owned()]).await?;
        let status = watch.next().await?;
        let pending = Pending::new(destiny(&status), &status, None);
        Ok(Way {
            watch,
            status,
            pending: BTreeMap::from([(unit.to_owned(), pending)]),
            progress: Progress::default(),
        })
    }

    /// Until it stands otherwise. Says what is waited for where that takes long.
    async fn go_on(&mut self) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                status = self.watch.next() => {
                    self.take(status?);
                    return Ok(());
                }
                () = sleep(TICK) => self.progress.report(&self.pending),
            }
        }
    }

    fn take(&mut self, status: UnitStatus) {
        for pending in self.pending.values_mut() {
            pending.take(destiny(&status), status.clone());
        }
        self.status = status;
    }
}

async fn order(client: &Client, unit: &str, to: &str) -> anyhow::Result<()> {
    let order = client.move_unit(unit, to).await;
    order.with_context(|| format!("Unable to move {unit}"))
}

/// The machine, by id, on which a unit is active although it should be on another one.
pub(crate) fn old_home(status: &UnitStatus) -> Option<&str> {
    let mut states = status.states.iter();
    let old =
        states.find(|state| state.machine_id != status.machine_id && state.active == "active");
    old.map(|old| old.machine_id.as_str())
}

/// Where it goes on, if it does so elsewhere than where it should be.
pub(crate) fn still_up(status: &UnitStatus) -> String {
    old_home(status).map_or_else(String::new, |machine| {
        let unit = &status.name;
        let machine = legend::beginning(machine);
        format!("; at {machine} it still runs: \"fleetctl move {unit} {machine}\" leaves it there")
    })
}
