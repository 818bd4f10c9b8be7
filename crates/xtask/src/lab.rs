//! `cargo xtask lab`: machines to work with by hand. They stay until `down`.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use integration::{Backing, Cluster, Fleet, Lab, guard};

use crate::{build, deps};

/// Which lab, and what to do with it.
#[derive(Args)]
pub(crate) struct Options {
    /// The lab; several live side by side
    #[arg(
        long,
        short,
        global = true,
        env = "FLOTILLA_LAB",
        default_value = "lab"
    )]
    name: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Boot machines m1, m2, ... until there are COUNT
    Up(Up),
    /// Open a shell in a machine
    Shell {
        /// A machine, or `lab` for this host with the lab's network
        place: String,
    },
    /// Run a command in a machine; its exit status is the command's
    Run {
        /// A machine, or `lab` for this host with the lab's network
        place: String,
        /// The command and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<String>,
    },
    #[command(flatten)]
    Fault(Fault),
    /// Show all labs and their machines
    List,
    /// Take a lab down: machines, network, disks
    Down {
        /// All labs there are, whoever made them
        #[arg(long)]
        all: bool,
    },
}

#[derive(Subcommand)]
enum Fault {
    /// Pull a machine's network cable
    Cut {
        /// The machine
        machine: String,
    },
    /// Put a machine's network cable back
    Heal {
        /// The machine
        machine: String,
    },
    /// Take the power from a machine, or SIGKILL etcd
    Kill {
        /// The machine, or `etcd`
        target: String,
    },
    /// Switch a machine on again, or start etcd; its disk is as it was
    Boot {
        /// The machine, or `etcd`
        target: String,
    },
    /// Stop a machine, a program in it, or etcd where it is
    Freeze {
        /// The machine, or `etcd`
        target: String,
        /// A program, by the name of its process: the rest of the machine goes on
        program: Option<String>,
    },
    /// Let what is frozen go on
    Thaw {
        /// The machine, or `etcd`
        target: String,
        /// The program that was frozen
        program: Option<String>,
    },
}

#[derive(Args)]
struct Up {
    /// How many machines there shall be
    count: usize,
    /// A real etcd beside the machines, on http://10.99.0.1:2379
    #[arg(long)]
    etcd: bool,
    /// Machines with nothing but systemd on them; else fleet is built and the machines form a cluster,
    /// its records in etcd, or in the store of m1's fleetd
    #[arg(long)]
    bare: bool,
    /// A line of fleet.conf on all new machines, as in --conf agent_ttl=5s
    #[arg(long, value_name = "LINE", conflicts_with = "bare")]
    conf: Vec<String>,
}

/// Does what was asked for.
///
/// # Errors
/// There is no such lab or machine, or it could not be done.
pub(crate) fn run(options: Options) -> Result<()> {
    guard::sweep()?;
    let name = &options.name;
    match options.action {
        Action::Up(up) => bring_up(name, &up),
        Action::List => list(),
        Action::Down { all: true } => Lab::list()?.into_iter().try_for_each(take_down),
        Action::Down { all: false } => take_down(Lab::open(name)?),
        Action::Shell { place } => enter(
            &Lab::open(name)?,
            &place,
            &["bash".to_owned(), "-l".to_owned()],
        ),
        Action::Run { place, command } => enter(&Lab::open(name)?, &place, &command),
        Action::Fault(fault) => befall(&Lab::open(name)?, &fault),
    }
}

fn bring_up(name: &str, up: &Up) -> Result<()> {
    let start = Instant::now();
    let exists = Lab::list()?.iter().any(|lab| lab.name() == name);
    let lab = if exists {
        Lab::open(name)?
    } else {
        Lab::create(name)?
    };
    let mut lab = if up.bare {
        boot(lab, up)?
    } else {
        boot_fleet(lab, up)?
    };
    lab.keep()?;
    show(&lab);
    let took = start.elapsed();
    println!("up after {took:.1?}; `cargo xtask lab down --name {name}` takes it down");
    Ok(())
}

fn boot(mut lab: Lab, up: &Up) -> Result<Lab> {
    if up.etcd && !lab.etcd().is_running() {
        lab.start_etcd()?;
    }
    lab.boot(up.count)?;
    Ok(lab)
}

fn boot_fleet(lab: Lab, up: &Up) -> Result<Lab> {
    deps::ensure()?;
    build::build_programs()?;
    let built = Fleet::built()?.conf("agent_ttl=5s");
    let fleet = up.conf.iter().fold(built, |fleet, line| fleet.conf(line));
    let with_etcd = up.etcd || lab.etcd().is_running();
    let backing = if with_etcd {
        Backing::Etcd
    } else {
        Backing::EmbeddedStore
    };
    let lab = Cluster::boot(lab, up.count, backing, &fleet)?.lab;
    lab.open_machines()?;
    Ok(lab)
}

fn list() -> Result<()> {
    let labs = Lab::list()?;
    if labs.is_empty() {
        println!("no labs; `cargo xtask lab up 3` makes one");
    }
    labs.iter().for_each(show);
    Ok(())
}

fn show(lab: &Lab) {
    let fate = if lab.is_kept() {
        "kept"
    } else {
        "ends with its owner"
    };
    println!("lab {}  {fate}  {}", lab.name(), lab.folder().display());
    if lab.etcd().is_running() {
        println!("  etcd  {}", lab.etcd().url());
    }
    for machine in lab.machines() {
        let state = if machine.is_running() { "up" } else { "off" };
        println!(
            "  {:<4}  {:<11}  {}  {state}",
            machine.name(),
            machine.address(),
            machine.id()
        );
    }
}

fn take_down(lab: Lab) -> Result<()> {
    let name = lab.name().to_owned();
    lab.down()?;
    println!("lab {name} is down");
    Ok(())
}

/// Turns this process into the command, so that signals and the exit status are the command's own.
fn enter(lab: &Lab, place: &str, words: &[String]) -> Result<()> {
    let mut command = if place == "lab" {
        beside(lab, words)
    } else {
        lab.machine(place)?.command(words)?
    };
    let error = command.exec();
    Err(error).with_context(|| format!("running {}", words.join(" ")))
}

fn beside(lab: &Lab, words: &[String]) -> Command {
    let mut command = lab.command(&words[0]);
    command.args(&words[1..]);
    command
}

fn befall(lab: &Lab, fault: &Fault) -> Result<()> {
    match fault {
        Fault::Cut { machine } => lab.machine(machine)?.cut(),
        Fault::Heal { machine } => lab.machine(machine)?.heal(),
        Fault::Kill { target } if target == "etcd" => lab.etcd().kill(),
        Fault::Kill { target } => lab.machine(target)?.kill(),
        Fault::Boot { target } if target == "etcd" => lab.etcd().start(),
        Fault::Boot { target } => lab.machine(target)?.boot(),
        Fault::Freeze { target, program } => freeze(lab, target, program.as_deref()),
        Fault::Thaw { target, program } => thaw(lab, target, program.as_deref()),
    }
}

fn freeze(lab: &Lab, target: &str, program: Option<&str>) -> Result<()> {
    match program {
        None if target == "etcd" => lab.etcd().freeze(),
        None => lab.machine(target)?.pause(),
        Some(program) => lab.machine(target)?.freeze(program).map(drop),
    }
}

fn thaw(lab: &Lab, target: &str, program: Option<&str>) -> Result<()> {
    match program {
        None if target == "etcd" => lab.etcd().thaw(),
        None => lab.machine(target)?.resume(),
        Some(program) => lab.machine(target)?.thaw(program).map(drop),
    }
}
