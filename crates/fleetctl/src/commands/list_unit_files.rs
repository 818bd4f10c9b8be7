//! `fleetctl list-unit-files`: one row for each unit that the cluster knows.

use std::process::ExitCode;

use anyhow::Context as _;
use fleet::v1;
use unitfile::UnitFile;

use crate::args::ListUnitFiles;
use crate::client::{Client, ClientError};
use crate::legend::Addresses;
use crate::listing::{self, Column, Context, dash, shows};
use crate::{output, poll};

/// A unit, its file read once.
struct Row {
    unit: v1::Unit,
    file: Option<UnitFile>,
    global: bool,
}

const COLUMNS: [Column<Row>; 8] = [
    Column {
        name: "unit",
        cell: |row, _| dash(&row.unit.name),
    },
    Column {
        name: "hash",
        cell: hash,
    },
    Column {
        name: "dstate",
        cell: |row, _| dash(&row.unit.desired_state),
    },
    Column {
        name: "state",
        cell: |row, _| state(row),
    },
    Column {
        name: "target",
        cell: target,
    },
    Column {
        name: "tmachine",
        cell: target,
    },
    Column {
        name: "global",
        cell: |row, _| row.global.to_string(),
    },
    Column {
        name: "desc",
        cell: |row, _| description(row),
    },
];

pub(crate) async fn run(client: &Client, options: &ListUnitFiles) -> anyhow::Result<ExitCode> {
    let columns = listing::select(&COLUMNS, &options.fields)?;
    if shows(&columns, "tmachine") {
        output::warn("WARNING: The \"tmachine\" field is deprecated. Use \"target\" instead");
    }
    let failed = "Error retrieving list of units from repository";
    let units = client.units().await.context(failed)?;
    let addresses = match shows(&columns, "target") || shows(&columns, "tmachine") {
        true => addresses(client, &units).await.context(failed)?,
        false => Addresses::default(),
    };
    let rows: Vec<Row> = units.into_iter().map(Row::new).collect();
    listing::print(
        &columns,
        &rows,
        &Context {
            full: options.table.full,
            addresses,
            ..Context::default()
        },
        &options.table,
    );
    Ok(ExitCode::SUCCESS)
}

impl Row {
    fn new(unit: v1::Unit) -> Self {
        let file = poll::file(&unit);
        Row {
            global: poll::is_global(&unit.name, file.as_ref()),
            file,
            unit,
        }
    }
}

/// Where the machines are, if a unit is on one.
async fn addresses(client: &Client, units: &[v1::Unit]) -> Result<Addresses, ClientError> {
    match units.iter().any(|unit| !unit.machine_id.is_empty()) {
        true => client.machines().await.map(Addresses::of),
        false => Ok(Addresses::default()),
    }
}

fn hash(row: &Row, context: &Context) -> String {
    match (&row.file, context.full) {
        (Some(file), true) => file.hash().to_string(),
        (Some(file), false) => file.hash().short(),
        (None, _) => "-".to_owned(),
    }
}

fn state(row: &Row) -> String {
    if row.global {
        "-".to_owned()
    } else {
        dash(&row.unit.current_state)
    }
}

fn target(row: &Row, context: &Context) -> String {
    if row.global {
        "global".to_owned()
    } else {
        context.addresses.legend(&row.unit.machine_id, context.full)
    }
}

fn description(row: &Row) -> String {
    let first = row
        .file
        .as_ref()
        .and_then(|file| file.values("Unit", "Description").next().map(str::to_owned));
    dash(&first.unwrap_or_default())
}
