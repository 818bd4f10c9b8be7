//! `fleetctl why UNIT`: why it is where it is, or what keeps it from each machine.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context, bail};
use fleet::requirements::print_seconds;
use fleet::v2::{MachineVerdict, Obstacle, UnitStatus, Why};

use super::moves::old_home;
use crate::args::{Output, Why as Options};
use crate::client::Client;
use crate::names::Argument;
use crate::{legend, output, table};

pub(crate) async fn run(client: &Client, options: &Options) -> anyhow::Result<ExitCode> {
    let name = Argument::new(&options.unit).name;
    let why = client.why(&name).await;
    let why = why.with_context(|| format!("Error asking why Unit {name} is where it is"))?;
    let Some(why) = why else {
        bail!("Unit {name} does not exist.")
    };
    let text = match options.output {
        Output::Json => serde_json::to_string_pretty(&why)? + "\n",
        Output::Text => told(&why, options.full),
    };
    output::say(&text);
    Ok(ExitCode::SUCCESS)
}

fn told(why: &Why, full: bool) -> String {
    let mut text = format!("{}\n", standing(&why.status, full));
    text += &old_copy(why, full);
    text += &claim(why, full);
    if !why.machines.is_empty() {
        text += &format!("It asks for {}.\n", asked(why));
    }
    let nearest = why
        .machines
        .iter()
        .find(|verdict| verdict.machine_id == why.nearest_machine_id);
    if let Some(verdict) = nearest {
        text += &format!(
            "Nearest: on {}, {}.\n",
            place(verdict, full),
            cures(&verdict.obstacles)
        );
    }
    if !why.machines.is_empty() {
        text += &table::render(&lines(&why.machines, full));
    }
    text
}

/// Where the unit is and where it should be, in a sentence.
fn standing(status: &UnitStatus, full: bool) -> String {
    let (name, desired) = (&status.name, &status.desired_state);
    if name.contains("@.") {
        let instance = name.replacen("@.", "@1.", 1);
        return format!("{name} is a template: only its instances run, such as {instance}.");
    }
    if desired == "inactive" {
        return format!(
            "{name} should be nowhere: its desired state is inactive; \"fleetctl start {name}\" changes that."
        );
    }
    if !status.waiting.is_empty() {
        return format!("{name} should be {desired} and waits: {}.", status.waiting);
    }
    if status.global {
        let active = status
            .states
            .iter()
            .filter(|state| state.active == "active")
            .count();
        let scheduled = status.scheduled;
        return format!(
            "{name} should be {desired} on every machine that fits: {scheduled} do, it is active on {active}."
        );
    }
    let machine = legend::machine_at(&status.machine_id, &status.primary_ip, full);
    let state = status
        .states
        .iter()
        .find(|state| state.machine_id == status.machine_id);
    let state = state.map_or("nothing is known of it there yet".to_owned(), |state| {
        let problem = if state.problem.is_empty() {
            String::new()
        } else {
            format!(": {}", state.problem)
        };
        format!("{} ({}){problem}", state.active, state.sub)
    });
    format!(
        "{name} should be {desired} and is on {machine}: {state}. It stays there for as long as that machine may run it."
    )
}

/// Where a unit goes on that is to come up elsewhere first, and for how long.
fn old_copy(why: &Why, full: bool) -> String {
    let status = &why.status;
    let mut orders = why
        .asks
        .iter()
        .filter(|line| line.starts_with("MoveOrder="));
    if orders
        .next_back()
        .is_none_or(|order| order != "MoveOrder=start-first")
    {
        return String::new();
    }
    old_home(status).map_or_else(String::new, |machine| {
        let unit = &status.name;
        let (place, start) = (legend::machine(machine, full), legend::beginning(machine));
        format!(
            "The copy at {place}, where it was, goes on until this one is up (MoveOrder=start-first): \"fleetctl move {unit} {start}\" leaves it there.\n"
        )
    })
}

/// Who else may be running a fenced unit, for how long, and what ends that sooner.
fn claim(why: &Why, full: bool) -> String {
    let Some(claim) = &why.claim else {
        return String::new();
    };
    let (unit, machine) = (&why.status.name, &claim.machine_id);
    let (place, start) = (legend::machine(machine, full), legend::beginning(machine));
    let time = print_seconds(claim.seconds);
    match claim.live {
        true => format!(
            "{place} is there and has not said that it is down there (Fence=); its stop takes {time} at most: \"fleetctl ssh {start} systemctl status {unit}\" shows how far that is.\n"
        ),
        false => format!(
            "{place} is away and may be running it still (Fence=), for {time} at most; it is over sooner if that machine is booted anew, or is back and says that the unit is down.\n"
        ),
    }
}

fn asked(why: &Why) -> String {
    if why.asks.is_empty() {
        "nothing: any machine will do".to_owned()
    } else {
        why.asks.join(", ")
    }
}

fn cures(obstacles: &[Obstacle]) -> String {
    let cures: Vec<&str> = obstacles
        .iter()
        .map(|obstacle| obstacle.cure.as_str())
        .collect();
    cures.join(" and ")
}

/// One line for machines with one fate, in order of the first of them.
fn lines(machines: &[MachineVerdict], full: bool) -> Vec<Vec<String>> {
    let mut fates: BTreeMap<String, Vec<&MachineVerdict>> = BTreeMap::new();
    for verdict in machines {
        fates.entry(fate(verdict)).or_default().push(verdict);
    }
    let mut fates: Vec<_> = fates.into_iter().collect();
    fates.sort_by(|(_, a), (_, b)| a[0].machine_id.cmp(&b[0].machine_id));
    let header = ["MACHINE", "UNITS", "VERDICT"].map(str::to_owned).to_vec();
    let line = |(fate, machines): (String, Vec<&MachineVerdict>)| match machines.as_slice() {
        [one] => vec![place(one, full), one.units.to_string(), fate],
        several => vec![format!("{} machines", several.len()), span(several), fate],
    };
    std::iter::once(header)
        .chain(fates.into_iter().map(line))
        .collect()
}

/// What a machine is for the unit.
fn fate(verdict: &MachineVerdict) -> String {
    match (verdict.scheduled, verdict.obstacles.as_slice()) {
        (true, _) => "has it".to_owned(),
        (false, []) if verdict.failed => "fits, but it kept failing there".to_owned(),
        (false, []) => "fits".to_owned(),
        (false, obstacles) => {
            let reasons: Vec<&str> = obstacles
                .iter()
                .map(|obstacle| obstacle.reason.as_str())
                .collect();
            reasons.join("; ")
        }
    }
}

/// The fewest and the most units on these machines.
fn span(machines: &[&MachineVerdict]) -> String {
    let units = machines.iter().map(|verdict| verdict.units);
    let (least, most) = (units.clone().min().unwrap_or(0), units.max().unwrap_or(0));
    if least == most {
        least.to_string()
    } else {
        format!("{least}-{most}")
    }
}

fn place(verdict: &MachineVerdict, full: bool) -> String {
    legend::machine_at(&verdict.machine_id, &verdict.primary_ip, full)
}
