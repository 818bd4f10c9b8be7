//! `fleetctl list-units`: one row for each unit on each machine.

use std::process::ExitCode;

use anyhow::Context as _;
use fleet::v1::UnitState;

use crate::args::ListUnits;
use crate::client::{Client, ClientError};
use crate::legend::Addresses;
use crate::listing::{self, Column, Context, dash, shows};

const COLUMNS: [Column<UnitState>; 6] = [
    Column {
        name: "unit",
        cell: |state, _| dash(&state.name),
    },
    Column {
        name: "machine",
        cell: |state, context| context.addresses.legend(&state.machine_id, context.full),
    },
    Column {
        name: "active",
        cell: |state, _| state.systemd_active_state.clone(),
    },
    Column {
        name: "sub",
        cell: |state, _| state.systemd_sub_state.clone(),
    },
    Column {
        name: "load",
        cell: |state, _| state.systemd_load_state.clone(),
    },
    Column {
        name: "hash",
        cell: |state, context| hash(&state.hash, context.full),
    },
];

pub(crate) async fn run(client: &Client, options: &ListUnits) -> anyhow::Result<ExitCode> {
    let columns = listing::select(&COLUMNS, &options.fields)?;
    let failed = "Error retrieving list of units from repository";
    let states = client.states(None).await.context(failed)?;
    let addresses = match shows(&columns, "machine") {
        true => addresses(client, &states).await.context(failed)?,
        false => Addresses::default(),
    };
    listing::print(
        &columns,
        &states,
        &Context {
            full: options.table.full,
            addresses,
            ..Context::default()
        },
        &options.table,
    );
    Ok(ExitCode::SUCCESS)
}

/// Where the machines are, if a state names one.
async fn addresses(client: &Client, states: &[UnitState]) -> Result<Addresses, ClientError> {
    match states.iter().any(|state| !state.machine_id.is_empty()) {
        true => client.machines().await.map(Addresses::of),
        false => Ok(Addresses::default()),
    }
}

fn hash(hash: &str, full: bool) -> String {
    let digits = if full { hash.len() } else { 7 };
    dash(&hash.chars().take(digits).collect::<String>())
}
