//! Leader election and the loop: watch, plan, commit.
//!
//! Every machine that may lead runs [`run`]. One of them leads; the others sleep until its record goes and
//! then take over at once. What the leader decides is [`fleet::schedule::plan`]; here it is only
//! decided when to ask it: at the first event, with all that arrived while the last plan was written.

mod clock;
mod lead;
mod log;
mod status;
mod trim;

use std::error::Error;
use std::time::Duration;

use registry::{Backoff, Leadership, MemberError, Membership, Registry};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use lead::End;

pub use status::{Status, Tasks, Trouble};

/// Pauses after a failure.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What can be set about the engine.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often the leader looks at its picture although no event woke it. A picture that has not changed since
    /// it was planned costs nothing.
    pub reconcile_interval: Duration,
    /// When more than so many percent of the machines, and at least two, are lost at once, their units wait for them. 100: never.
    pub brake_percent: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            reconcile_interval: Duration::from_secs(2),
            brake_percent: 50,
        }
    }
}

/// Stands for election, and leads when elected, until `shutdown` is cancelled: then gives the leadership up.
/// What it does shows in `status`.
///
/// # Errors
/// [`MemberError::NotMember`] when the membership is over: begin again with the next one.
pub async fn run(
    registry: &Registry,
    membership: &Membership,
    options: &Options,
    status: &watch::Sender<Status>,
    shutdown: &CancellationToken,
) -> Result<(), MemberError> {
    let mut backoff = Backoff::new(SHORTEST_PAUSE, LONGEST_PAUSE);
    loop {
        let mut leadership = tokio::select! {
            elected = elected(membership) => elected?,
            () = shutdown.cancelled() => return Ok(()),
        };
        let begun = begin(&leadership, status);
        let end = tokio::select! {
            end = lead::lead(registry, &mut leadership, membership, options, status) => end,
            () = shutdown.cancelled() => End::Shutdown,
        };
        status.send_modify(|status| status.ended(&end));
        if let End::Shutdown = end {
            resign(leadership).await;
            return Ok(());
        }
        tracing::warn!(error = &end as &dyn Error, "this machine stopped leading");
        if begun.elapsed() > LONGEST_PAUSE {
            backoff.reset();
        }
        shutdown.run_until_cancelled(backoff.wait()).await;
    }
}

fn begin(leadership: &Leadership, status: &watch::Sender<Status>) -> Instant {
    tracing::info!(
        revision = leadership.revision,
        "this machine leads the cluster"
    );
    status.send_modify(Status::elected);
    Instant::now()
}

/// Waits until this machine leads.
async fn elected(membership: &Membership) -> Result<Leadership, MemberError> {
    let mut backoff = Backoff::new(SHORTEST_PAUSE, LONGEST_PAUSE);
    loop {
        match membership.campaign().await {
            Ok(Some(leadership)) => return Ok(leadership),
            Ok(None) => membership.leader_gone().await,
            Err(MemberError::Registry(error)) => {
                tracing::warn!(error = &error as &dyn Error, "cannot stand for election");
                backoff.wait().await;
            }
            Err(over) => return Err(over),
        }
    }
}

async fn resign(leadership: Leadership) {
    match leadership.resign().await {
        Ok(()) => tracing::info!("this machine gave the leadership up"),
        Err(error) => {
            let error: &dyn Error = &error;
            tracing::warn!(
                error,
                "giving the leadership up failed: it ends with the machine's lease"
            );
        }
    }
}
