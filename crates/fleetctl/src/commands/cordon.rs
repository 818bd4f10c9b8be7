//! `fleetctl cordon MACHINE` and `fleetctl uncordon MACHINE`.

use std::process::ExitCode;

use anyhow::Context;
use fleet::requirements::print_seconds;
use fleet::v2::Cordon;

use crate::args::{Cordon as Options, Uncordon};
use crate::client::Client;
use crate::{output, remote};

/// Keeps new units away.
pub(crate) async fn set(client: &Client, options: &Options) -> anyhow::Result<ExitCode> {
    let place = remote::known(client, &options.machine)
        .await
        .context("Unable to cordon")?;
    let cordons = client.cordons().await.context("Unable to cordon")?;
    let before = cordons.get(&place.id);
    let cordon = Cordon {
        reason: reason(&options.reason, before),
        drain: None,
        grace: match options.grace {
            Some(grace) => grace.as_secs(),
            None => before.map_or(0, |before| before.grace),
        },
    };
    client
        .cordon(&place.id, Some(&cordon))
        .await
        .context("Unable to cordon")?;
    let waits = match cordon.grace {
        0 => String::new(),
        grace => format!(
            "; its units wait {} for it when it is away",
            print_seconds(grace)
        ),
    };
    output::say(&format!(
        "Machine {} gets no new units{waits}",
        place.legend()
    ));
    Ok(ExitCode::SUCCESS)
}

/// Lets units come again.
pub(crate) async fn end(client: &Client, options: &Uncordon) -> anyhow::Result<ExitCode> {
    let place = remote::known(client, &options.machine)
        .await
        .context("Unable to uncordon")?;
    client
        .cordon(&place.id, None)
        .await
        .context("Unable to uncordon")?;
    output::say(&format!("Machine {} may take units", place.legend()));
    Ok(ExitCode::SUCCESS)
}

/// Why, as it is said now, or else as it was said before.
pub(super) fn reason(given: &str, before: Option<&Cordon>) -> String {
    match (given, before) {
        ("", Some(before)) => before.reason.clone(),
        (given, _) => given.to_owned(),
    }
}
