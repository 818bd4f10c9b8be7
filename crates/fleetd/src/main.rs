//! `fleetd`: reads the command line and the configuration, and runs the daemon.

use std::path::PathBuf;
use std::process::ExitCode;

use fleetd::lock::MachineLock;
use fleetd::machine::VERSION;
use fleetd::places::{self, Places};
use fleetd::process::Process;
use fleetd::{args, config, log};

fn main() -> ExitCode {
    match args::parse(std::env::args()) {
        Ok(args::Command::Run { config }) => return run(config),
        Ok(args::Command::Version) => println!("fleetd version {VERSION}"),
        Ok(args::Command::Help) => println!("{}", args::usage("fleetd")),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(error.exit_code());
        }
    }
    ExitCode::SUCCESS
}

fn run(config: Option<PathBuf>) -> ExitCode {
    match start(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// In the log, or where there is none yet on stderr.
fn complain(error: &anyhow::Error) {
    if tracing::dispatcher::has_been_set() {
        tracing::error!("{error:#}");
    } else {
        eprintln!("fleetd: {error:#}");
    }
}

fn start(config: Option<PathBuf>) -> anyhow::Result<()> {
    let path = config.or_else(default_config);
    let mut loaded = config::load(path.as_deref(), std::env::vars())?;
    let places = Places::settle(&mut loaded.config, places::variable)?;
    let log = log::start(loaded.config.verbosity);
    tracing::info!("Starting fleetd version {VERSION}");
    match &path {
        Some(path) => tracing::info!("Using config file {}", path.display()),
        None => tracing::info!("No provided or default config file found - proceeding without"),
    }
    let _lock = MachineLock::take(&places.lock)?;
    // one thread to work, one to answer meanwhile
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build()?;
    runtime.block_on(Process { path, log, places }.live(loaded))
}

fn default_config() -> Option<PathBuf> {
    Some(PathBuf::from(args::DEFAULT_CONFIG)).filter(|path| path.exists())
}
