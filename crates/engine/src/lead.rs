//! What the leader does: keep the schedule as the plan wants it.

use std::time::Instant;

use fleet::Cluster;
use fleet::cluster::Touched;
use fleet::schedule::{Plan, Planner};
use registry::{CommitError, Leadership, Membership, Mirror, Registry};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::{Options, Status, log};

/// Why a machine stopped leading.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// Another machine leads, or none.
    #[error("another machine took over, or the record was taken away")]
    Deposed,
    /// The schedule could not be written.
    #[error("the schedule could not be written")]
    Failed(#[source] CommitError),
    /// fleetd ends.
    #[error("fleetd ends")]
    Shutdown,
}

/// Plans and commits until that is over. Losing the future loses nothing: each transaction is whole.
pub(crate) async fn lead(
    registry: &Registry,
    leadership: &mut Leadership,
    membership: &Membership,
    options: &Options,
    status: &watch::Sender<Status>,
) -> End {
    let mut mirror = registry.mirror().await;
    let mut planner = Planner::default();
    let mut touched = Touched::Everything;
    let mut tick = interval(options.reconcile_interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut planned = None;
    loop {
        if mirror.cluster().leader.as_ref() != Some(&membership.machine.id) {
            return End::Deposed;
        }
        let seen = decisive(&mirror);
        if planned != Some(seen) {
            planned = Some(seen);
            let plan = make_plan(&mut planner, mirror.cluster(), &touched, status);
            match commit(&mut mirror, leadership, &plan, status).await {
                Ok(then) => touched = then,
                Err(end) => return end,
            }
        }
        tokio::select! {
            news = mirror.changed() => touched.merge(news),
            _ = tick.tick() => {}
        }
    }
}

/// The revision that a new plan may depend on. Who is moved next off a machine that is being drained depends on what
/// systemd says of those before.
fn decisive(mirror: &Mirror) -> i64 {
    match mirror.cluster().is_draining() {
        true => mirror.cluster().revision,
        false => mirror.decisive(),
    }
}

fn make_plan(
    planner: &mut Planner,
    cluster: &Cluster,
    touched: &Touched,
    status: &watch::Sender<Status>,
) -> Plan {
    let begun = Instant::now();
    let plan = planner.plan(cluster, touched);
    status.send_modify(|status| status.planned(begun.elapsed(), &plan));
    plan
}

/// Carries one plan out, and waits until the picture shows it: a plan from an older one would decide again
/// what has been decided. What has changed meanwhile is the answer.
async fn commit(
    mirror: &mut Mirror,
    leadership: &mut Leadership,
    Plan { changes, .. }: &Plan,
    status: &watch::Sender<Status>,
) -> Result<Touched, End> {
    let mut touched = Touched::default();
    if changes.is_empty() {
        return Ok(touched);
    }
    let begun = Instant::now();
    let committed = leadership.commit(changes).await.inspect_err(|_| {
        status.send_modify(|status| status.not_committed(changes));
    })?;
    changes.iter().for_each(log::change);
    status.send_modify(|status| status.committed(changes, begun.elapsed()));
    while mirror.cluster().revision < committed.revision {
        touched.merge(mirror.changed().await);
    }
    Ok(touched)
}

impl From<CommitError> for End {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Deposed => End::Deposed,
            error => End::Failed(error),
        }
    }
}
