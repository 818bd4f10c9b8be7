//! A batch: the unit files that one round takes away and writes, and the one reload that they may need.
//!
//! When a reload is needed was tried on systemd 252: a new file is found at the unit's first start and
//! a changed one at its next, as long as systemd has forgotten the unit meanwhile; a unit that is still in memory
//! says `NeedDaemonReload`. A new link in the `.wants` of a unit in memory is not seen either, and nothing says so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use fleet::{Assignment, Requirements};
use tokio::runtime::{Handle, RuntimeFlavor};
use unitfile::{Hash, UnitFile, UnitName};

use crate::Agent;
use crate::failure::{Failure, chain};
use crate::systemd::{Status, Systemd, SystemdError};
use crate::turn::Others;

/// Unit files to take away and to write.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) removes: Vec<UnitName>,
    pub(crate) writes: BTreeMap<UnitName, Hash>,
    /// Units to start once all files are in place.
    pub(crate) starts: BTreeMap<UnitName, Assignment>,
    /// What these must not run beside.
    pub(crate) others: Others,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    pub(crate) outcomes: Outcomes,
    /// Why units may not be started yet whose files are in place.
    pub(crate) vetoes: BTreeMap<UnitName, Failure>,
}

/// What a batch did to a unit's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It and all that belongs to it are gone.
    Removed,
    /// It is there, with this hash; what could not be linked, if anything.
    Written(Hash, Option<String>),
    /// It was there already.
    Kept,
}

pub(crate) type Outcomes = BTreeMap<UnitName, Result<Outcome, Failure>>;

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.removes.is_empty() && self.writes.is_empty() && self.starts.is_empty()
    }

    /// Puts the files in place, so that every unit of the batch can be started. Each unit's failure is its own.
    pub(crate) async fn prepare<S: Systemd>(self, agent: &Arc<Agent<S>>) -> Prepared {
        let mut outcomes = remove(agent, self.removes).await;
        outcomes.extend(write(agent, &self.writes).await);
        let links = link(agent, &mut outcomes).await;
        let starting = self.starts.keys();
        let wanted = starting.map(|name| (name.clone(), agent.files.requirements(name)));
        let wanted: BTreeMap<UnitName, Requirements> = wanted.collect();
        let mut vetoes = agent.others_first(&self.others, &wanted).await;
        let claimed = self.starts.iter().filter(|(name, _)| {
            let ready = !matches!(outcomes.get(*name), Some(Err(_))) && !vetoes.contains_key(*name);
            ready && wanted.get(*name).is_some_and(|wanted| wanted.fence)
        });
        let (fenced, denied) = fence(agent, claimed.collect()).await;
        vetoes.extend(denied);
        let anew = !fenced.is_empty() && agent.fence.is_unread();
        if let Err(failure) = reload_if_needed(agent, &mut outcomes, &links, anew).await {
            // what systemd has not bound to the lease must not start
            vetoes.extend(fenced.into_iter().map(|name| (name, failure.clone())));
        }
        for name in self.starts.into_keys() {
            outcomes.entry(name).or_insert(Ok(Outcome::Kept));
        }
        Prepared { outcomes, vetoes }
    }
}

/// Claims fenced units that are about to start; gives those that are ours, and why others are not.
async fn fence<S: Systemd>(
    agent: &Agent<S>,
    starts: Vec<(&UnitName, &Assignment)>,
) -> (Vec<UnitName>, BTreeMap<UnitName, Failure>) {
    let (mut fenced, mut vetoes) = (Vec::new(), BTreeMap::new());
    for (name, assignment) in starts {
        match agent.enter_fence(name, assignment).await {
            Ok(true) => fenced.push(name.clone()),
            Ok(false) => {}
            Err(failure) => drop(vetoes.insert(name.clone(), failure)),
        }
    }
    (fenced, vetoes)
}

async fn remove<S: Systemd>(agent: &Agent<S>, names: Vec<UnitName>) -> Outcomes {
    if names.is_empty() {
        return Outcomes::new();
    }
    let states = match agent.systemd.states(&names).await {
        Ok(states) => states,
        Err(error) => return all_failed(names, &Failure::of_systemd("remove", &error)),
    };
    disable(agent, &names).await;
    let mut outcomes = Outcomes::new();
    for name in names {
        let removed = remove_one(agent, &name, states.get(&name)).await;
        outcomes.insert(name, removed.map(|()| Outcome::Removed));
    }
    outcomes
}

async fn remove_one<S: Systemd>(
    agent: &Agent<S>,
    name: &UnitName,
    status: Option<&Status>,
) -> Result<(), Failure> {
    if status.is_some_and(Status::is_up) {
        agent.systemd.changes().note(name.clone());
        return Err(Failure::passing(
            "something started it again before it was removed",
        ));
    }
    tracing::info!(unit = %name, "removing unit file");
    agent.files.remove(name)?;
    let forgotten = agent.systemd.reset_failed(name).await;
    forgotten.map_err(|error| Failure::of_systemd("reset-failed", &error))
}

fn all_failed(names: impl IntoIterator<Item = UnitName>, failure: &Failure) -> Outcomes {
    names
        .into_iter()
        .map(|name| (name, Err(failure.clone())))
        .collect()
}

/// Links of files that go: left behind they would dangle, which systemd ignores, so a failure is no more
/// than a warning.
async fn disable<S: Systemd>(agent: &Agent<S>, names: &[UnitName]) {
    if agent.systemd.disable(names).await.is_ok() {
        return;
    }
    for name in names {
        if let Err(error) = agent.systemd.disable(std::slice::from_ref(name)).await {
            tracing::warn!(unit = %name, error = %chain(&error), "removing links");
        }
    }
}

async fn write<S: Systemd>(agent: &Arc<Agent<S>>, writes: &BTreeMap<UnitName, Hash>) -> Outcomes {
    let mut outcomes = the_machines_own(agent, writes).await;
    let mut writes = writes.clone();
    writes.retain(|name, _| !outcomes.contains_key(name));
    if writes.is_empty() {
        return outcomes;
    }
    let hashes: BTreeSet<Hash> = writes.values().copied().collect();
    let hashes: Vec<Hash> = hashes.into_iter().collect();
    outcomes.extend(match agent.registry.files(&hashes).await {
        Ok(files) => write_all(agent, writes, files).await,
        Err(error) => all_failed(writes.into_keys(), &Failure::passing(chain(&error))),
    });
    outcomes
}

/// Refuses units that run on this machine without our doing, such as its sshd: a file of ours would take the
/// place of theirs.
async fn the_machines_own<S: Systemd>(
    agent: &Agent<S>,
    writes: &BTreeMap<UnitName, Hash>,
) -> Outcomes {
    let foreign = |name: &&UnitName| !agent.files.is_ours(name) && agent.is_elsewhere(name);
    let new: Vec<UnitName> = writes.keys().filter(foreign).cloned().collect();
    match up_already(agent, &new).await {
        Ok(up) => all_failed(
            up,
            &Failure::passing(
                "it runs on this machine already, and not by fleet's doing".to_owned(),
            ),
        ),
        Err(error) => all_failed(new, &Failure::of_systemd("look", &error)),
    }
}

async fn up_already<S: Systemd>(
    agent: &Agent<S>,
    names: &[UnitName],
) -> Result<Vec<UnitName>, SystemdError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let states = agent.systemd.states(names).await?;
    let up = states.into_iter().filter(|(_, status)| status.is_up());
    Ok(up.map(|(name, _)| name).collect())
}

async fn write_all<S: Systemd>(
    agent: &Arc<Agent<S>>,
    writes: BTreeMap<UnitName, Hash>,
    files: BTreeMap<Hash, Arc<UnitFile>>,
) -> Outcomes {
    let names: Vec<UnitName> = writes.keys().cloned().collect();
    let on = Arc::clone(agent);
    let writing = aside(move || {
        let write = |(name, hash)| {
            let written = write_one(&on, &name, hash, files.get(&hash));
            (name, written)
        };
        writes.into_iter().map(write).collect()
    });
    writing.await.unwrap_or_else(|error| {
        all_failed(
            names,
            &Failure::passing(format!("writing unit files: {error}")),
        )
    })
}

/// Does what may take a while where it holds nobody up. A runtime of a single thread is a simulation's or a test's:
/// there it is done on the spot, so that no other thread's pace decides what happens next.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => Ok(work()),
        _ => tokio::task::spawn_blocking(work).await,
    }
}

fn write_one<S: Systemd>(
    agent: &Agent<S>,
    name: &UnitName,
    hash: Hash,
    file: Option<&Arc<UnitFile>>,
) -> Result<Outcome, Failure> {
    let missing = || Failure::passing(format!("unit file {hash} is not in the registry"));
    tracing::info!(unit = %name, %hash, "writing unit file");
    let file = file.ok_or_else(missing)?;
    agent.files.write(name, file)?;
    if !Requirements::of(name, file).fence {
        agent.files.unfence(name)?;
    }
    Ok(Outcome::Written(hash, None))
}

/// Makes the links of the files that were written; gives those that are new.
async fn link<S: Systemd>(agent: &Agent<S>, outcomes: &mut Outcomes) -> Vec<PathBuf> {
    let written = written(outcomes);
    make_known(agent, outcomes, &written).await;
    let installable = written
        .into_iter()
        .filter(|name| agent.files.has_install(name));
    enable(agent, outcomes, &installable.collect::<Vec<_>>()).await
}

/// Tells systemd of files that are outside of where it looks.
async fn make_known<S: Systemd>(agent: &Agent<S>, outcomes: &mut Outcomes, written: &[UnitName]) {
    if agent.in_unit_path || written.is_empty() {
        return;
    }
    for name in written {
        if let Err(error) = agent.systemd.link(&[agent.files.path(name)]).await {
            let failure = Failure::of_systemd("link", &error);
            outcomes.insert(name.clone(), Err(failure));
        }
    }
}

async fn enable<S: Systemd>(
    agent: &Agent<S>,
    outcomes: &mut Outcomes,
    names: &[UnitName],
) -> Vec<PathBuf> {
    if names.is_empty() {
        return Vec::new();
    }
    if let Ok(links) = agent.systemd.enable(names).await {
        return links;
    }
    let mut links = Vec::new();
    for name in names {
        match agent.systemd.enable(std::slice::from_ref(name)).await {
            Ok(made) => links.extend(made),
            Err(error) => note_problem(outcomes, name, &error),
        }
    }
    links
}

/// A unit whose links cannot be made still runs.
fn note_problem(outcomes: &mut Outcomes, name: &UnitName, error: &SystemdError) {
    if let Some(Ok(Outcome::Written(_, problem))) = outcomes.get_mut(name) {
        *problem = Some(format!("enable failed: {}", chain(error)));
    }
}

async fn reload_if_needed<S: Systemd>(
    agent: &Agent<S>,
    outcomes: &mut Outcomes,
    links: &[PathBuf],
    anew: bool,
) -> Result<(), Failure> {
    let done = outcomes.iter().filter(|(_, outcome)| outcome.is_ok());
    let touched: Vec<UnitName> = done.map(|(name, _)| name.clone()).collect();
    let reloaded = async {
        if anew || needs_reload(agent, &touched, links).await? {
            tracing::info!("reloading systemd");
            agent.counters.reloads.fetch_add(1, Relaxed);
            agent.systemd.reload().await?;
            agent.fence.set_read(true);
        }
        Ok(())
    };
    reloaded.await.map_err(|error| {
        let failure = Failure::of_systemd("reload", &error);
        outcomes.extend(all_failed(touched, &failure));
        failure
    })
}

async fn needs_reload<S: Systemd>(
    agent: &Agent<S>,
    touched: &[UnitName],
    links: &[PathBuf],
) -> Result<bool, SystemdError> {
    if touched.is_empty() {
        return Ok(false);
    }
    if !agent.systemd.stale(touched).await?.is_empty() {
        return Ok(true);
    }
    let linked: BTreeSet<UnitName> = links.iter().filter_map(|link| linked_unit(link)).collect();
    let linked: Vec<UnitName> = linked.into_iter().collect();
    let in_memory: Vec<UnitName> = agent
        .systemd
        .in_memory(&linked)
        .await?
        .into_iter()
        .collect();
    let states = agent.systemd.states(&in_memory).await?;
    // what an active target wants has been pulled in already; it is us who start the rest
    let settled = |name: &UnitName| name.suffix() == "target" && states[name].is_up();
    Ok(!in_memory
        .iter()
        .all(|name| states.contains_key(name) && settled(name)))
}

/// The unit that a link is for: `x` of `…/x.wants/y`, or the alias itself.
fn linked_unit(link: &Path) -> Option<UnitName> {
    let folder = link.parent()?.file_name()?.to_str()?;
    let wanting = [".wants", ".requires", ".upholds"]
        .iter()
        .find_map(|kind| folder.strip_suffix(kind));
    let name = wanting.or(link.file_name()?.to_str())?;
    UnitName::parse(name).ok()
}

fn written(outcomes: &Outcomes) -> Vec<UnitName> {
    let written = |outcome: &Result<Outcome, _>| matches!(outcome, Ok(Outcome::Written(..)));
    let names = outcomes.iter().filter(|(_, outcome)| written(outcome));
    names.map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_tells_for_which_unit_it_is() {
        let unit = |link: &str| linked_unit(Path::new(link)).map(|name| name.to_string());
        let wants = unit("/run/systemd/system/multi-user.target.wants/web.service");
        assert_eq!(wants.as_deref(), Some("multi-user.target"));
        assert_eq!(
            unit("/run/systemd/system/www.service").as_deref(),
            Some("www.service")
        );
    }
}
