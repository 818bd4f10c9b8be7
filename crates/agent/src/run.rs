//! An agent's life: it works, and may leave in good order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fleet::MachineId;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use registry::Membership;
use tokio::sync::{mpsc, watch};
use unitfile::UnitName;

use crate::batch::Batch;
use crate::failure::Failure;
use crate::orders;
use crate::round::Rounds;
use crate::systemd::{Status, Systemd};
use crate::{Agent, AgentError};

impl<S: Systemd> Agent<S> {
    /// Works until the future is dropped, which stops no unit and undoes nothing. Goes on with every new
    /// membership that `memberships` brings; while one is lost, units run on and changes wait.
    ///
    /// # Errors
    /// The records of earlier work cannot be read: to begin without them would leave units running that
    /// nobody watches.
    pub async fn run(
        self: &Arc<Self>,
        memberships: watch::Receiver<Membership>,
    ) -> Result<(), AgentError> {
        let mut rounds = Rounds::adopt(self, memberships.clone()).await?;
        let publish = self.outbox.publish(memberships.clone());
        let fence = self.keep_fence(memberships, rounds.reports());
        tokio::join!(Box::pin(rounds.run()), Box::pin(publish), Box::pin(fence));
        Ok(())
    }

    /// Leaves in good order: stops all units of ours side by side, waits for their ends for `bound` at most,
    /// and removes their files. What is to be up elsewhere before is waited for half of that time, if this is a member of the cluster,
    /// `here`. Tells `stopped` of each unit as soon as it is down. Gives the units that would not go down in time; their files stay, for the
    /// next start of the agent to deal with. To be called when [`Agent::run`] has ended.
    ///
    /// # Errors
    /// The records cannot be read.
    pub async fn leave(
        self: &Arc<Self>,
        here: Option<&MachineId>,
        bound: Duration,
        mut stopped: impl FnMut(&UnitName),
    ) -> Result<BTreeSet<UnitName>, AgentError> {
        let mut left: BTreeSet<UnitName> = self.files.scan()?.into_keys().collect();
        let mut down = Vec::new();
        let (report, mut ends) = mpsc::unbounded_channel();
        let stops = Box::pin(self.stop_all(here, left.clone(), bound / 2, report));
        let take = async {
            let mut releases = FuturesUnordered::new();
            loop {
                let (name, result) = tokio::select! {
                    Some(end) = ends.recv() => end,
                    Some(()) = releases.next() => continue,
                    else => return,
                };
                match result {
                    Ok(_) => {
                        stopped(&name);
                        down.push(name.clone());
                        releases.push(async move { self.leave_fence(&name).await });
                    }
                    Err(failure) => {
                        tracing::warn!(unit = %name, problem = failure.problem, "not stopped");
                    }
                }
            }
        };
        let all = async { tokio::join!(stops, take) };
        if tokio::time::timeout(bound, all).await.is_err() {
            tracing::warn!(?bound, "some units did not stop in time");
        }
        let batch = Batch {
            removes: down,
            ..Batch::default()
        };
        let removed = Box::pin(batch.prepare(self)).await.outcomes;
        left.retain(|name| !matches!(removed.get(name), Some(Ok(_))));
        Ok(left)
    }

    /// Stops units, each as it asks to be stopped, and reports each that is down.
    async fn stop_all(
        &self,
        here: Option<&MachineId>,
        units: BTreeSet<UnitName>,
        bound: Duration,
        report: mpsc::UnboundedSender<(UnitName, Result<Status, Failure>)>,
    ) {
        let first = units.iter().filter(|name| self.files.starts_first(name));
        let first: Vec<UnitName> = first.filter(|_| here.is_some()).cloned().collect();
        // what is not up there need not go on; nor what systemd does not speak of
        let states = self.systemd.states(&first).await.unwrap_or_default();
        let is_kept = |name: &UnitName| states.get(name).is_some_and(Status::is_up);
        let (kept, others): (BTreeSet<UnitName>, BTreeSet<UnitName>) =
            units.into_iter().partition(is_kept);
        let told = report.clone();
        let tell = move |name, result| drop(told.send((name, result)));
        let others = orders::stop(self, others.into_iter().collect(), tell);
        let kept = async {
            if let Some(here) = here {
                self.stop_when_up_elsewhere(here, kept, bound, report).await;
            }
        };
        tokio::join!(others, kept);
    }

    /// Whether fenced units of ours may be running, or may have been started before this agent and not been found yet.
    pub fn may_run_fenced(&self) -> bool {
        let files = self.files.scan().unwrap_or_default();
        let mut started = files.iter().filter(|(_, found)| found.launched);
        self.fence.holds_any() || started.any(|(name, _)| self.files.fenced(name).is_some())
    }
}
