//! `fleetctl import`: takes the units of another cluster, or of an export, into this one.
//!
//! What would be done is always shown. A unit that is here already is left alone unless `--replace` says otherwise,
//! so that an import may be repeated.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use fleet::{DesiredState, glob, v1};

use super::exit_code;
use crate::args::{Global, Import, NewState};
use crate::client::{Client, failure};
use crate::names::Argument;
use crate::setup::{self, Reach};
use crate::transfer::{Offer, Row, folder, plan};
use crate::{output, table};

pub(crate) async fn run(global: &Global, options: &Import) -> anyhow::Result<ExitCode> {
    let reach = setup::reach(global).await?;
    let offers = offers(global, &reach, options).await?;
    let known = reach
        .client
        .units()
        .await
        .context("Error retrieving list of units from repository")?;
    let rows = plan(&offers, &known, options.replace, state(options.state));
    output::say(&table::render(&lines(&rows)));
    if options.dry_run {
        output::warn(&summary(&rows, "would be"));
        return Ok(exit_code(!rows.iter().any(|row| row.action.is_loss())));
    }
    let refused = carry_out(&reach.client, &rows).await?;
    output::warn(&summary(&rows, "were"));
    let lost = refused || rows.iter().any(|row| row.action.is_loss());
    Ok(exit_code(!lost))
}

/// What there is to take, less what nobody named.
async fn offers(global: &Global, reach: &Reach, options: &Import) -> anyhow::Result<Vec<Offer>> {
    let words = options.words.as_slice();
    let (mut offers, wanted) = match (&options.from, words) {
        (Some(endpoint), wanted) => (from_cluster(global, reach, endpoint).await?, wanted),
        (None, [folder, wanted @ ..]) => (folder::read(Path::new(folder))?, wanted),
        (None, []) => bail!(
            "Name what to import: --from ENDPOINT, or a folder that \"fleetctl export\" wrote"
        ),
    };
    let patterns: Vec<String> = wanted.iter().map(|word| Argument::new(word).name).collect();
    let is_wanted = |offer: &Offer| {
        patterns
            .iter()
            .any(|pattern| glob::matches(pattern, &offer.name))
    };
    if !patterns.is_empty() {
        offers.retain(is_wanted);
    }
    if offers.is_empty() && !patterns.is_empty() {
        bail!("there is no unit {} there", patterns.join(", "));
    }
    Ok(offers)
}

async fn from_cluster(
    global: &Global,
    reach: &Reach,
    endpoint: &str,
) -> anyhow::Result<Vec<Offer>> {
    let other = setup::client(global, endpoint, reach.ssh.clone())
        .context("Unable to initialize client of --from")?;
    let units = other
        .units()
        .await
        .context("Error retrieving list of units of --from")?;
    Ok(units.iter().map(Offer::of).collect())
}

fn state(state: NewState) -> Option<DesiredState> {
    match state {
        NewState::Keep => None,
        NewState::Inactive => Some(DesiredState::Inactive),
        NewState::Loaded => Some(DesiredState::Loaded),
        NewState::Launched => Some(DesiredState::Launched),
    }
}

fn lines(rows: &[Row]) -> Vec<Vec<String>> {
    let header = vec!["UNIT".to_owned(), "PLAN".to_owned()];
    let line = |row: &Row| vec![row.name.clone(), row.action.told()];
    std::iter::once(header)
        .chain(rows.iter().map(line))
        .collect()
}

/// Sends what is to be changed. Whether something was refused; what and why has been said.
async fn carry_out(client: &Client, rows: &[Row]) -> anyhow::Result<bool> {
    let bodies: Vec<v1::Unit> = rows
        .iter()
        .filter_map(|row| row.action.body(&row.name))
        .collect();
    let results = client.put(&bodies).await.context("Error importing units")?;
    let mut refused = false;
    for (unit, error) in results
        .iter()
        .filter_map(|result| Some((&result.name, failure(result)?)))
    {
        output::warn(&format!("Error importing unit {unit}: {error}"));
        refused = true;
    }
    Ok(refused)
}

fn summary(rows: &[Row], were: &str) -> String {
    let changed = rows.iter().filter(|row| row.action.is_change()).count();
    let lost = rows.iter().filter(|row| row.action.is_loss()).count();
    let rest = rows.len() - changed - lost;
    format!(
        "{changed} of {} units {were} imported, {rest} left as they are, {lost} cannot be taken.",
        rows.len()
    )
}
