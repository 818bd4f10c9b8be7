//! One run of one seed.

use std::cell::RefCell;
use std::sync::Once;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::trace::Trace;
use crate::world::{Figures, World};
use crate::{Chance, entropy};

/// How to run a seed.
#[derive(Debug, Clone)]
pub struct Options {
    /// How much time passes in the simulation, at least.
    pub time: Duration,
    /// Print the trace, with the log of the product, as it comes.
    pub aloud: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            time: Duration::from_secs(3600),
            aloud: false,
        }
    }
}

/// What came of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// Whose run it was.
    pub seed: u64,
    /// What happened that must not.
    pub violation: Option<String>,
    /// The last lines of the trace.
    pub tail: Vec<String>,
    /// A number of the whole trace: the same for the same seed.
    pub trace: u64,
    /// How much time passed in the simulation.
    pub simulated: Duration,
    /// How long that took, in real time.
    pub took: Duration,
    /// What was done.
    pub figures: Figures,
}

/// Runs a seed, on a thread of its own.
///
/// # Errors
/// The simulation itself fails, such as for want of disk space.
pub fn run(seed: u64, options: &Options) -> Result<Outcome> {
    note_panics();
    let (begun, options) = (Instant::now(), options.clone());
    let thread = std::thread::Builder::new().name(format!("seed-{seed}"));
    let thread = thread.spawn(move || {
        let mut chance = Chance::new(seed);
        entropy::seed(chance.branch());
        alone(seed, chance, &options)
    })?;
    let ended = thread.join();
    let outcome = ended.map_err(|_| anyhow!("the simulation of seed {seed} panicked"))??;
    Ok(Outcome {
        took: begun.elapsed(),
        ..outcome
    })
}

fn alone(seed: u64, chance: Chance, options: &Options) -> Result<Outcome> {
    let _log = options.aloud.then(log);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build()?;
    runtime.block_on(async {
        entropy::start_clocks();
        let start = tokio::time::Instant::now();
        let trace = Trace::new(options.aloud);
        CURRENT.set(Some(trace.clone()));
        let mut world = Box::pin(World::new(chance, trace.clone()))
            .await
            .context("making a cluster")?;
        world.live(options.time).await?;
        let simulated = start.elapsed();
        Ok(Outcome {
            seed,
            violation: trace.violated(),
            tail: trace.tail(),
            trace: trace.number(),
            simulated,
            took: Duration::ZERO,
            figures: world.figures.clone(),
        })
    })
}

thread_local! {
    /// The trace of the run on this thread.
    static CURRENT: RefCell<Option<Trace>> = const { RefCell::new(None) };
}

/// A panic in the product is caught by whoever keeps its parts running, and is a violation all the same.
fn note_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            match CURRENT.with_borrow(Clone::clone) {
                Some(trace) => trace.violation(format_args!("a panic: {panic}")),
                None => before(panic),
            }
        }));
    });
}

/// The product's log, on the output, for as long as the guard lives.
fn log() -> tracing::subscriber::DefaultGuard {
    let log = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .without_time()
        .with_ansi(false)
        .with_writer(std::io::stdout);
    tracing::subscriber::set_default(log.finish())
}
