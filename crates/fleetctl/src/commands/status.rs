//! `fleetctl status UNIT…`: what systemd says, on the machines that the units are on.

use std::process::ExitCode;

use anyhow::{Context, bail};
use fleet::v1;

use crate::args::Status;
use crate::client::Client;
use crate::names::arguments;
use crate::remote;
use crate::setup::Reach;
use crate::{output, poll};

/// The first unit whose exit code is not 0 ends it; the code is the program's.
pub(crate) async fn run(reach: &Reach, options: &Status) -> anyhow::Result<ExitCode> {
    for (number, argument) in arguments(&options.units).into_iter().enumerate() {
        let unit = known(&reach.client, &argument.name).await?;
        let code = show(reach, options, &unit, number > 0).await?;
        if code != 0 {
            return Ok(ExitCode::from(code));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows a unit on all its machines. systemctl's exit code; of several the first that is not 0.
async fn show(
    reach: &Reach,
    options: &Status,
    unit: &v1::Unit,
    is_next: bool,
) -> anyhow::Result<u8> {
    let Reach { client, ssh } = reach;
    let places = remote::places(client, unit, options.machine.as_deref()).await?;
    if places.is_empty() {
        return nowhere(unit);
    }
    let words = ["systemctl", "status", "-l", &unit.name];
    let mut codes = Vec::with_capacity(places.len());
    for (at, place) in places.iter().enumerate() {
        if is_next || at > 0 {
            output::say("\n");
        }
        if places.len() > 1 {
            output::warn(&format!("{} on {}:", unit.name, place.legend()));
        }
        let (port, terminal) = (options.port.ssh_port, remote::has_terminal());
        codes.push(remote::run(ssh, place, port, &words, terminal).await?);
    }
    Ok(codes.into_iter().find(|code| *code != 0).unwrap_or(0))
}

/// That a global unit is on no machine is no failure: none may fit, and scripts of old expect none.
fn nowhere(unit: &v1::Unit) -> anyhow::Result<u8> {
    if !poll::is_global(&unit.name, poll::file(unit).as_ref()) {
        bail!("Unit {} does not appear to be loaded.", unit.name);
    }
    output::warn(&format!("No machine reports global unit {}.", unit.name));
    Ok(0)
}

/// The unit of that name, which must be known and loaded somewhere.
async fn known(client: &Client, name: &str) -> anyhow::Result<v1::Unit> {
    let unit = client.unit(name).await.context("Error retrieving unit")?;
    let Some(unit) = unit else {
        bail!("Unit {name} does not exist.")
    };
    let global = poll::is_global(name, poll::file(&unit).as_ref());
    if unit.desired_state == "inactive" && !global {
        bail!("Unit {name} does not appear to be loaded.");
    }
    Ok(unit)
}
