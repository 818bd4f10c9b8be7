//! The command line: flags, commands, their help. What they do stands in `commands`.

mod ask;
mod events;
mod help;
mod operate;
mod remote;
mod transfer;
mod units;

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::environment::with_environment;
use crate::{argv, endpoint};

pub(crate) use ask::{ListMachines, ListUnitFiles, ListUnits, Output, Table, Why};
pub(crate) use events::{Events, Since};
use help::{
    COMMAND_HELP, COMPLETION_HELP, DRAIN_HELP, EVENTS_HELP, EXAMPLES, IMPORT_HELP, JOURNAL_HELP,
    SSH_HELP, START_HELP, STATUS_HELP, WHAT_IF_HELP, WHY_HELP,
};
pub(crate) use operate::{Cordon, Drain, Forget, Move, Rebalance, Uncordon, WhatIf};
pub(crate) use remote::{Journal, Remote, Restart, Ssh, Status};
pub(crate) use transfer::{Export, Import, NewState};
pub(crate) use units::{Blocking, Bring, Cat, Submit, Withdraw};

/// Controls the units of a fleet of systemd machines.
#[derive(Debug, Parser)]
#[command(
    name = "fleetctl",
    about = concat!("Controls the units of a fleet of systemd machines (version ", env!("CARGO_PKG_VERSION"), ")"),
    after_help = EXAMPLES,
    infer_subcommands = true,
    args_override_self = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    /// What goes with every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do; help if there is nothing.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Flags that stand before or after any command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Where the API is: unix:///PATH, http://HOST:PORT or https://HOST:PORT
    #[arg(long, global = true, value_name = "URL", default_value = endpoint::DEFAULT)]
    pub(crate) endpoint: String,
    /// Certificates to trust instead of the system's (PEM)
    #[arg(long, global = true, value_name = "FILE", alias = "etcd-cafile")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Our certificate (PEM)
    #[arg(long, global = true, value_name = "FILE", alias = "etcd-certfile")]
    pub(crate) cert_file: Option<PathBuf>,
    /// The key of our certificate (PEM)
    #[arg(long, global = true, value_name = "FILE", alias = "etcd-keyfile")]
    pub(crate) key_file: Option<PathBuf>,
    /// Trust any server certificate
    #[arg(long, global = true)]
    pub(crate) insecure_skip_tls_verify: bool,
    /// Seconds to wait for a connection, and for the head of an answer
    #[arg(long, global = true, value_name = "SECONDS", default_value = "3", value_parser = seconds)]
    pub(crate) request_timeout: f64,
    /// Show each request on stderr
    #[arg(long, global = true)]
    pub(crate) debug: bool,
    /// Print the version
    #[arg(short = 'v', long, global = true)]
    pub(crate) version: bool,
    /// How machines are reached.
    #[command(flatten)]
    pub(crate) remote: Remote,
    /// Flags of the original that mean nothing here.
    #[command(flatten)]
    pub(crate) original: Original,
}

/// Flags of the original that are accepted for the sake of scripts.
#[derive(Debug, Args)]
pub(crate) struct Original {
    /// `API`; anything else is refused.
    #[arg(long, global = true, hide = true, default_value = "API")]
    pub(crate) driver: String,
    #[arg(long, global = true, hide = true)]
    etcd_key_prefix: Option<String>,
    #[arg(long, global = true, hide = true)]
    experimental_api: bool,
}

/// The commands, in the order in which a unit meets them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Give unit files to the cluster
    #[command(after_help = "Example:\n  fleetctl submit units/*.service")]
    Submit(Submit),
    /// Schedule units on machines without starting them
    #[command(after_help = "Example:\n  fleetctl load hello.service")]
    Load(Bring),
    /// Schedule units on machines and start them there
    #[command(after_help = START_HELP)]
    Start(Bring),
    /// Stop units; they stay on their machines
    #[command(after_help = "Example:\n  fleetctl stop hello.service")]
    Stop(Withdraw),
    /// Stop units and take them off their machines; the cluster still knows them
    #[command(aliases = ["u", "un"], after_help = "Example:\n  fleetctl unload hello.service")]
    Unload(Withdraw),
    /// Stop units and forget them
    #[command(
        alias = "d",
        after_help = "Example:\n  fleetctl destroy $(fleetctl list-unit-files --fields=unit --no-legend)"
    )]
    Destroy(Withdraw),
    /// Stop units and start them again, one after the other
    #[command(after_help = "Example:\n  fleetctl restart web@1.service web@2.service")]
    Restart(Restart),
    /// Show systemd's view of units, on the machines that they are on
    #[command(after_help = STATUS_HELP)]
    Status(Status),
    /// Show what units have logged, on the machines that they are on
    #[command(after_help = JOURNAL_HELP)]
    Journal(Journal),
    /// Open a shell on a machine, or run a command there
    #[command(after_help = SSH_HELP)]
    Ssh(Ssh),
    /// Tell why a unit is where it is, or what keeps it from each machine
    #[command(after_help = WHY_HELP)]
    Why(Why),
    /// Tell what has happened to units and machines, and why
    #[command(after_help = EVENTS_HELP)]
    Events(Events),
    /// Print a unit file as the cluster has it
    // these prefixes have always been enough
    #[command(
        alias = "c",
        after_help = "Example:\n  fleetctl cat hello.service > hello.service"
    )]
    Cat(Cat),
    /// List what runs, machine by machine
    #[command(after_help = "Fields: unit, machine, active, sub, load, hash")]
    ListUnits(ListUnits),
    /// List the units that the cluster knows
    #[command(after_help = "Fields: unit, hash, dstate, state, target, global, desc")]
    ListUnitFiles(ListUnitFiles),
    /// List the machines of the cluster
    #[command(
        after_help = "Fields: machine, ip, metadata, state (cordoned or draining, and why; with it, machines that are\naway and waited for are listed, too)"
    )]
    ListMachines(ListMachines),
    /// Tell what would move and what would wait, if machines went, came, or units were started
    #[command(after_help = WHAT_IF_HELP)]
    WhatIf(WhatIf),
    /// Keep new units away from machines; those that are there stay
    #[command(
        after_help = "Global units do not heed it. With --grace, units that are there are not moved when the machine\nis away, however it went, until that time is over. What is not said again stays as it was\nordered before; --grace 0 takes it back.\n\nExamples:\n  fleetctl cordon 113f16a7 --reason 'disk is slow'\n  fleetctl cordon 113f16a7 --grace 10min --reason 'new kernel'"
    )]
    Cordon(Cordon),
    /// Let machines take units again
    #[command(after_help = "Example:\n  fleetctl uncordon 113f16a7 8d8c2b1f")]
    Uncordon(Uncordon),
    /// Move machines' units elsewhere, a few at a time, and keep new ones away
    #[command(after_help = DRAIN_HELP)]
    Drain(Drain),
    /// Move a unit to another machine, with those that it cannot go without
    #[command(
        after_help = "The rules that place units hold; a unit that follows others by MachineOf= goes with them.\n\nExample:\n  fleetctl move db.service 113f16a7"
    )]
    Move(Move),
    /// Show which moves would make the machines' loads even, and make them if asked to
    #[command(
        after_help = "Units are moved where they would rather be, too (Prefer=, Spread=, ...). Sticky units stay.\n\nExample:\n  fleetctl rebalance\n  fleetctl rebalance --max-moves 10 --apply"
    )]
    Rebalance(Rebalance),
    /// Give up machines that are gone for good: nothing waits for them any more
    #[command(
        after_help = "Units of a lost machine move by themselves, unless they ask to wait (Sticky=, MoveDelaySec=), or\nso many machines were lost at once that it looks like the network: then they move when the\nmachines are forgotten.\n\nExample:\n  fleetctl forget 113f16a7"
    )]
    Forget(Forget),
    /// Take over the units of another cluster, or of an export
    #[command(after_help = IMPORT_HELP)]
    Import(Import),
    /// Write all unit files into a folder, with a manifest of their desired states
    #[command(
        after_help = "Example:\n  fleetctl export backup && fleetctl import --dry-run backup"
    )]
    Export(Export),
    /// Print the version
    Version(Ignored),
    /// Join stdin and stdout with a unix socket; serves other fleetctls' --tunnel
    #[command(hide = true)]
    FdForward(FdForward),
    /// Print the completions for a shell
    #[command(after_help = COMPLETION_HELP)]
    Completion(Completion),
    /// Write the man pages into a folder
    #[command(hide = true)]
    Man(Man),
    /// Deprecated
    #[command(hide = true)]
    Verify(Ignored),
}

/// `fd-forward`.
#[derive(Debug, Args)]
pub(crate) struct FdForward {
    /// The socket's path
    pub(crate) sockets: Vec<PathBuf>,
}

/// `completion`.
#[derive(Debug, Args)]
pub(crate) struct Completion {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// `man`.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The folder, such as /usr/local/share/man/man1
    pub(crate) folder: PathBuf,
}

/// Arguments that are accepted where none is wanted.
#[derive(Debug, Args)]
pub(crate) struct Ignored {
    #[arg(hide = true)]
    ignored: Vec<String>,
}

impl Cli {
    /// Reads the command line and the environment.
    ///
    /// # Errors
    /// Clap's, which are also how it asks for help and version to be printed.
    pub(crate) fn read(
        args: impl Iterator<Item = std::ffi::OsString>,
    ) -> Result<Self, clap::Error> {
        let mut command = Self::definition();
        let args = argv::normalise(args, &command);
        let cli = Cli::from_arg_matches(&command.try_get_matches_from_mut(args)?)?;
        match cli.contradiction() {
            Some(what) => Err(command.error(ErrorKind::ArgumentConflict, what)),
            None => Ok(cli),
        }
    }

    /// What cannot be asked for together.
    fn contradiction(&self) -> Option<&'static str> {
        match &self.command {
            Some(Command::Drain(drain)) if drain.no_block && drain.deadline.is_some() => Some(
                "--deadline cannot be used with --no-block: it is kept by the command, while it waits",
            ),
            _ => None,
        }
    }

    /// The definition, environment included: an empty variable is as good as none. The help of a command leaves the
    /// global options to that of fleetctl.
    pub(crate) fn definition() -> clap::Command {
        let mut command = Cli::plain_definition();
        // from here on the commands have the global options, too
        command.build();
        command.mut_subcommands(|command| command.help_template(COMMAND_HELP).mut_args(hide_global))
    }

    /// The definition as pages and completions are made of it.
    pub(crate) fn plain_definition() -> clap::Command {
        Cli::command()
            .mut_args(|arg| with_environment(go_bool(arg)))
            .mut_subcommands(|command| command.mut_args(go_bool))
    }
}

fn hide_global(arg: Arg) -> Arg {
    let hidden = arg.is_hide_set() || arg.is_global_set();
    arg.hide(hidden)
}

/// A bool that takes a value as Go's do: `--full`, `--full=true`, `--full=false`.
fn go_bool(arg: Arg) -> Arg {
    if !matches!(arg.get_action(), ArgAction::SetTrue) || arg.get_id() == "version" {
        return arg;
    }
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .default_value("false")
        .hide_default_value(true)
        .hide_possible_values(true)
        .value_name("BOOL")
        .value_parser(BoolishValueParser::new())
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "expected a number of seconds".to_owned())?;
    let usable = seconds > 0.0 && seconds <= 86_400.0;
    if usable {
        Ok(seconds)
    } else {
        Err("expected more than 0 and at most 86400 seconds".to_owned())
    }
}
