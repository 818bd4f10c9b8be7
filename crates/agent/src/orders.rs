//! Orders for single units: stop, and start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use fleet::handover::Outlook;
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc::UnboundedSender;
use unitfile::UnitName;

use crate::Agent;
use crate::batch::Prepared;
use crate::failure::{Failure, chain};
use crate::systemd::{Job, JobResult, Status, Systemd, SystemdError};

/// What the loop hears from the orders that it gave.
#[derive(Debug)]
pub(crate) enum News {
    /// A unit is down, or would not go down.
    Stopped(UnitName, Result<Status, Failure>),
    /// The files of a batch are in place, or not; and which units shall be started next.
    Prepared(Prepared, BTreeSet<UnitName>),
    /// How units fare elsewhere that are kept here until they are up there.
    Outlooks(BTreeMap<UnitName, Outlook>),
    /// Fenced units that run here and are not ours to run.
    Strays(Vec<UnitName>),
    /// systemd took a unit's start job, or refused it.
    Started(UnitName, Result<(), Failure>),
    /// A start job ended.
    StartEnded(UnitName, JobResult),
}

/// Stops units side by side and reports each. The stop jobs of sockets, timers and paths are queued before
/// all others, so that nothing starts again what goes down.
pub(crate) async fn stop<S: Systemd>(
    agent: &Agent<S>,
    names: Vec<UnitName>,
    mut report: impl FnMut(UnitName, Result<Status, Failure>),
) {
    for name in &names {
        // should this process not see the end of it, the next one shall know whose doing it was
        if let Err(error) = agent.files.mark_stopping(name) {
            tracing::warn!(unit = %name, error = %chain(&error), "a mark is not written");
        }
    }
    let (triggers, others): (Vec<_>, Vec<_>) = names.into_iter().partition(is_trigger);
    let queued = join_all(triggers.iter().map(|name| agent.systemd.stop(name))).await;
    let triggers = triggers.into_iter().zip(queued);
    let mut all = FuturesUnordered::new();
    all.extend(triggers.map(|(name, job)| end_of_stop(agent, name, Some(job))));
    all.extend(
        others
            .into_iter()
            .map(|name| end_of_stop(agent, name, None)),
    );
    while let Some((name, result)) = all.next().await {
        report(name, result);
    }
}

/// Has a unit started, and reports when its job is queued and when it ended.
pub(crate) async fn start<S: Systemd>(
    agent: Arc<Agent<S>>,
    name: UnitName,
    news: UnboundedSender<News>,
) {
    tracing::info!(unit = %name, "starting");
    agent.counters.starts.fetch_add(1, Relaxed);
    // the loop may have ended meanwhile; then nobody needs to hear
    match agent.systemd.start(&name).await {
        Ok(job) => {
            let marked = agent.files.mark(&name).map_err(Failure::from);
            let _ = news.send(News::Started(name.clone(), marked));
            let _ = news.send(News::StartEnded(name, job.result().await));
        }
        Err(error) => {
            let failure = Failure::of_systemd("start", &error);
            let _ = news.send(News::Started(name, Err(failure)));
        }
    }
}

/// Stops one unit, unless its job is queued already, and waits until it is down.
async fn end_of_stop<S: Systemd>(
    agent: &Agent<S>,
    name: UnitName,
    queued: Option<Result<Job, SystemdError>>,
) -> (UnitName, Result<Status, Failure>) {
    tracing::info!(unit = %name, "stopping");
    agent.counters.stops.fetch_add(1, Relaxed);
    let job = match queued {
        Some(job) => job,
        None => agent.systemd.stop(&name).await,
    };
    let down = wait_until_down(agent, &name, job).await;
    (name, down)
}

async fn wait_until_down<S: Systemd>(
    agent: &Agent<S>,
    name: &UnitName,
    job: Result<Job, SystemdError>,
) -> Result<Status, Failure> {
    let failed = |error| Failure::of_systemd("stop", &error);
    let result = job.map_err(failed)?.result().await;
    let states = agent.systemd.states(std::slice::from_ref(name)).await;
    match states.map_err(failed)?.remove(name) {
        Some(status) if !status.is_up() => {
            agent.files.unmark(name)?;
            Ok(status)
        }
        _ => Err(Failure::passing(format!(
            "stop job ended as {result}, but the unit is still up"
        ))),
    }
}

fn is_trigger(name: &UnitName) -> bool {
    matches!(name.suffix(), "socket" | "timer" | "path")
}
