//! `fleetctl forget MACHINE...`: machines that will not come back.

use std::process::ExitCode;

use anyhow::{Context, bail};
use fleet::v2::AwayMachine;

use crate::args::Forget;
use crate::client::Client;
use crate::{legend, output};

pub(crate) async fn run(client: &Client, options: &Forget) -> anyhow::Result<ExitCode> {
    let away = client.away().await.context("Unable to forget")?;
    // all are looked up before one is forgotten
    let machines: anyhow::Result<Vec<&AwayMachine>> = options
        .machines
        .iter()
        .map(|text| find(&away, text))
        .collect();
    for machine in machines? {
        let id = &machine.machine_id;
        client.forget(id).await.context("Unable to forget")?;
        let units = match machine.waiting {
            0 => "no unit waits for it".to_owned(),
            1 => "the unit that waits for it moves".to_owned(),
            several => format!("the {several} units that wait for it move"),
        };
        let name = legend::machine(id, options.full);
        output::say(&format!("Machine {name} is given up: {units}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn find<'a>(away: &'a [AwayMachine], text: &str) -> anyhow::Result<&'a AwayMachine> {
    let start = text.strip_suffix("...").unwrap_or(text);
    let begins =
        |machine: &&AwayMachine| !start.is_empty() && machine.machine_id.starts_with(start);
    let found: Vec<&AwayMachine> = away.iter().filter(begins).collect();
    match found.as_slice() {
        [machine] => Ok(machine),
        [] => bail!(
            "No machine that is away has an id that begins with {text:?}: only machines that are gone can be forgotten. \"fleetctl list-machines\" shows them."
        ),
        _ => bail!("Several machines that are away begin with {text}."),
    }
}
