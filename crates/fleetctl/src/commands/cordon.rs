//! `fleetctl cordon MACHINE…` and `fleetctl uncordon MACHINE…`.

use std::process::ExitCode;

use anyhow::Context;
use fleet::requirements::print_seconds;
use fleet::v2::Cordon;

use super::exit_code;
use super::machines::{named, told};
use crate::args::{Cordon as Options, Uncordon};
use crate::client::Client;
use crate::remote::Place;
use crate::{output, remote};

/// Keeps new units away.
pub(crate) async fn set(client: &Client, options: &Options) -> anyhow::Result<ExitCode> {
    let named = named(client, &options.machines, "cordon", remote::known).await?;
    let cordons = client.cordons().await.context("Unable to cordon")?;
    let mut well = named.all;
    for place in &named.places {
        let cordon = order(options, cordons.get(&place.id));
        let written = client.cordon(&place.id, Some(&cordon)).await;
        match told(written.with_context(|| format!("Unable to cordon {}", place.legend())))? {
            Some(()) => output::say(&kept_away(place, &cordon)),
            None => well = false,
        }
    }
    Ok(exit_code(well))
}

/// Lets units come again. Where nothing keeps them away, nothing is written.
pub(crate) async fn end(client: &Client, options: &Uncordon) -> anyhow::Result<ExitCode> {
    let named = named(client, &options.machines, "uncordon", remote::known).await?;
    let cordons = client.cordons().await.context("Unable to uncordon")?;
    let mut well = named.all;
    for place in &named.places {
        let name = place.legend();
        if !cordons.contains_key(&place.id) {
            output::say(&format!("Machine {name} is not cordoned"));
            continue;
        }
        let written = client.cordon(&place.id, None).await;
        match told(written.with_context(|| format!("Unable to uncordon {name}")))? {
            Some(()) => output::say(&format!("Machine {name} may take units")),
            None => well = false,
        }
    }
    Ok(exit_code(well))
}

/// What is not said now stays as it was.
fn order(options: &Options, before: Option<&Cordon>) -> Cordon {
    Cordon {
        reason: reason(&options.reason, before),
        drain: None,
        grace: match options.grace {
            Some(grace) => grace.as_secs(),
            None => before.map_or(0, |before| before.grace),
        },
    }
}

fn kept_away(place: &Place, cordon: &Cordon) -> String {
    let waits = match cordon.grace {
        0 => String::new(),
        grace => format!(
            "; its units wait {} for it when it is away",
            print_seconds(grace)
        ),
    };
    format!("Machine {} gets no new units{waits}", place.legend())
}

/// Why, as it is said now, or else as it was said before.
pub(super) fn reason(given: &str, before: Option<&Cordon>) -> String {
    match (given, before) {
        ("", Some(before)) => before.reason.clone(),
        (given, _) => given.to_owned(),
    }
}
