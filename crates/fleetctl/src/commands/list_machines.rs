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

/// A machine that is there, or one that is away and waited for.
struct Row {
    machine: Machine,
    away: Option<AwayMachine>,
}

const COLUMNS: [Column<Row>; 4] = [
    Column {
        name: "machine",
        cell: |row, context| legend::machine(&row.machine.id, context.full),
    },
    Column {
        name: "ip",
        cell: |row, _| dash(&row.machine.primary_ip),
    },
    Column {
        name: "metadata",
        cell: |row, _| metadata(&row.machine),
    },
    Column {
        name: "state",
        cell: state,
    },
];

pub(crate) async fn run(client: &Client, options: &ListMachines) -> anyhow::Result<ExitCode> {
    let columns = listing::select(&COLUMNS, &options.fields)?;
    let machines = client.machines().await.or_else(explain)?;
    // an old server knows no such machines
    let mut away = client.away().await.unwrap_or_default();
    away.retain(|machine| machine.waiting > 0);
    let mut rows: Vec<Row> = machines.into_iter().map(Row::there).collect();
    let mut cordons = BTreeMap::new();
    if listing::shows(&columns, "state") {
        let failed = "Error retrieving the machines' states";
        cordons = client.cordons().await.context(failed)?;
        rows.extend(away.drain(..).map(Row::away));
        rows.sort_by(|a, b| a.machine.id.cmp(&b.machine.id));
    }
    let context = Context {
        full: options.table.full,
        cordons,
        ..Context::default()
    };
    listing::print(&columns, &rows, &context, &options.table);
    for machine in &away {
        output::warn(&awaited(machine, context.full));
    }
    Ok(ExitCode::SUCCESS)
}

impl Row {
    fn there(machine: Machine) -> Self {
        Row {
            machine,
            away: None,
        }
    }

    /// Of a machine that is away only its id is known.
    fn away(away: AwayMachine) -> Self {
        let machine = Machine {
            id: away.machine_id.clone(),
            ..Machine::default()
        };
        Row {
            machine,
            away: Some(away),
        }
    }
}

/// A machine that is not in the table because it is away, and for which units wait.
fn awaited(machine: &AwayMachine, full: bool) -> String {
    let name = legend::machine(&machine.machine_id, full);
    let order = announced(machine).map_or_else(String::new, |order| format!(" ({order})"));
    format!(
        "Machine {name} is {}{order}; \"fleetctl forget\" gives it up.",
        absence(machine)
    )
}

/// What the machine is besides being there: away, or what an operator has ordered.
fn state(row: &Row, context: &Context) -> String {
    match &row.away {
        Some(away) => {
            let order = announced(away).map_or_else(String::new, |order| format!("; {order}"));
            absence(away) + &order
        }
        None => {
            let cordon = context.cordons.get(&row.machine.id);
            cordon.map_or_else(|| "-".to_owned(), |cordon| order(cordon, None))
        }
    }
}

/// Who waits for a machine that is away.
fn absence(machine: &AwayMachine) -> String {
    let units = match machine.waiting {
        1 => "1 unit waits".to_owned(),
        several => format!("{several} units wait"),
    };
    let why = match machine.braked {
        true => ", as too many machines were lost at once",
        false => "",
    };
    format!("away and {units} for it{why}")
}

/// What an operator had ordered about a machine that is away.
fn announced(machine: &AwayMachine) -> Option<String> {
    let cordon = machine.cordon.as_ref()?;
    Some(order(cordon, Some(machine.grace_left)))
}

/// What an operator has ordered about a machine, and why; with what is `left` of its grace while it is away.
fn order(cordon: &Cordon, left: Option<u64>) -> String {
    let what = match cordon.drain {
        Some(_) => "draining",
        None => "cordoned",
    };
    let grace = print_seconds(cordon.grace);
    let grace = match (cordon.grace, left) {
        (0, _) => String::new(),
        (_, None) => format!(", with {grace} of grace"),
        (_, Some(0)) => format!(", with {grace} of grace, which is over"),
        (_, Some(left)) => format!(
            ", with {grace} of grace, {} of it left",
            print_seconds(left)
        ),
    };
    let reason = match cordon.reason.as_str() {
        "" => String::new(),
        reason => format!(": {reason}"),
    };
    format!("{what}{grace}{reason}")
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
