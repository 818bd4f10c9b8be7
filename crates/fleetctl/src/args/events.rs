//! `events`.

use clap::Args;

use super::Output;
use super::remote::lines;

/// `events`.
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Units, or machines by the beginnings of their ids: what is about any of them
    #[arg(value_name = "UNIT|MACHINE")]
    pub(crate) about: Vec<String>,
    /// How many lines of the past, or all
    #[arg(short = 'n', long, value_name = "N", default_value = "50", value_parser = lines)]
    pub(crate) lines: String,
    /// Only what happened in the last so many seconds, or in a time such as 10min, 2h, 1d
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) since: Option<u64>,
    /// Go on with what happens from now on
    #[arg(short = 'f', long, alias = "f")]
    pub(crate) follow: bool,
    /// Columns, separated by commas
    #[arg(long, default_value = "time,what,unit,machine,reason")]
    pub(crate) fields: String,
    /// How to print it
    #[arg(short = 'o', long, value_enum, default_value = "text")]
    pub(crate) output: Output,
    /// Do not shorten ids and times
    #[arg(short = 'l', long, alias = "l")]
    pub(crate) full: bool,
    /// Leave the header out
    #[arg(long)]
    pub(crate) no_legend: bool,
}

pub(super) fn time(text: &str) -> Result<u64, String> {
    let seconds = fleet::requirements::parse_seconds(text);
    seconds.ok_or_else(|| "expected a time such as 90, 10min or 2h".to_owned())
}
