//! `fleetctl export DIR`: every unit of the cluster as a file, with a manifest of their desired states.

use std::process::ExitCode;

use anyhow::Context;

use super::exit_code;
use crate::args::Export;
use crate::client::Client;
use crate::output;
use crate::transfer::{Offer, Offered, folder};

pub(crate) async fn run(client: &Client, options: &Export) -> anyhow::Result<ExitCode> {
    let units = client
        .units()
        .await
        .context("Error retrieving list of units from repository")?;
    let mut taken: Vec<Offered> = Vec::with_capacity(units.len());
    let mut whole = true;
    for Offer { name, unit } in units.iter().map(Offer::of) {
        match unit {
            Ok(unit) => taken.push(unit),
            Err(why) => {
                output::warn(&format!("Unit {name} cannot be exported: {why}"));
                whole = false;
            }
        }
    }
    folder::write(&options.folder, &taken).context("Error exporting units")?;
    output::warn(&format!(
        "Exported {} units to {}.",
        taken.len(),
        options.folder.display()
    ));
    Ok(exit_code(whole))
}
