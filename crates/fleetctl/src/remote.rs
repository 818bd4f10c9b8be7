//! Commands on the machines that units are on: over SSH, or right here if that is this very machine.

use std::collections::BTreeSet;
use std::process::{ExitStatus, Stdio};

use anyhow::{Context, anyhow, bail, ensure};
use fleet::v1;
use fleet::v2::AwayMachine;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::client::Client;
use crate::legend;
use crate::output;
use crate::ssh::{Connection, Hop, Ssh, SshError, quote};

/// The exit code when ssh fails, as ssh has it.
const SSH_FAILED: u8 = 255;

/// A machine on which something is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its id.
    pub(crate) id: String,
    /// Its address; empty if it is not known.
    pub(crate) address: String,
}

impl Place {
    /// The machine as lists show it.
    pub(crate) fn legend(&self) -> String {
        legend::machine_at(&self.id, &self.address, false)
    }

    /// Where its SSH server is.
    ///
    /// # Errors
    /// When its address is not known.
    pub(crate) fn hop(&self, port: u16) -> anyhow::Result<Hop> {
        ensure!(
            !self.address.is_empty(),
            "Could not determine address of machine."
        );
        Ok(Hop::to(&self.address, port))
    }
}

/// There is no machine or unit of that name.
#[derive(Debug, thiserror::Error)]
#[error("{0} does not exist")]
pub(crate) struct NoSuchThing(pub(crate) &'static str);

/// A machine by the beginning of its id, also as lists show it: `1f8dd964...`.
///
/// # Errors
/// There is none, or there are several; or the server does not answer.
pub(crate) async fn machine(client: &Client, text: &str) -> anyhow::Result<Place> {
    let start = text.strip_suffix("...").unwrap_or(text);
    let mut machines = client.machines().await?;
    machines.retain(|machine| !start.is_empty() && machine.id.starts_with(start));
    match machines.as_slice() {
        [] => Err(NoSuchThing("machine").into()),
        [machine] => Ok(place(machine)),
        several => match several.iter().find(|machine| machine.id == start) {
            Some(machine) => Ok(place(machine)),
            None => bail!("found more than one machine"),
        },
    }
}

/// The same, in our own words if there is none: the original's are for its own commands.
///
/// # Errors
/// As [`machine`].
pub(crate) async fn member(client: &Client, text: &str) -> anyhow::Result<Place> {
    match machine(client, text).await {
        Err(error) if error.is::<NoSuchThing>() => Err(absent(client, text).await),
        found => found,
    }
}

/// What is said of a machine that is not there.
async fn absent(client: &Client, text: &str) -> anyhow::Error {
    let start = text.strip_suffix("...").unwrap_or(text);
    // an old server knows no machines that are away
    let away = client.away().await.unwrap_or_default();
    let begins = |away: &&AwayMachine| !start.is_empty() && away.machine_id.starts_with(start);
    match away.iter().find(begins) {
        Some(away) => anyhow!(
            "machine {} is away: \"fleetctl list-machines\" tells what waits for it, \"fleetctl forget\" gives it up",
            legend::machine(&away.machine_id, false)
        ),
        None => anyhow!(
            "no machine that is there has an id that begins with {text:?}: \"fleetctl list-machines\" shows them"
        ),
    }
}

/// The same, or else a machine that is away or that an operator has ordered something about.
///
/// # Errors
/// As [`member`].
pub(crate) async fn known(client: &Client, text: &str) -> anyhow::Result<Place> {
    match machine(client, text).await {
        Err(error) if error.is::<NoSuchThing>() => {}
        found => return found,
    }
    let start = text.strip_suffix("...").unwrap_or(text);
    let away = client.away().await?.into_iter();
    let mut ids: BTreeSet<String> = away.map(|machine| machine.machine_id).collect();
    ids.extend(client.cordons().await?.into_keys());
    ids.retain(|id| !start.is_empty() && id.starts_with(start));
    match (ids.len(), ids.pop_first()) {
        (1, Some(id)) => Ok(Place {
            id,
            address: String::new(),
        }),
        (0, _) => bail!(
            "no machine, there or away, has an id that begins with {text:?}: \"fleetctl list-machines\" shows them"
        ),
        _ => bail!("found more than one machine"),
    }
}

fn place(machine: &v1::Machine) -> Place {
    Place {
        id: machine.id.clone(),
        address: machine.primary_ip.clone(),
    }
}

/// The machines that a unit is on, by id; those whose id begins with `only`, if that is given.
///
/// # Errors
/// When the server does not answer.
pub(crate) async fn places(
    client: &Client,
    unit: &v1::Unit,
    only: Option<&str>,
) -> anyhow::Result<Vec<Place>> {
    let mut ids: Vec<String> = match unit.machine_id.as_str() {
        "" => {
            let states = client.states(Some(&unit.name)).await?;
            // an old server may not know the filter
            let own = states.into_iter().filter(|state| state.name == unit.name);
            own.map(|state| state.machine_id).collect()
        }
        id => vec![id.to_owned()],
    };
    ids.retain(|id| id.starts_with(only.unwrap_or_default()));
    ids.sort();
    ids.dedup();
    let machines = client.machines().await?;
    let address = |id: &str| {
        let machine = machines.iter().find(|machine| machine.id == id);
        machine
            .map(|machine| machine.primary_ip.clone())
            .unwrap_or_default()
    };
    Ok(ids
        .into_iter()
        .map(|id| Place {
            address: address(&id),
            id,
        })
        .collect())
}

/// Runs a command on a machine to its end, with this process' stdout and stderr; with its stdin only on a `terminal`.
///
/// # Errors
/// When it cannot be run at all. What ssh has to complain of is said, and is exit code 255.
pub(crate) async fn run(
    ssh: &Ssh,
    place: &Place,
    port: u16,
    words: &[&str],
    terminal: bool,
) -> anyhow::Result<u8> {
    if is_here(&place.id) {
        return run_here(words).await;
    }
    let hop = place.hop(port)?;
    let connection = match ssh.connect(&hop, false).await {
        Ok(connection) => connection,
        Err(error) => {
            output::warn(&format!(
                "Unable to SSH to remote host: {:#}",
                anyhow::Error::new(error)
            ));
            return Ok(SSH_FAILED);
        }
    };
    let mut command = connection.command(Some(&quote::line(words.iter().copied())), terminal);
    command.stdin(match terminal {
        true => Stdio::inherit(),
        false => Stdio::null(),
    });
    wait(command).await
}

/// A connection for `fleetctl ssh`.
///
/// # Errors
/// When it does not come about.
pub(crate) async fn connect(
    ssh: &Ssh,
    hop: &Hop,
    forward_agent: bool,
) -> anyhow::Result<Connection> {
    let connection: Result<_, SshError> = ssh.connect(hop, forward_agent).await;
    connection.context("Failed building SSH client")
}

/// Whether both ends of what a command shows are a person's.
pub(crate) fn has_terminal() -> bool {
    use std::io::IsTerminal;
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Whether that is the machine that fleetctl runs on.
fn is_here(id: &str) -> bool {
    std::fs::read_to_string("/etc/machine-id").is_ok_and(|own| own.trim() == id)
}

async fn run_here(words: &[&str]) -> anyhow::Result<u8> {
    let Some((program, arguments)) = words.split_first() else {
        bail!("there is no command to run");
    };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    wait(command).await.context("Error running local command")
}

/// Waits for a command and gives its exit code; one that a signal ended has 128 and the signal's number. SIGINT and
/// SIGTERM are the command's to answer.
///
/// # Errors
/// When it does not start.
pub(crate) async fn wait(mut command: Command) -> anyhow::Result<u8> {
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let program = command
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    let mut child = command
        .spawn()
        .with_context(|| format!("running {program}"))?;
    loop {
        tokio::select! {
            status = child.wait() => return Ok(code(status?)),
            _ = interrupt.recv() => pass_on(&child, Signal::SIGINT),
            _ = terminate.recv() => pass_on(&child, Signal::SIGTERM),
        }
    }
}

/// At a terminal the child has it already; twice is as good as once.
fn pass_on(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    if let Some(pid) = pid {
        // it may have ended just now
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| Some(128 + status.signal()?));
    code.and_then(|code| u8::try_from(code).ok())
        .unwrap_or(SSH_FAILED)
}
