//! The commands that act on machines: ssh, status, journal, restart; and how machines are reached.

use std::path::PathBuf;

use clap::Args;

/// How machines and the bastion of `--tunnel` are reached.
#[derive(Debug, Args)]
#[command(next_help_heading = "SSH options")]
pub(crate) struct Remote {
    /// Reach the API and the machines through this SSH bastion: [USER@]HOST[:PORT]
    #[arg(long, global = true, value_name = "BASTION")]
    pub(crate) tunnel: Option<String>,
    /// User to log in as
    #[arg(long, global = true, value_name = "USER", default_value = "core")]
    pub(crate) ssh_username: String,
    /// Seconds to wait until logged in
    #[arg(long, global = true, value_name = "SECONDS", default_value = "10", value_parser = super::seconds)]
    pub(crate) ssh_timeout: f64,
    /// Check the machines' host keys, and ask about new ones
    #[arg(long, global = true, value_name = "BOOL", default_value = "true", default_missing_value = "true",
        action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, hide_possible_values = true,
        value_parser = clap::builder::BoolishValueParser::new())]
    pub(crate) strict_host_key_checking: bool,
    /// The host keys that are known
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "~/.fleetctl/known_hosts"
    )]
    pub(crate) known_hosts_file: String,
}

/// `ssh`.
#[derive(Debug, Args)]
pub(crate) struct Ssh {
    /// The machine, by the beginning of its id
    #[arg(short = 'm', long, value_name = "MACHINE")]
    pub(crate) machine: Option<String>,
    /// The machine that this unit is on
    #[arg(short = 'u', long, value_name = "UNIT")]
    pub(crate) unit: Option<String>,
    /// Let the machine use the local SSH agent
    #[arg(short = 'A', long, alias = "A")]
    pub(crate) forward_agent: bool,
    /// Where the flags end is where the command begins.
    #[command(flatten)]
    pub(crate) port: SshPort,
    /// A machine or a unit, unless a flag names it; then the command to run there
    #[arg(value_name = "MACHINE|UNIT] [COMMAND")]
    pub(crate) words: Vec<String>,
}

/// `status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Units
    pub(crate) units: Vec<String>,
    /// How the machines are reached.
    #[command(flatten)]
    pub(crate) port: SshPort,
    /// Only on this machine, named by the beginning of its id
    #[arg(short = 'm', long, value_name = "MACHINE")]
    pub(crate) machine: Option<String>,
    /// Accepted as on other commands; there is nothing to wait for.
    #[command(flatten)]
    blocking: super::units::HiddenBlocking,
}

/// `journal`.
#[derive(Debug, Args)]
pub(crate) struct Journal {
    /// The unit
    pub(crate) units: Vec<String>,
    /// How many lines of the past
    #[arg(long, value_name = "N", default_value = "10", value_parser = lines)]
    pub(crate) lines: String,
    /// Go on with what is written from now on
    #[arg(short = 'f', long, alias = "f")]
    pub(crate) follow: bool,
    /// journalctl's output mode, such as short, cat or json
    #[arg(long, value_name = "MODE", default_value = "short")]
    pub(crate) output: String,
    /// Run journalctl with sudo
    #[arg(long)]
    pub(crate) sudo: bool,
    /// How the machines are reached.
    #[command(flatten)]
    pub(crate) port: SshPort,
    /// Only on this machine, named by the beginning of its id
    #[arg(short = 'm', long, value_name = "MACHINE")]
    pub(crate) machine: Option<String>,
}

/// `restart`.
#[derive(Debug, Args)]
pub(crate) struct Restart {
    /// Units: names, or paths of unit files
    pub(crate) units: Vec<String>,
    /// How long to wait.
    #[command(flatten)]
    pub(crate) blocking: super::Blocking,
    /// Accepted for the sake of scripts: this command reaches no machine by itself.
    #[command(flatten)]
    port: SshPort,
}

/// The port of the machines' SSH servers.
#[derive(Debug, Args)]
pub(crate) struct SshPort {
    /// Port of the machine's SSH server
    #[arg(long, value_name = "PORT", default_value = "22")]
    pub(crate) ssh_port: u16,
}

/// The paths that clap knows as texts.
impl Remote {
    /// The file of known host keys, with `~` and `~user` expanded.
    pub(crate) fn known_hosts(&self) -> PathBuf {
        crate::home::expand(&self.known_hosts_file)
    }
}

/// A number, or `all`, as journalctl takes it.
pub(super) fn lines(text: &str) -> Result<String, String> {
    match text {
        "all" => Ok(text.to_owned()),
        _ => text
            .parse()
            .map(|lines: u64| lines.to_string())
            .map_err(|_| "expected a number of lines, or all".to_owned()),
    }
}
