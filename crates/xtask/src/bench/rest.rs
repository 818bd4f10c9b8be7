//! `bench rest`: what fleetd costs when there is nothing to do.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use integration::{Cluster, Machine};

use super::cpu::{memory_of, time_of};

/// How many, how long.
#[derive(Args)]
pub(crate) struct Options {
    /// Running units, spread over three machines
    #[arg(long, default_value_t = 300)]
    units: usize,
    /// Seconds of rest
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

/// Starts the units, lets the cluster settle, then looks at the kernel's accounts before and after the rest.
pub(crate) fn run(cluster: &Cluster, options: &Options) -> Result<()> {
    cluster.write_unit(
        "rest@.service",
        "[Service]\nExecStart=/bin/sleep infinity\n",
    )?;
    let names: Vec<String> = (1..=options.units).map(|n| format!("rest@{n}")).collect();
    cluster.fleetctl(&format!("start {}", names.join(" ")))?;
    sleep(Duration::from_secs(5));

    let before: Vec<Duration> = cluster
        .lab
        .machines()
        .iter()
        .map(fleetd_time)
        .collect::<Result<_>>()?;
    let rest = Duration::from_secs(options.seconds);
    sleep(rest);
    println!(
        "\n{} units on three machines, at rest for {} s",
        options.units, options.seconds
    );
    for (machine, before) in cluster.lab.machines().iter().zip(before) {
        let used = fleetd_time(machine)?.saturating_sub(before);
        let share = 100.0 * used.as_secs_f64() / rest.as_secs_f64();
        let memory = memory_of(fleetd(machine)?).unwrap_or_default();
        println!(
            "  {}: fleetd {share:5.2} % of a core (at most 0.3), {:5.1} MiB resident (at most 30){}",
            machine.name(),
            memory as f64 / 1024.0,
            role(cluster, machine),
        );
    }
    Ok(())
}

/// The machine that hosts the store does its work too.
fn role(cluster: &Cluster, machine: &Machine) -> &'static str {
    let hosts_store = cluster.store_url().contains(&machine.address().to_string());
    if hosts_store { ", with the store" } else { "" }
}

fn fleetd(machine: &Machine) -> Result<i32> {
    let process = machine.processes("fleetd").into_iter().next();
    process
        .map(|process| process.pid)
        .with_context(|| format!("no fleetd on {}", machine.name()))
}

fn fleetd_time(machine: &Machine) -> Result<Duration> {
    time_of(fleetd(machine)?).context("reading its processor time")
}
