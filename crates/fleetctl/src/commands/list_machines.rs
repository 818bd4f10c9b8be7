//! `fleetctl list-machines`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context as _;
use fleet::requirements::print_seconds;
use fleet::v1::Machine;
use fleet::v2::{AwayMachine, Cordon};

use crate::args::ListMachines;
use crate::client::{Client, ClientError};
use crate::listing::{self, Column, Context, dash};
use crate::{legend, output};

const COLUMNS: [Column<Machine>; 4] = [
    Column {
        name: "machine",
        cell: |machine, context| legend::machine(&machine.id, context.full),
    },
    Column {
        name: "ip",
        cell: |machine, _| dash(&machine.primary_ip),
    },
    Column {
        name: "metadata",
        cell: |machine, _| metadata(machine),
    },
    Column {
        name: "state",
        cell: |machine, context| state(context.cordons.get(&machine.id)),
    },
];

pub(crate) async fn run(client: &Client, options: &ListMachines) -> anyhow::Result<ExitCode> {
    let columns = listing::select(&COLUMNS, &options.fields)?;
    let machines = client.machines().await.or_else(explain)?;
    let cordons = match listing::shows(&columns, "state") {
        true => client
            .cordons()
            .await
            .context("Error retrieving the machines' states")?,
        false => BTreeMap::new(),
    };
    let context = Context {
        full: options.table.full,
        cordons,
        ..Context::default()
    };
    listing::print(&columns, &machines, &context, &options.table);
    // an old server knows no such machines
    let away = client.away().await.unwrap_or_default();
    for machine in away.iter().filter(|machine| machine.waiting > 0) {
        output::warn(&awaited(machine, context.full));
    }
    Ok(ExitCode::SUCCESS)
}

/// A machine that is not listed because it is away, and for which units wait.
fn awaited(machine: &AwayMachine, full: bool) -> String {
    let name = legend::machine(&machine.machine_id, full);
    let units = match machine.waiting {
        1 => "1 unit waits".to_owned(),
        several => format!("{several} units wait"),
    };
    let why = match machine.braked {
        true => ", as too many machines were lost at once",
        false => "",
    };
    format!("Machine {name} is away and {units} for it{why}; \"fleetctl forget\" gives it up.")
}

/// What an operator has ordered about the machine, and why.
fn state(cordon: Option<&Cordon>) -> String {
    let Some(cordon) = cordon else {
        return "-".to_owned();
    };
    let what = if cordon.drain.is_some() {
        "draining"
    } else {
        "cordoned"
    };
    let what = match cordon.grace {
        0 => what.to_owned(),
        grace => format!("{what}, with {} of grace", print_seconds(grace)),
    };
    match cordon.reason.as_str() {
        "" => what,
        reason => format!("{what}: {reason}"),
    }
}

fn metadata(machine: &Machine) -> String {
    let pairs: Vec<String> = machine
        .metadata
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    dash(&pairs.join(","))
}

/// The four lines that the original prints.
fn explain(error: ClientError) -> anyhow::Result<Vec<Machine>> {
    if error.cure().is_some() {
        return Err(error.into());
    }
    let cause = format!("{:#}", anyhow::Error::new(error));
    Err(anyhow::anyhow!(
        "Error retrieving list of active machines from fleet API ({cause})\n\
         Possible issues:\n  \
         etcd is unhealthy and/or lost quorum\n  \
         connection cannot be established to any etcd servers"
    ))
}
