//! `fleetctl what-if`: what would move and what would wait, if things were otherwise.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use fleet::requirements::print_seconds;
use fleet::v1;
use fleet::v2::{WhatIf, WhatThen};
use unitfile::UnitFile;

use super::exit_code;
use crate::args::{Output, WhatIf as Options};
use crate::client::Client;
use crate::legend::{self, Addresses};
use crate::locate::{Action, Locator};
use crate::names::{Argument, arguments};
use crate::progress::enumerate;
use crate::{output, remote, table, wire};

pub(crate) async fn run(client: &Client, options: &Options) -> anyhow::Result<ExitCode> {
    let machines = client.machines().await?;
    let question = question(client, options, &machines).await?;
    let answer = client
        .what_if(&question)
        .await
        .context("Error asking what would be")?;
    let worse = answer
        .waiting
        .keys()
        .any(|unit| !answer.waiting_anyway.contains(unit));
    output::say(&match options.output {
        Output::Json => serde_json::to_string_pretty(&answer)? + "\n",
        Output::Text => told(&answer, &Addresses::of(machines), options.full),
    });
    Ok(exit_code(!worse))
}

async fn question(
    client: &Client,
    options: &Options,
    machines: &[v1::Machine],
) -> anyhow::Result<WhatIf> {
    let mut question = WhatIf {
        add: options.add,
        units: units(client, &options.submit).await?,
        ..WhatIf::default()
    };
    for text in &options.lose {
        question.lose.push(lost(client, text, machines).await?);
    }
    for text in &options.drain {
        question
            .drain
            .extend(drained(client, text, machines).await?);
    }
    if options.add > 0 {
        question.like = remote::member(client, &options.like)
            .await
            .context(options.like.clone())?
            .id;
    }
    let asks = question != WhatIf::default();
    ensure!(asks, "What if what? See fleetctl help what-if");
    Ok(question)
}

/// A machine that is there, or one that is away: of that there is more to say.
async fn lost(client: &Client, text: &str, machines: &[v1::Machine]) -> anyhow::Result<String> {
    let place = remote::known(client, text).await;
    let id = place.with_context(|| text.to_owned())?.id;
    let there = machines.iter().any(|machine| machine.id == id);
    if !there
        && client
            .away()
            .await?
            .iter()
            .any(|away| away.machine_id == id)
    {
        let name = legend::machine(&id, false);
        output::warn(&format!(
            "Machine {name} is away already: this is what \"fleetctl forget\" would do. \"fleetctl why\" tells how long a unit waits for it."
        ));
    }
    Ok(id)
}

/// A machine by its id, or all of one metadata.
async fn drained(
    client: &Client,
    text: &str,
    machines: &[v1::Machine],
) -> anyhow::Result<Vec<String>> {
    let Some((key, value)) = text.split_once('=') else {
        return Ok(vec![
            remote::member(client, text)
                .await
                .context(text.to_owned())?
                .id,
        ]);
    };
    let has = |machine: &&v1::Machine| {
        machine
            .metadata
            .get(key)
            .is_some_and(|found| found == value)
    };
    let found: Vec<String> = machines
        .iter()
        .filter(has)
        .map(|machine| machine.id.clone())
        .collect();
    ensure!(!found.is_empty(), "no machine has metadata {text}");
    Ok(found)
}

/// The units as `start --replace` would have them: by the file that lies here, else as the cluster knows them, else by
/// their template.
async fn units(client: &Client, texts: &[String]) -> anyhow::Result<Vec<v1::Unit>> {
    let mut units = Vec::new();
    for argument in arguments(texts) {
        units.push(v1::Unit {
            options: wire::options(&file(client, &argument).await?),
            name: argument.name,
            desired_state: "launched".to_owned(),
            ..v1::Unit::default()
        });
    }
    Ok(units)
}

async fn file(client: &Client, argument: &Argument) -> anyhow::Result<UnitFile> {
    if let Ok(bytes) = std::fs::read(&argument.path) {
        return UnitFile::parse(&bytes).with_context(|| argument.path.display().to_string());
    }
    if let Some(unit) = client.unit(&argument.name).await? {
        return wire::file(&unit).with_context(|| format!("Unit {}", unit.name));
    }
    let (mut located, _) = Locator::new(client, None)
        .all(std::slice::from_ref(argument))
        .await?;
    match located.pop().map(|located| located.action) {
        Some(Action::Send(file)) => Ok(file),
        _ => bail!("there is no unit {}", argument.name),
    }
}

fn told(answer: &WhatThen, addresses: &Addresses, full: bool) -> String {
    let mut text = String::new();
    if !answer.moves.is_empty() {
        let header = ["UNIT", "FROM", "TO", "WHY"].map(str::to_owned).to_vec();
        let place = |id: &str| match id.starts_with("new-") {
            true => id.to_owned(),
            false => addresses.legend(id, full),
        };
        let rows = answer.moves.iter().map(|row| {
            let why = if row.reason.is_empty() {
                "it is not there yet"
            } else {
                &row.reason
            };
            vec![
                row.unit.clone(),
                place(&row.from),
                place(&row.to),
                why.to_owned(),
            ]
        });
        text += &table::render(&std::iter::once(header).chain(rows).collect::<Vec<_>>());
    }
    for (unit, why) in &answer.waiting {
        let anyway = if answer.waiting_anyway.contains(unit) {
            ", as it does now"
        } else {
            ""
        };
        text += &format!("{unit} would wait{anyway}: {why}\n");
    }
    text += &holds(answer, addresses, full);
    if text.is_empty() {
        text += "Nothing would change.\n";
    }
    text
}

/// A line for those that would wait for one machine for the same reason.
fn holds(answer: &WhatThen, addresses: &Addresses, full: bool) -> String {
    let mut alike: BTreeMap<(&str, &str, Option<u64>), Vec<&str>> = BTreeMap::new();
    for hold in &answer.holds {
        let fate = (hold.machine_id.as_str(), hold.reason.as_str(), hold.seconds);
        alike.entry(fate).or_default().push(&hold.unit);
    }
    let line = |((machine, reason, seconds), units): (_, Vec<&str>)| {
        let machine = addresses.legend(machine, full);
        let long = match seconds {
            Some(seconds) => format!("for {} at most", print_seconds(seconds)),
            None => "until it is back or given up".to_owned(),
        };
        format!(
            "{} would wait for {machine} first, {long} ({reason}).\n",
            enumerate(&units)
        )
    };
    alike.into_iter().map(line).collect()
}
