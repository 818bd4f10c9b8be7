//! What is asked about the cluster, and how the answer is printed.

use clap::{Args, ValueEnum};

use super::Ignored;

/// `why`.
#[derive(Debug, Args)]
pub(crate) struct Why {
    /// The unit
    pub(crate) unit: String,
    /// How to print it
    #[arg(short = 'o', long, value_enum, default_value = "text")]
    pub(crate) output: Output,
    /// Do not shorten ids
    #[arg(short = 'l', long, alias = "l")]
    pub(crate) full: bool,
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// As the API gives it.
    Json,
}

/// `list-units`.
#[derive(Debug, Args)]
pub(crate) struct ListUnits {
    /// Columns, separated by commas
    #[arg(long, default_value = "unit,machine,active,sub")]
    pub(crate) fields: String,
    /// How to print.
    #[command(flatten)]
    pub(crate) table: Table,
}

/// `list-unit-files`.
#[derive(Debug, Args)]
pub(crate) struct ListUnitFiles {
    /// Columns, separated by commas
    #[arg(long, default_value = "unit,hash,dstate,state,target")]
    pub(crate) fields: String,
    /// How to print.
    #[command(flatten)]
    pub(crate) table: Table,
}

/// `list-machines`.
#[derive(Debug, Args)]
pub(crate) struct ListMachines {
    /// Columns, separated by commas
    #[arg(long, default_value = "machine,ip,metadata")]
    pub(crate) fields: String,
    /// How to print.
    #[command(flatten)]
    pub(crate) table: Table,
}

/// How a list is printed.
#[derive(Debug, Args)]
pub(crate) struct Table {
    /// Do not shorten ids and hashes
    #[arg(short = 'l', long, alias = "l")]
    pub(crate) full: bool,
    /// Leave the header out
    #[arg(long)]
    pub(crate) no_legend: bool,
    #[command(flatten)]
    ignored: Ignored,
}
