//! `fleetctl ssh [MACHINE|UNIT] [COMMAND…]`: a shell or a command on a machine.

use std::io::IsTerminal;
use std::process::{ExitCode, Stdio};

use anyhow::{Context, anyhow, bail, ensure};

use crate::args::Ssh as Options;
use crate::client::Client;
use crate::names::Argument;
use crate::remote::{self, NoSuchThing, Place};
use crate::setup::Reach;
use crate::ssh::quote;

pub(crate) async fn run(reach: &Reach, options: &Options) -> anyhow::Result<ExitCode> {
    let Reach { client, ssh } = reach;
    let (place, words) = target(client, options).await?;
    let hop = place.hop(options.port.ssh_port)?;
    let connection = remote::connect(ssh, &hop, options.forward_agent).await?;
    let line = (!words.is_empty()).then(|| quote::with_signals(&words.join(" ")));
    let terminal = match line {
        Some(_) => remote::has_terminal(),
        // what a shell prints may go elsewhere: `fleetctl ssh MACHINE | tee log`
        None => std::io::stdin().is_terminal(),
    };
    let mut command = connection.command(line.as_deref(), terminal);
    command.stdin(Stdio::inherit());
    let code = remote::wait(command).await?;
    Ok(ExitCode::from(code))
}

/// The machine, and what is left of the words for it.
async fn target<'a>(
    client: &Client,
    options: &'a Options,
) -> anyhow::Result<(Place, &'a [String])> {
    let given = |flag: &'a Option<String>| flag.as_deref().filter(|text| !text.is_empty());
    let words = options.words.as_slice();
    let place = match (given(&options.machine), given(&options.unit)) {
        (Some(_), Some(_)) => {
            bail!("Both machine and unit flags provided, please specify only one.")
        }
        (Some(machine), None) => remote::machine(client, machine).await,
        (None, Some(unit)) => by_unit(client, unit).await,
        (None, None) => {
            let Some((word, rest)) = words.split_first() else {
                bail!("Unable to proceed: one machine or unit must be provided");
            };
            let place = by_either(client, word).await.context("Unable to proceed")?;
            return Ok((place, command(rest)));
        }
    };
    Ok((place.context("Unable to proceed")?, command(words)))
}

/// What is left of the words is the command; after one `--` more, only what follows that.
fn command(words: &[String]) -> &[String] {
    let dashes = words.iter().position(|word| word == "--");
    &words[dashes.map_or(0, |at| at + 1)..]
}

async fn by_either(client: &Client, word: &str) -> anyhow::Result<Place> {
    let machine = remote::machine(client, word).await;
    let unit = by_unit(client, word).await;
    match (machine, unit) {
        (Ok(_), Ok(_)) => Err(anyhow!(
            "ambiguous argument, both machine and unit found for `{word}`.\n\
             Please use flag `--machine` or `--unit` to refine the search"
        )),
        (Ok(place), Err(_)) | (Err(_), Ok(place)) => Ok(place),
        (Err(machine), Err(unit)) => Err(why_neither(machine, unit)),
    }
}

/// What scripts know; with the reason where it is not simply that there is no such thing.
fn why_neither(machine: anyhow::Error, unit: anyhow::Error) -> anyhow::Error {
    let none = |error: &anyhow::Error| error.is::<NoSuchThing>();
    match (none(&machine), none(&unit)) {
        (true, true) => anyhow!("could not find matching unit or machine"),
        (false, _) => machine.context("could not find matching unit or machine"),
        (true, false) => unit.context("could not find matching unit or machine"),
    }
}

/// The machine that a unit is on.
async fn by_unit(client: &Client, text: &str) -> anyhow::Result<Place> {
    let argument = Argument::new(text);
    let unit = match argument.is_unit_name() {
        true => client.unit(&argument.name).await?,
        false => None,
    };
    let unit = unit.ok_or(NoSuchThing("unit"))?;
    let mut places = remote::places(client, &unit, None).await?;
    ensure!(
        places.len() <= 1,
        "unit {} is on {} machines: name one with --machine",
        unit.name,
        places.len()
    );
    places
        .pop()
        .with_context(|| format!("unit {} is on no machine", unit.name))
}

#[cfg(test)]
mod tests {
    use super::command;
    use crate::args::{Cli, Command};

    /// The words of `fleetctl ssh LINE` that are no flags.
    fn words(line: &str) -> Vec<String> {
        let words = ["fleetctl", "ssh"].into_iter().chain(line.split(' '));
        match Cli::read(words.map(Into::into)).map(|cli| cli.command) {
            Ok(Some(Command::Ssh(options))) => options.words,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn what_is_run_there() {
        for (line, run) in [
            ("m", ""),
            ("m uptime", "uptime"),
            ("m ls -l -A -m x --full", "ls -l -A -m x --full"),
            ("m journalctl -full --help", "journalctl -full --help"),
            ("m -- ls -l", "ls -l"),
            ("-- m ls -l", "ls -l"),
            ("-A --ssh-port 2222 m ls", "ls"),
            // as scripts of old have them: flags of ours after the words
            ("m uptime --ssh-port 2222 --ssh-username=me", "uptime"),
            ("m --forward-agent uptime", "uptime"),
            ("m -- echo --ssh-port=2222", "echo --ssh-port=2222"),
        ] {
            assert_eq!(command(&words(line)[1..]).join(" "), run, "{line}");
        }
        for (line, run) in [
            ("--machine x -- echo x -- y", "y"),
            ("--machine=x echo -n y", "echo -n y"),
            ("-A -unit=u docker ps -a", "docker ps -a"),
            ("-Am x docker ps -m y", "docker ps -m y"),
        ] {
            assert_eq!(command(&words(line)).join(" "), run, "{line}");
        }
    }
}
