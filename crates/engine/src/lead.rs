//! What the leader does: keep the schedule as the plan wants it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use fleet::cluster::{Subject, Touched};
use fleet::fence::Vigil;
use fleet::history::{Account, Entry, LastWords, Notices};
use fleet::schedule::{Plan, Planner, Terms};
use fleet::{Cluster, MachineId};
use registry::{CommitError, Leadership, Membership, Mirror, Registry};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};
use unitfile::UnitName;

use crate::clock::Clock;
use crate::trim::Trimmer;
use crate::{Options, Status, log};

/// How soon machines that have not been heard of are listened for again.
const LISTEN: Duration = Duration::from_millis(250);

/// Why a machine stopped leading.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// Another machine leads, or none.
    #[error("another machine took over, or the record was taken away")]
    Deposed,
    /// The schedule could not be written.
    #[error("the schedule could not be written")]
    Failed(#[source] CommitError),
    /// What was written is not there any more: etcd was restored from a backup.
    #[error("etcd has gone back in time")]
    WentBack,
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
    let mut trimmer = Trimmer::start(leadership);
    let mut touched = Touched::Everything;
    let mut silent = BTreeSet::new();
    let mut vigil = Vigil::default();
    // decisions do not wait for it
    let mut last_words = Box::pin(last_words(registry));
    let mut notices: Option<Notices> = None;
    let clock = Clock::start();
    let mut tick = interval(options.reconcile_interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        if mirror.cluster().leader.as_ref() != Some(&membership.machine.id) {
            return End::Deposed;
        }
        if lost_somebody(mirror.cluster(), &touched) || !silent.is_empty() {
            silent = registry.silent(mirror.leases()).await;
        }
        let terms = Terms {
            now: clock.now(),
            brake_percent: options.brake_percent,
            silent: silent.clone(),
        };
        let plan = make_plan(&mut planner, mirror.cluster(), &touched, &terms, status);
        match commit(&mut mirror, leadership, &plan, status).await {
            Ok(meanwhile) => touched = meanwhile,
            Err(end) => return end,
        }
        if let Some(notices) = &mut notices {
            let why = |unit: &UnitName| planner.why_waiting(unit);
            tell(leadership, notices.news(mirror.cluster(), &plan, why)).await;
        }
        trimmer.written(mirror.events());
        lapse(&mut vigil, leadership, mirror.cluster(), clock.now()).await;
        if !touched.is_empty() {
            continue;
        }
        tokio::select! {
            news = mirror.changed() => touched = news,
            told = &mut last_words, if notices.is_none() => notices = Some(Notices::after(told)),
            () = clock.reaches(plan.next) => {}
            () = clock.reaches(vigil.next()) => {}
            () = sleep(LISTEN), if !silent.is_empty() => {}
            _ = tick.tick() => {}
        }
    }
}

/// What the leaders before have told last of each unit.
async fn last_words(registry: &Registry) -> LastWords {
    let mut last = LastWords::default();
    if let Err(error) = read_back(registry, &mut last).await {
        tracing::warn!(%error, "what has been told before is not known: some of it is told again");
    }
    last
}

async fn read_back(registry: &Registry, last: &mut LastWords) -> Result<(), registry::Error> {
    let mut events = registry.events().await?;
    while let Some(records) = events.older().await? {
        let entries = records
            .iter()
            .rev()
            .flat_map(|record| record.entries.iter().rev());
        entries.for_each(|entry| last.take(entry));
    }
    Ok(())
}

/// Tells of what is so although nothing has been changed.
async fn tell(leadership: &Leadership, news: Vec<Entry>) {
    if let Err(error) = leadership.tell_of(news).await {
        tracing::warn!(%error, "events are lost");
    }
}

/// Takes away the claims of machines that are surely not running what they claimed.
async fn lapse(vigil: &mut Vigil, leadership: &Leadership, cluster: &Cluster, now: Duration) {
    for (unit, claim) in vigil.lapsed(cluster, now) {
        tracing::info!(%unit, machine = %claim.machine, "a fenced unit is free: its machine is gone, and has stopped it");
        if let Err(error) = leadership.lapse(&unit, &claim).await {
            tracing::warn!(%unit, %error, "a claim is not taken away yet");
        }
    }
}

/// Whether a machine has gone without a word: then others may be about to.
fn lost_somebody(cluster: &Cluster, touched: &Touched) -> bool {
    let lost = |id: &MachineId| {
        let expected = cluster.away.get(id).is_some_and(|away| away.announced);
        !cluster.machines.contains_key(id) && cluster.admitted.contains_key(id) && !expected
    };
    match touched {
        Touched::Everything => cluster.admitted.keys().any(lost),
        Touched::These(subjects) => subjects
            .iter()
            .any(|subject| matches!(subject, Subject::Machine(id) if lost(id))),
    }
}

fn make_plan(
    planner: &mut Planner,
    cluster: &Cluster,
    touched: &Touched,
    terms: &Terms,
    status: &watch::Sender<Status>,
) -> Plan {
    let begun = Instant::now();
    let braked = status.borrow().braked;
    let plan = planner.plan(cluster, touched, terms);
    log::brake(braked, plan.braked);
    status.send_modify(|status| status.planned(begun.elapsed(), &plan));
    plan
}

/// Carries one plan out, and waits until the picture shows it: a plan from an older one would decide again
/// what has been decided. What has changed meanwhile is the answer.
async fn commit(
    mirror: &mut Mirror,
    leadership: &mut Leadership,
    plan: &Plan,
    status: &watch::Sender<Status>,
) -> Result<Touched, End> {
    let (mut touched, changes) = (Touched::default(), &plan.changes);
    if changes.is_empty() {
        return Ok(touched);
    }
    let begun = Instant::now();
    let account = Account::of(mirror.cluster(), plan);
    let told = |change| account.with(change);
    let committed = leadership.commit_and_tell(changes, &told).await;
    let committed = committed.inspect_err(|_| {
        status.send_modify(|status| status.not_committed(changes));
    })?;
    changes.iter().for_each(log::change);
    status.send_modify(|status| status.committed(changes, begun.elapsed()));
    while mirror.cluster().revision < committed.revision {
        let known = mirror.cluster().revision;
        touched.merge(mirror.changed().await);
        // it may never get as far again
        if mirror.cluster().revision < known {
            return Err(End::WentBack);
        }
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
