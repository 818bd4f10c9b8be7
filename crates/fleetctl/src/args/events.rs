//! `events`.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use fleet::history::What;

use super::Output;
use super::remote::lines;
use crate::calendar;

/// `events`.
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Units, or machines by the beginnings of their ids: what is about any of them
    #[arg(value_name = "UNIT|MACHINE")]
    pub(crate) about: Vec<String>,
    /// How many lines of the past, or all
    #[arg(short = 'n', long, value_name = "N", default_value = "50", value_parser = lines)]
    pub(crate) lines: String,
    /// Only what happened in the last so many seconds, in a time such as 10min, 2h, 1d, or since a date (UTC)
    #[arg(long, value_name = "TIME|DATE", value_parser = since)]
    pub(crate) since: Option<Since>,
    /// Only what is of these kinds, separated by commas
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kinds(), hide_possible_values = true)]
    pub(crate) kind: Vec<What>,
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

/// The earliest time that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// So many seconds ago.
    Ago(u64),
    /// Then, in milliseconds since the Unix epoch.
    Date(u64),
}

fn since(text: &str) -> Result<Since, String> {
    let ago = fleet::requirements::parse_seconds(text).map(Since::Ago);
    let since = ago.or_else(|| calendar::parse(text).map(Since::Date));
    since.ok_or_else(|| {
        "expected a time such as 90, 10min or 2h, or a date such as 2026-11-28, '2026-11-28 10:00' or 2026-11-28T10:00:00Z"
            .to_owned()
    })
}

/// The kinds of events by their names, which completions know.
fn kinds() -> impl TypedValueParser<Value = What> {
    let names = What::ALL.map(What::as_str);
    PossibleValuesParser::new(names).try_map(|name| name.parse::<What>())
}

pub(super) fn time(text: &str) -> Result<u64, String> {
    let seconds = fleet::requirements::parse_seconds(text);
    seconds.ok_or_else(|| "expected a time such as 90, 10min or 2h".to_owned())
}
