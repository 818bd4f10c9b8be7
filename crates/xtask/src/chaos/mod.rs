//! `cargo xtask chaos`: real machines on which one thing after the other goes wrong, in the order of a seed.
//!
//! After each fault the cluster must come to rest, with everything where it belongs; and by the word of each machine's
//! systemd and journal, nothing may have been touched but what the fault itself took.

mod chance;
mod fault;
mod interrupt;
mod judge;
mod play;
mod probe;
mod report;
mod settle;
mod units;
mod witness;

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use integration::{Backing, Cluster, Fleet, Lab};

use crate::{build, deps};
use fault::{Fault, Faults};
use interrupt::Interrupt;
use play::{Played, Stage};
use report::Report;
use settle::settle;
use witness::{Picture, Span};

/// How long a silent machine counts as alive here: short, so that many leases end.
const TTL: Duration = Duration::from_secs(5);

/// Enough that one may be lost while most are there.
const MACHINES: usize = 4;

/// What to play, and for how long.
#[derive(Args)]
pub(crate) struct Options {
    /// No new fault after so many minutes
    #[arg(long, value_name = "N", default_value = "10")]
    pub(crate) minutes: u64,
    /// Decides which faults there are, in which order; none: the time decides
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,
    /// Keep the records in a real etcd instead of the embedded store
    #[arg(long)]
    pub(crate) etcd: bool,
}

/// Builds fleet, boots machines, plays faults on them, reports, and takes the machines down. Interrupted, it reports what it has
/// seen so far; interrupted again it leaves at once, and the lab's guard takes the machines down.
///
/// # Errors
/// Something is not as promised, or could not be built, booted or done.
pub(crate) fn run(options: &Options) -> Result<()> {
    deps::ensure()?;
    build::build_programs()?;
    let seed = options.seed.map_or_else(seed_of_the_hour, Ok)?;
    let backing = match options.etcd {
        true => Backing::Etcd,
        false => Backing::EmbeddedStore,
    };
    println!("chaos on {MACHINES} machines, records in {backing}, seed {seed}");
    let conf = format!("agent_ttl={}s", TTL.as_secs());
    let fleet = Fleet::built()?.conf(conf).conf("verbosity=1");
    let cluster = Cluster::boot(Lab::unique("chaos")?, MACHINES, backing, &fleet)?;
    let units = units::start(&cluster)?;
    let stage = Stage {
        cluster: &cluster,
        backing,
        units: &units,
    };
    let interrupt = Interrupt::watch()?;
    let mut run = Run::begin(stage)?;
    run.play(seed, Duration::from_secs(60 * options.minutes), &interrupt);
    run.end(seed)?;
    ensure!(!interrupt.came(), "interrupted before the time was up");
    Ok(())
}

fn seed_of_the_hour() -> Result<u64> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Ok(now.context("the clock is before the epoch")?.as_secs() % 100_000)
}

/// A run of faults. Each is judged by what has happened since the one before it was: nothing falls between two.
struct Run<'a> {
    stage: Stage<'a>,
    start: Instant,
    picture: Picture,
    judged: Duration,
    report: Report,
}

impl<'a> Run<'a> {
    fn begin(stage: Stage<'a>) -> Result<Run<'a>> {
        let (picture, _) = settle(stage.cluster, stage.units, None)?;
        Ok(Run {
            stage,
            start: Instant::now(),
            picture,
            judged: witness::now()?,
            report: Report::default(),
        })
    }

    /// Plays until the time is up, somebody interrupts, or the cluster does not come to rest: what is seen after that tells
    /// nothing.
    fn play(&mut self, seed: u64, time: Duration, interrupt: &Interrupt) {
        for fault in Faults::new(seed, MACHINES) {
            if self.start.elapsed() >= time || interrupt.came() {
                break;
            }
            match self.one(&fault) {
                Ok(()) => {}
                // so were the programs that were under way
                Err(_) if interrupt.came() => {
                    println!("           {fault}: interrupted, and not judged");
                    break;
                }
                Err(error) => {
                    self.violated(&fault, vec![format!("{error:#}")]);
                    break;
                }
            }
        }
    }

    fn one(&mut self, fault: &Fault) -> Result<()> {
        let began = self.start.elapsed().as_secs_f32();
        let played = self.stage.play(fault)?;
        let healed = Instant::now();
        settle(self.stage.cluster, self.stage.units, None)?;
        let took = healed.elapsed();
        println!(
            "[{began:6.1} s] {fault:<48} converged {:4.1} s later  {}",
            took.as_secs_f32(),
            played.note
        );
        self.report.converged(fault.kind(), took);
        probe::everywhere(self.stage.cluster)?;
        let (picture, _) = settle(self.stage.cluster, self.stage.units, None)?;
        self.judge(fault, played, picture)
    }

    fn judge(&mut self, fault: &Fault, played: Played, picture: Picture) -> Result<()> {
        let span = Span::since(self.judged)?;
        let units = self.stage.units;
        let starts = witness::starts(self.stage.cluster.lab.machines(), units, &span)?;
        let mut violations = played.violations;
        violations.extend(judge::violations(
            units,
            &played.victim,
            &self.picture,
            &picture,
            &starts,
        ));
        self.violated(fault, violations);
        self.report.watched += self.picture.len();
        self.report.started += starts.values().sum::<usize>();
        self.judged = span.end();
        self.picture = picture;
        Ok(())
    }

    fn violated(&mut self, fault: &Fault, violations: Vec<String>) {
        for line in &violations {
            println!("           VIOLATION: {line}");
        }
        self.report.violated(fault.to_string(), violations);
    }

    fn end(self, seed: u64) -> Result<()> {
        let minutes = self.start.elapsed().as_secs_f32() / 60.0;
        let Run { stage, report, .. } = self;
        let backing = stage.backing;
        println!(
            "\nchaos, seed {seed}: {} faults in {minutes:.1} minutes, records in {backing}",
            report.faults()
        );
        print!("{report}");
        if report.is_clean() {
            return Ok(());
        }
        let logs = keep_logs(stage.cluster, seed)?;
        bail!(
            "not as promised; what every fleetd has logged is in {}",
            logs.display()
        )
    }
}

/// Writes down what every fleetd has logged: the machines go.
fn keep_logs(cluster: &Cluster, seed: u64) -> Result<PathBuf> {
    let path = build::target().join(format!("chaos-{seed}.log"));
    std::fs::write(&path, cluster.logs()).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}
