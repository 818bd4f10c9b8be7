//! The operator's orders about machines.

use std::time::Duration;

use clap::Args;
use fleet::Cordon as Order;
use fleet::requirements::print_seconds;

/// `cordon`.
#[derive(Debug, Args)]
pub(crate) struct Cordon {
    /// The machines, by the beginning of their ids
    #[arg(required = true, value_name = "MACHINE")]
    pub(crate) machines: Vec<String>,
    /// Why, for those who ask later
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) reason: String,
    /// How long its units wait for it when it is away, such as 10min, and 30d at most: it is to be rebooted
    #[arg(long, value_name = "TIME", value_parser = grace)]
    pub(crate) grace: Option<Duration>,
}

/// `uncordon`.
#[derive(Debug, Args)]
pub(crate) struct Uncordon {
    /// The machines, by the beginning of their ids
    #[arg(required = true, value_name = "MACHINE")]
    pub(crate) machines: Vec<String>,
}

/// `drain`.
#[derive(Debug, Args)]
pub(crate) struct Drain {
    /// The machines, by the beginning of their ids
    #[arg(required = true, value_name = "MACHINE")]
    pub(crate) machines: Vec<String>,
    /// Why, for those who ask later
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) reason: String,
    /// How many units of a machine may be on their way at a time
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max: u32,
    /// Move all that is left at once after so many seconds, or a time such as 10min
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) deadline: Option<Duration>,
    /// Give the order and do not wait; without --deadline, which is kept by the one who waits
    #[arg(long)]
    pub(crate) no_block: bool,
}

/// `move`.
#[derive(Debug, Args)]
pub(crate) struct Move {
    /// The unit
    pub(crate) unit: String,
    /// The machine, by the beginning of its id
    pub(crate) machine: String,
    /// Do not wait
    #[arg(long)]
    pub(crate) no_block: bool,
}

/// `rebalance`.
#[derive(Debug, Args)]
pub(crate) struct Rebalance {
    /// Make the moves, one after the other
    #[arg(long)]
    pub(crate) apply: bool,
    /// Move no more than so many units
    #[arg(long, value_name = "N")]
    pub(crate) max_moves: Option<u32>,
    /// Do not shorten machine ids
    #[arg(short = 'l', long)]
    pub(crate) full: bool,
    /// How to print the moves
    #[arg(short = 'o', long, value_enum, default_value = "text")]
    pub(crate) output: super::Output,
}

/// `forget`.
#[derive(Debug, Args)]
pub(crate) struct Forget {
    /// The machines, by the beginning of their ids
    #[arg(required = true, value_name = "MACHINE")]
    pub(crate) machines: Vec<String>,
    /// Do not shorten machine ids
    #[arg(short = 'l', long)]
    pub(crate) full: bool,
}

/// `what-if`.
#[derive(Debug, Args)]
pub(crate) struct WhatIf {
    /// These machines are gone
    #[arg(long, value_name = "MACHINE", value_delimiter = ',')]
    pub(crate) lose: Vec<String>,
    /// All leaves these machines that can: named by id, or by their metadata
    #[arg(long, value_name = "MACHINE|KEY=VALUE", value_delimiter = ',')]
    pub(crate) drain: Vec<String>,
    /// There are so many machines more
    #[arg(
        long,
        value_name = "N",
        default_value = "0",
        hide_default_value = true,
        requires = "like"
    )]
    pub(crate) add: u32,
    /// The machine that they are like
    #[arg(
        long,
        value_name = "MACHINE",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) like: String,
    /// These units are started: names, or paths of unit files
    #[arg(long, value_name = "UNIT", num_args = 1..)]
    pub(crate) submit: Vec<String>,
    /// How to print it
    #[arg(short = 'o', long, value_enum, default_value = "text")]
    pub(crate) output: super::Output,
    /// Do not shorten ids
    #[arg(short = 'l', long, alias = "l")]
    pub(crate) full: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    super::events::time(text).map(Duration::from_secs)
}

fn grace(text: &str) -> Result<Duration, String> {
    let (grace, longest) = (duration(text)?, Order::LONGEST_GRACE);
    match grace <= longest {
        true => Ok(grace),
        false => Err(format!(
            "expected {} at most",
            print_seconds(longest.as_secs())
        )),
    }
}
