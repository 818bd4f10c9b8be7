//! `fleetctl cat UNIT`: the unit file as the cluster has it.

use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::args::Cat;
use crate::client::Client;
use crate::names::Argument;
use crate::{output, poll};

pub(crate) async fn run(client: &Client, options: &Cat) -> anyhow::Result<ExitCode> {
    let [text] = options.units.as_slice() else {
        bail!("One unit file must be provided")
    };
    let name = Argument::new(text).name;
    let unit = client
        .unit(&name)
        .await
        .with_context(|| format!("Error retrieving Unit {name}"))?;
    let Some(unit) = unit else {
        bail!("Unit {name} not found")
    };
    let file = poll::file(&unit)
        .with_context(|| format!("Unit {name} is stored as something that is no unit file"))?;
    output::say(&file.to_string());
    Ok(ExitCode::SUCCESS)
}
