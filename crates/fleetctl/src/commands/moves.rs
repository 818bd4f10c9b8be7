//! `fleetctl move UNIT MACHINE` and `fleetctl rebalance`.

use std::process::ExitCode;

use anyhow::{Context, bail};
use fleet::v2::{Rebalance, UnitStatus};

use crate::args::{Move, Output, Rebalance as Options};
use crate::client::Client;
use crate::legend::Addresses;
use crate::names::Argument;
use crate::verdict::{Goal, Verdict, judge, success};
use crate::watch::Watch;
use crate::{output, remote, table};

/// Moves one unit, and waits until it is there what it should be.
pub(crate) async fn one(client: &Client, options: &Move) -> anyhow::Result<ExitCode> {
    let name = Argument::new(&options.unit).name;
    let place = remote::machine(client, &options.machine)
        .await
        .context("Unable to move")?;
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
    let mut watch = Watch::open(client.clone(), vec![unit.to_owned()]).await?;
    let mut ordered = false;
    loop {
        let status = watch.next().await?;
        if !status.exists {
            bail!("Unit {unit} does not exist.");
        }
        match arrival(&status, to) {
            Some(Verdict::Failed(why)) => {
                bail!("Unit {unit} is on its new machine, and has failed there: {why}")
            }
            Some(_) => {
                output::say(&success(&status));
                return Ok(());
            }
            None if !ordered => {
                let order = client.move_unit(unit, to).await;
                order.with_context(|| format!("Unable to move {unit}"))?;
                ordered = true;
            }
            None => {}
        }
    }
}

/// What came of a unit on the machine; none while it is not there, or on its way to be what it should.
fn arrival(status: &UnitStatus, to: &str) -> Option<Verdict> {
    let goal = match status.desired_state.as_str() {
        "launched" => Goal::Started,
        _ => Goal::Loaded,
    };
    let verdict = judge(goal, None, status);
    let ends = matches!(
        verdict,
        Verdict::Done | Verdict::Likely | Verdict::Failed(_)
    );
    (status.machine_id == to && ends).then_some(verdict)
}
