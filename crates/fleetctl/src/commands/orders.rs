//! What `submit`, `load`, `start`, `stop` and `unload` share: send what has to change, then wait.

use std::collections::HashSet;

use anyhow::Context;
use fleet::v1;
use fleet::v2::{PutResult, UnitStatus};
use unitfile::UnitFile;

use crate::args::Blocking;
use crate::client::{Client, ClientError, failure};
use crate::failure::{refusal, report};
use crate::output;
use crate::pending::Pending;
use crate::verdict::Goal;
use crate::wait::Wait;
use crate::watch::Watch;
use crate::wire;

/// One unit that has to change, or has to be waited for.
pub(crate) struct Order {
    /// Where it stood before.
    pub(crate) before: UnitStatus,
    /// Whether it is to run on every machine that fits.
    pub(crate) global: bool,
    /// The file to send along: the unit is new, or replaced.
    pub(crate) file: Option<UnitFile>,
}

impl Order {
    /// Whether there is something to send, rather than only to wait for.
    fn is_news(&self, goal: Goal) -> bool {
        self.file.is_some() || self.before.desired_state != goal.desired().as_str()
    }

    fn name(&self) -> &str {
        &self.before.name
    }

    fn body(&self, goal: Goal) -> v1::Unit {
        v1::Unit {
            name: self.name().to_owned(),
            desired_state: goal.desired().to_string(),
            options: self.file.as_ref().map(wire::options).unwrap_or_default(),
            ..v1::Unit::default()
        }
    }
}

/// Sends the orders, says which global units are on their way, and waits for the others.
/// The names of the units that did not get there come back; why has been said.
///
/// # Errors
/// When the server goes away.
pub(crate) async fn carry_out(
    client: &Client,
    goal: Goal,
    orders: &[Order],
    blocking: &Blocking,
    watch: Watch,
) -> anyhow::Result<HashSet<String>> {
    let watch = (!blocking.no_block).then_some(watch);
    let mut failed = send(client, goal, orders).await?;
    let accepted = orders.iter().filter(|order| !failed.contains(order.name()));
    let (globals, singles): (Vec<&Order>, Vec<&Order>) = accepted.partition(|order| order.global);
    say_triggered("global unit", goal, &globals);
    match watch {
        Some(watch) => failed.extend(wait(goal, blocking.block_attempts, &singles, watch).await?),
        None => say_triggered("unit", goal, &singles),
    }
    Ok(failed)
}

/// Sends the orders and says which units are new, and which were refused. The names of the latter come back.
///
/// # Errors
/// When the server goes away.
pub(crate) async fn send(
    client: &Client,
    goal: Goal,
    orders: &[Order],
) -> anyhow::Result<HashSet<String>> {
    let news: Vec<&Order> = orders.iter().filter(|order| order.is_news(goal)).collect();
    let bodies: Vec<v1::Unit> = news.iter().map(|order| order.body(goal)).collect();
    let results = client.put(&bodies).await.context(goal.complaint())?;
    let refused = news
        .iter()
        .zip(&results)
        .filter(|(order, result)| !is_accepted(goal, order, result));
    Ok(refused.map(|(order, _)| order.name().to_owned()).collect())
}

/// Whether the server took an order; says what there is to say of it.
fn is_accepted(goal: Goal, order: &Order, result: &PutResult) -> bool {
    let (name, sent) = (order.name(), order.file.is_some());
    match failure(result) {
        Some(error) => output::warn(&refusal(goal, name, sent, &error)),
        None if sent => output::say(&format!("Unit {name} inactive")),
        None => {}
    }
    failure(result).is_none()
}

fn say_triggered(what: &str, goal: Goal, orders: &[&Order]) {
    for order in orders.iter().filter(|order| order.is_news(goal)) {
        output::say(&format!(
            "Triggered {what} {} {}",
            order.name(),
            goal.verb()
        ));
    }
}

/// The names of the units that did not arrive; why has been said.
async fn wait(
    goal: Goal,
    rounds: i64,
    orders: &[&Order],
    mut watch: Watch,
) -> anyhow::Result<Vec<String>> {
    let mut wait = Wait::new(goal, rounds);
    for order in orders {
        let hash = order.file.as_ref().map(|file| file.hash().to_string());
        wait.add(order.name(), Pending::new(goal, &order.before, hash));
    }
    let failures: Result<_, ClientError> = wait.run(&mut watch).await;
    let failures = failures.context("Error waiting for units")?;
    report(goal, &failures);
    Ok(failures.into_iter().map(|failure| failure.name).collect())
}
