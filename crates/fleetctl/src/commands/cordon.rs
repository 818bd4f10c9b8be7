//! `fleetctl cordon MACHINE` and `fleetctl uncordon MACHINE`.

use std::process::ExitCode;

use anyhow::Context;
use fleet::v2::Cordon;

use crate::args::{Cordon as Options, Uncordon};
use crate::client::Client;
use crate::{output, remote};

/// Keeps new units away.
pub(crate) async fn set(client: &Client, options: &Options) -> anyhow::Result<ExitCode> {
    let place = remote::member(client, &options.machine)
        .await
        .context("Unable to cordon")?;
    let cordons = client.cordons().await.context("Unable to cordon")?;
    let cordon = Cordon {
        reason: reason(&options.reason, cordons.get(&place.id)),
        drain: None,
    };
    client
        .cordon(&place.id, Some(&cordon))
        .await
        .context("Unable to cordon")?;
    output::say(&format!("Machine {} gets no new units", place.legend()));
    Ok(ExitCode::SUCCESS)
}

/// Lets units come again.
pub(crate) async fn end(client: &Client, options: &Uncordon) -> anyhow::Result<ExitCode> {
    let place = remote::member(client, &options.machine)
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
