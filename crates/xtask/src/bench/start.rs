//! `bench start`: how long from the command line to `active`, against systemctl on the same machines.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use integration::{Cluster, Machine};

use super::cpu::Cpu;
use super::{median, phases, ratio};

/// A service that is active at once.
const SLEEP: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

/// How often, and how many.
#[derive(Args)]
pub(crate) struct Options {
    /// Pairs of single starts
    #[arg(long, default_value_t = 15)]
    singles: usize,
    /// Pairs of mass starts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Units of a mass start, spread over three machines
    #[arg(long, default_value_t = 300)]
    units: usize,
}

/// Measures in turn, ours and the reference, so that a change of the host's mood hits both.
pub(crate) fn run(cluster: &Cluster, options: &Options) -> Result<()> {
    one_unit(cluster, options.singles)?;
    many_units(cluster, options)
}

fn one_unit(cluster: &Cluster, pairs: usize) -> Result<()> {
    let machine = cluster.machine("m1")?;
    let pin = format!("{SLEEP}[X-Fleet]\nMachineID={}\n", machine.id());
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for pair in 0..pairs {
        let (unit, local) = (format!("one{pair}.service"), format!("ref{pair}.service"));
        machine.write_file(format!("/root/units/{unit}"), &pin)?;
        machine.write_file(format!("/etc/systemd/system/{local}"), SLEEP)?;
        ours.push(shell(
            machine,
            &format!("cd /root/units && fleetctl start {unit}"),
        )?);
        reference.push(shell(
            machine,
            &format!("systemctl daemon-reload && systemctl start {local}"),
        )?);
        ensure!(
            machine.property(&unit, "ActiveState")? == "active",
            "{unit} was said to be active and is not"
        );
    }
    let (ours, reference) = (median(ours), median(reference));
    println!("\none unit, median of {pairs}");
    println!(
        "  fleetctl start                                {:7.1} ms",
        millis(ours)
    );
    println!(
        "  systemctl daemon-reload && systemctl start    {:7.1} ms",
        millis(reference)
    );
    println!(
        "  ratio                                         {:7.2}     (at most 1)",
        ratio(ours, reference)
    );
    machine.write_file("/root/units/phases.service", &pin)?;
    phases::run(machine, "phases.service")
}

fn many_units(cluster: &Cluster, options: &Options) -> Result<()> {
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    println!(
        "\n{} units on three machines, {} rounds",
        options.units, options.rounds
    );
    for round in 0..options.rounds {
        ours.push(through_fleet(cluster, round, options.units)?);
        reference.push(three_loops(cluster, round, options.units)?);
    }
    let (ours, reference) = (median(ours), median(reference));
    println!(
        "  fleetctl start, median                        {:7.0} ms",
        millis(ours)
    );
    println!(
        "  three local loops, median                     {:7.0} ms",
        millis(reference)
    );
    println!(
        "  ratio                                         {:7.2}     (at most 1.2)",
        ratio(ours, reference)
    );
    Ok(())
}

/// One `fleetctl start` of all units, until all are active; then they go again.
fn through_fleet(cluster: &Cluster, round: usize, units: usize) -> Result<Duration> {
    let machine = cluster.machine("m1")?;
    machine.write_file(format!("/root/units/mass{round}@.service"), SLEEP)?;
    let names = format!("mass{round}@{{1..{units}}}");
    let before = Cpu::of(cluster);
    let took = shell(
        machine,
        &format!("cd /root/units && fleetctl start {names} >/dev/null"),
    )?;
    println!(
        "  fleetctl start {names}: {:.0} ms; {}",
        millis(took),
        Cpu::of(cluster).since(&before)
    );
    let active = cluster
        .units()?
        .iter()
        .filter(|row| row.unit.starts_with("mass") && row.active == "active")
        .count();
    ensure!(active == units, "{active} of {units} are active");
    shell(
        machine,
        &format!("fleetctl unload {names} >/dev/null && fleetctl destroy {names} >/dev/null"),
    )?;
    Ok(took)
}

/// On each machine by itself, with no fleetd about: one reload, then a third of the units started at once; then they
/// go again.
fn three_loops(cluster: &Cluster, round: usize, units: usize) -> Result<Duration> {
    let share = units / 3;
    let names: Vec<String> = (0..share)
        .map(|n| format!("loop{round}x{n}.service"))
        .collect();
    let names = names.join(" ");
    for machine in cluster.lab.machines() {
        let write = format!(
            "cd /etc/systemd/system && for u in {names}; do printf '[Service]\\nExecStart=/bin/sleep infinity\\n' >$u; done"
        );
        shell(machine, &write)?;
    }
    everywhere(cluster, "systemctl stop fleet.service")?;
    let before = Cpu::of(cluster);
    let start = Instant::now();
    everywhere(
        cluster,
        &format!("systemctl daemon-reload && systemctl start {names}"),
    )?;
    let took = start.elapsed();
    println!(
        "  three local loops:             {:.0} ms; {}",
        millis(took),
        Cpu::of(cluster).since(&before)
    );
    everywhere(
        cluster,
        &format!(
            "systemctl stop {names}; cd /etc/systemd/system && rm {names} && systemctl daemon-reload"
        ),
    )?;
    everywhere(cluster, "systemctl start fleet.service")?;
    cluster.wait_for_members(cluster.lab.machines().len())?;
    Ok(took)
}

/// Runs a script on all machines side by side.
fn everywhere(cluster: &Cluster, script: &str) -> Result<()> {
    std::thread::scope(|scope| {
        let runs: Vec<_> = cluster
            .lab
            .machines()
            .iter()
            .map(|machine| scope.spawn(|| shell(machine, script)))
            .collect();
        runs.into_iter().try_for_each(|run| {
            run.join()
                .map_err(|_| anyhow::anyhow!("a script panicked"))?
                .map(drop)
        })
    })
}

/// Runs a script on a machine, which must succeed; how long it took, from here.
fn shell(machine: &Machine, script: &str) -> Result<Duration> {
    let start = Instant::now();
    machine.read(["bash", "-c", script])?;
    Ok(start.elapsed())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
