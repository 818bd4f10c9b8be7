//! `fleetctl journal UNIT`: what a unit has logged, on the machines that it is on.

use std::process::ExitCode;

use anyhow::{Context, bail};
use futures_util::future::try_join_all;

use crate::args::Journal;
use crate::names::Argument;
use crate::output;
use crate::remote::{self, Place};
use crate::setup::Reach;

pub(crate) async fn run(reach: &Reach, options: &Journal) -> anyhow::Result<ExitCode> {
    let Reach { client, ssh } = reach;
    let [text] = options.units.as_slice() else {
        bail!("One unit file must be provided.")
    };
    let name = Argument::new(text).name;
    let unit = client.unit(&name).await;
    let unit = unit.with_context(|| format!("Error retrieving unit {name}"))?;
    let Some(unit) = unit else {
        bail!("Unit {name} does not exist.")
    };
    let places = remote::places(client, &unit, options.machine.as_deref()).await?;
    if places.is_empty() || unit.desired_state == "inactive" {
        bail!("Unit {name} does not appear to be running.");
    }
    let line = journalctl(&name, options);
    let words: Vec<&str> = line.iter().map(String::as_str).collect();
    // several cannot share a terminal
    let terminal = remote::has_terminal() && !(options.follow && places.len() > 1);
    let show = |place| remote::run(ssh, place, options.port.ssh_port, &words, terminal);
    if options.follow {
        places.iter().for_each(|place| announce(place, &places));
        // none of them ends by itself
        let codes = try_join_all(places.iter().map(show)).await?;
        return Ok(first_failure(codes));
    }
    let mut codes = Vec::new();
    for place in &places {
        announce(place, &places);
        codes.push(show(place).await?);
    }
    Ok(first_failure(codes))
}

/// Says whose journal comes, if there are several.
fn announce(place: &Place, places: &[Place]) {
    if places.len() > 1 {
        output::warn(&format!("On {}:", place.legend()));
    }
}

fn journalctl(unit: &str, options: &Journal) -> Vec<String> {
    let mut words = Vec::new();
    if options.sudo {
        words.push("sudo");
    }
    words.extend([
        "journalctl",
        "--unit",
        unit,
        "--no-pager",
        "-n",
        &options.lines,
    ]);
    words.extend(["--output", &options.output]);
    if options.follow {
        words.push("-f");
    }
    words.into_iter().map(str::to_owned).collect()
}

fn first_failure(codes: Vec<u8>) -> ExitCode {
    let failed = codes.into_iter().find(|code| *code != 0);
    failed.map_or(ExitCode::SUCCESS, ExitCode::from)
}
