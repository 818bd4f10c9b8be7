//! `fleetctl list-machines`.

use std::process::ExitCode;

use fleet::v1::Machine;

use crate::args::ListMachines;
use crate::client::{Client, ClientError};
use crate::legend;
use crate::listing::{self, Column, Context, dash};

const COLUMNS: [Column<Machine>; 3] = [
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
];

pub(crate) async fn run(client: &Client, options: &ListMachines) -> anyhow::Result<ExitCode> {
    let columns = listing::select(&COLUMNS, &options.fields)?;
    let machines = client.machines().await.or_else(explain)?;
    let context = Context {
        full: options.table.full,
        ..Context::default()
    };
    listing::print(&columns, &machines, &context, &options.table);
    Ok(ExitCode::SUCCESS)
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
