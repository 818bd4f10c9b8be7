//! How far one host carries a cluster: the benchmark of the crate `fleetd`, with machines in memory.

use anyhow::Result;
use clap::Args;

use crate::{build, deps};

/// The cluster to simulate.
#[derive(Args)]
pub(crate) struct Options {
    /// How many machines there are
    #[arg(long, value_name = "N", default_value = "1000")]
    machines: u32,
    /// How many units are started
    #[arg(long, value_name = "N", default_value = "20000")]
    units: u32,
    /// How many machines are lost at once in the end; a third of them at most
    #[arg(long, value_name = "N", default_value = "100")]
    lost: u32,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let Options {
        machines,
        units,
        lost,
    } = options;
    deps::ensure()?;
    build::cargo("build --quiet --release --package fleetctl")?;
    let fleetctl = build::target().join("release/fleetctl");
    let words =
        format!("bench --quiet --package fleetd --bench scale -- {machines} {units} {lost}");
    build::cargo_with(&words, "FLEETCTL", fleetctl.as_os_str())
}
