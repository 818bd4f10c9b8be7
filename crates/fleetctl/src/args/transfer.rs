//! The commands that carry a cluster's units to another cluster, and to files and back.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The cluster to read: the API of one of its fleetds, as for --endpoint
    #[arg(long, value_name = "URL")]
    pub(crate) from: Option<String>,
    /// A folder that `fleetctl export` wrote, unless --from is given; then the units to take, all if none is named
    #[arg(value_name = "DIR] [UNIT")]
    pub(crate) words: Vec<String>,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Bring units that are here already to the file and the state that they have there
    #[arg(long)]
    pub(crate) replace: bool,
    /// Desired state of the units that are new here
    #[arg(long, value_name = "STATE", value_enum, default_value = "keep")]
    pub(crate) state: NewState,
}

/// What becomes of a unit that is new here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NewState {
    /// What it is there.
    Keep,
    /// Known, and on no machine.
    Inactive,
    /// On a machine, not started.
    Loaded,
    /// Started.
    Launched,
}

/// `export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The folder: a new one, an empty one, or one that holds an export
    pub(crate) folder: PathBuf,
}
