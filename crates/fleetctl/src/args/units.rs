//! What units go through: from submit to destroy.

use clap::Args;

/// `submit`.
#[derive(Debug, Args)]
pub(crate) struct Submit {
    /// Units: names, or paths of unit files
    pub(crate) units: Vec<String>,
    /// Shared with load and start.
    #[command(flatten)]
    pub(crate) files: Files,
    /// Accepted as on other commands; there is nothing to wait for.
    #[command(flatten)]
    blocking: HiddenBlocking,
}

/// `load` and `start`.
#[derive(Debug, Args)]
pub(crate) struct Bring {
    /// Units: names, or paths of unit files
    pub(crate) units: Vec<String>,
    /// Shared with submit.
    #[command(flatten)]
    pub(crate) files: Files,
    /// How long to wait.
    #[command(flatten)]
    pub(crate) blocking: Blocking,
}

/// `stop`, `unload` and `destroy`.
#[derive(Debug, Args)]
pub(crate) struct Withdraw {
    /// Units
    pub(crate) units: Vec<String>,
    /// How long to wait.
    #[command(flatten)]
    pub(crate) blocking: Blocking,
}

/// How commands that send unit files treat those that are there already.
#[derive(Debug, Args)]
pub(crate) struct Files {
    /// Replace units whose file differs from the local one
    #[arg(long)]
    pub(crate) replace: bool,
    #[arg(long, hide = true)]
    sign: bool,
}

/// How long a command waits.
#[derive(Debug, Args)]
pub(crate) struct Blocking {
    /// Wait N times two seconds at most; 0 or less is without limit
    #[arg(
        long,
        value_name = "N",
        default_value = "0",
        hide_default_value = true,
        allow_negative_numbers = true
    )]
    pub(crate) block_attempts: i64,
    /// Do not wait
    #[arg(long)]
    pub(crate) no_block: bool,
}

/// [`Blocking`] on commands that do not wait.
#[derive(Debug, Args)]
pub(super) struct HiddenBlocking {
    #[arg(long, hide = true, allow_negative_numbers = true)]
    block_attempts: Option<i64>,
    #[arg(long, hide = true)]
    no_block: bool,
}

/// `cat`.
#[derive(Debug, Args)]
pub(crate) struct Cat {
    /// The unit
    pub(crate) units: Vec<String>,
}
