//! `fleetctl status UNIT…`: what systemd says, on the machines that the units are on.

use std::process::ExitCode;

use anyhow::{Context, bail};
use fleet::v1;

use crate::args::Status;
use crate::client::Client;
use crate::names::arguments;
use crate::output;
use crate::remote;
use crate::setup::Reach;

/// The first exit code that is not 0 ends it, and is the program's.
pub(crate) async fn run(reach: &Reach, options: &Status) -> anyhow::Result<ExitCode> {
    let Reach { client, ssh } = reach;
    for (number, argument) in arguments(&options.units).into_iter().enumerate() {
        let unit = known(client, &argument.name).await?;
        let places = remote::places(client, &unit, options.machine.as_deref()).await?;
        if places.is_empty() {
            bail!("Unit {} does not appear to be loaded.", unit.name);
        }
        for (at, place) in places.iter().enumerate() {
            if number + at > 0 {
                output::say("\n");
            }
            if places.len() > 1 {
                output::warn(&format!("{} on {}:", unit.name, place.legend()));
            }
            let words = ["systemctl", "status", "-l", &unit.name];
            let code = remote::run(ssh, place, options.port.ssh_port, &words).await?;
            if code != 0 {
                return Ok(ExitCode::from(code));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The unit of that name, which must be known and loaded somewhere.
async fn known(client: &Client, name: &str) -> anyhow::Result<v1::Unit> {
    let unit = client.unit(name).await.context("Error retrieving unit")?;
    let Some(unit) = unit else {
        bail!("Unit {name} does not exist.")
    };
    if unit.desired_state == "inactive" {
        bail!("Unit {name} does not appear to be loaded.");
    }
    Ok(unit)
}
