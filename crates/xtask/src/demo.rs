//! `cargo xtask demo`: a cluster of three real machines; one loses its power, and what it ran runs elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use integration::{Backing, Cluster, Fleet, Lab, Row};

use crate::{build, deps};

/// The lab that `cargo xtask lab` speaks of when it is given no name.
const LAB: &str = "lab";

/// How long a silent machine counts as alive here; fleet's own default of 30 s is dull to watch.
const TTL: &str = "agent_ttl=5s";

/// How to show it.
#[derive(Args)]
pub(crate) struct Options {
    /// Build with optimizations: takes longer, runs leaner
    #[arg(long)]
    release: bool,
}

/// Shows the main job, and leaves the cluster to play with.
///
/// # Errors
/// A step failed; the cluster is taken down again.
pub(crate) fn run(options: &Options) -> Result<()> {
    let told = Told(Instant::now());
    deps::ensure()?;
    told.step("building fleetd and fleetctl");
    let fleet = build(options)?.conf(TTL);
    clear_the_stage(&told)?;

    told.step("booting three machines with systemd, dbus and a network card each");
    let cluster = Cluster::boot(Lab::create(LAB)?, 3, Backing::EmbeddedStore, &fleet)?;
    cluster.lab.open_machines()?;
    told.step("they are a cluster; m1 keeps the records in its embedded store");
    told.show(&cluster, "list-machines")?;

    start_examples(&told, &cluster)?;
    lose_power(&told, &cluster)?;
    leave(&told, cluster)
}

fn build(options: &Options) -> Result<Fleet> {
    let (flag, profile) = if options.release {
        (" --release", "release")
    } else {
        ("", "debug")
    };
    build::cargo(&format!(
        "build --quiet --package fleetd --package fleetctl{flag}"
    ))?;
    Fleet::from_folder(build::target().join(profile))
}

/// An earlier demo's cluster makes room.
fn clear_the_stage(told: &Told) -> Result<()> {
    integration::guard::sweep()?;
    let earlier = Lab::list()?.into_iter().find(|lab| lab.name() == LAB);
    if let Some(lab) = earlier {
        told.step("taking down the lab that is there");
        lab.down()?;
    }
    Ok(())
}

fn start_examples(told: &Told, cluster: &Cluster) -> Result<()> {
    copy_examples(cluster)?;
    for line in [
        "start hello.service",
        "start ping.service pong.service",
        "submit web@.service",
        "start web@1 web@2",
        "start monitor.service",
        "load echo.service",
        "start echo.socket",
        "start myapp.service",
    ] {
        let start = Instant::now();
        cluster.fleetctl(line)?;
        told.step(&format!(
            "fleetctl {line}   ({} ms)",
            start.elapsed().as_millis()
        ));
    }
    told.show(cluster, "list-units")
}

fn copy_examples(cluster: &Cluster) -> Result<()> {
    let folder = unitfiles().join("examples");
    let entries = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        cluster
            .lab
            .machines()
            .iter()
            .try_for_each(|machine| machine.write_file(format!("/root/units/{name}"), &text))?;
    }
    Ok(())
}

fn lose_power(told: &Told, cluster: &Cluster) -> Result<()> {
    let before = cluster.units()?;
    let victim = busiest(&before).context("every unit is on m1")?;
    let lost: Vec<&str> = before
        .iter()
        .filter(|row| row.machine == victim)
        .map(|row| row.unit.as_str())
        .collect();
    told.step(&format!(
        "cutting the power of {victim}, which runs {}",
        lost.join(", ")
    ));
    let cut = Instant::now();
    cluster.machine(&victim)?.kill()?;
    // a global unit, and an instance that finds every other machine taken, have nowhere to go
    for unit in lost.iter().filter(|unit| **unit != "monitor.service") {
        let home = cluster.wait_where(unit, "runs elsewhere", |rows| match rows {
            [row] if row.machine != victim => Some(row.machine.clone()),
            _ => None,
        })?;
        told.step(&format!(
            "{unit} is on {home}, {:.1} s after the power went",
            cut.elapsed().as_secs_f32()
        ));
    }
    told.show(cluster, "list-units")
}

/// The machine other than m1 that has most to lose.
fn busiest(rows: &[Row]) -> Option<String> {
    let load = |name: &str| rows.iter().filter(|row| row.machine == name).count();
    let machines = rows
        .iter()
        .map(|row| row.machine.as_str())
        .filter(|name| *name != "m1");
    machines.max_by_key(|name| load(name)).map(str::to_owned)
}

fn leave(told: &Told, mut cluster: Cluster) -> Result<()> {
    cluster.lab.keep()?;
    told.step("the cluster is yours; unit files lie in /root/units on each machine:");
    println!(
        "    cargo xtask lab shell m1       a shell there: fleetctl list-units, fleetctl start web@3, ..."
    );
    println!(
        "    cargo xtask lab boot NAME      the power is back; also: kill, cut, heal, freeze, thaw"
    );
    println!("    cargo xtask lab down           take it all down");
    Ok(())
}

/// Tells what happens, each step with its time since the start.
struct Told(Instant);

impl Told {
    fn step(&self, what: &str) {
        println!("[{:6.1} s] {what}", self.0.elapsed().as_secs_f32());
    }

    fn show(&self, cluster: &Cluster, line: &str) -> Result<()> {
        let table = cluster.fleetctl(line)?;
        self.step(&format!("fleetctl {line}"));
        table.lines().for_each(|row| println!("    {row}"));
        Ok(())
    }
}

fn unitfiles() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../unitfiles")
}
