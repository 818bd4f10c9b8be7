//! Unit states on their way to the registry: the newest of each unit, and only those that changed, or that somebody else
//! has taken out of it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fleet::UnitState;
use registry::{Backoff, MemberError, Membership, Telling};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};
use unitfile::UnitName;

use crate::failure::chain;
use crate::story::Story;

/// States that change within this time go out together; the first one goes at once.
const GATHER: Duration = Duration::from_millis(20);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The longest time until it is looked again whether what was published is there; the shortest is half of it.
const LOOK: Duration = Duration::from_secs(80);

/// What shall be published of this machine's units. One task fills it, [`Outbox::publish`] empties it.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    content: Mutex<Content>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Content {
    states: BTreeMap<UnitName, UnitState>,
    changed: BTreeSet<UnitName>,
    story: Story,
}

type Row = (UnitName, Option<UnitState>);

/// What goes out together.
#[derive(Debug)]
struct Parcel {
    rows: Vec<Row>,
    told: Option<Telling>,
}

impl Outbox {
    /// The state of a unit is `state` now, nothing if the unit is gone; because of `why`, where that is known.
    pub(crate) fn put(&self, name: &UnitName, state: Option<UnitState>, why: Option<&str>) {
        let mut content = self.lock();
        if content.states.get(name) == state.as_ref() {
            return;
        }
        content.story.hear(name, state.as_ref(), why);
        match state {
            Some(state) => content.states.insert(name.clone(), state),
            None => content.states.remove(name),
        };
        content.changed.insert(name.clone());
        self.wake.notify_one();
    }

    /// All that was there at the beginning has been put: from here on what changes is told.
    pub(crate) fn adopted(&self) {
        self.lock().story.begin();
        self.wake.notify_one();
    }

    /// All states as they should be known to the cluster.
    pub(crate) fn states(&self) -> BTreeMap<UnitName, UnitState> {
        self.lock().states.clone()
    }

    /// The units whose state is on its way.
    pub(crate) fn waiting(&self) -> BTreeSet<UnitName> {
        self.lock().changed.clone()
    }

    /// Publishes for ever, under whichever membership there is. A new one begins with everything.
    pub(crate) async fn publish(&self, mut memberships: watch::Receiver<Membership>) {
        loop {
            let membership = memberships.borrow_and_update().clone();
            self.publish_all_again(&membership.published);
            tokio::select! {
                () = self.publish_under(&membership) => {}
                () = renewed(&mut memberships) => {}
            }
        }
    }

    /// Publishes until the membership is lost, and then waits for somebody to give another one.
    async fn publish_under(&self, membership: &Membership) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut looks = Backoff::new(LOOK, LOOK);
        let mut next_look = Instant::now() + looks.pause();
        loop {
            // a machine that always has something to publish looks, too
            if next_look <= Instant::now() {
                self.look(membership).await;
                next_look = Instant::now() + looks.pause();
            }
            if let Ok(parcel) = timeout_at(next_look, self.take(membership)).await {
                self.deliver(membership, parcel, &mut backoff).await;
            }
        }
    }

    /// Writes what was taken; where that fails, it is to be taken again. For ever if the membership is lost.
    async fn deliver(&self, membership: &Membership, parcel: Parcel, backoff: &mut Backoff) {
        let Parcel { rows, told } = parcel;
        let published = membership.publish_and_tell(&rows, told.as_ref()).await;
        match published {
            Ok(()) => {
                self.lock().story.written();
                backoff.reset();
                tokio::time::sleep(GATHER).await;
            }
            Err(MemberError::NotMember(_)) => pending().await,
            Err(MemberError::Registry(error)) => {
                let error = chain(&error);
                tracing::warn!(error, "publishing unit states; trying again");
                self.put_back(rows);
                backoff.wait().await;
            }
        }
    }

    /// Looks whether what is published is what should be, in case that somebody has deleted records or written over them.
    ///
    /// Nothing may be on its way meanwhile, or it would be taken for lost: what changes now goes out afterwards.
    async fn look(&self, membership: &Membership) {
        match membership.published_units().await {
            Ok(published) => self.lock().compare(&published),
            // either says nothing of the records: a lost membership shows when something is to be published
            Err(error) => {
                let error = chain(&error);
                tracing::debug!(error, "cannot tell which unit states are there");
            }
        }
    }

    /// Waits for changes and takes them.
    async fn take(&self, membership: &Membership) -> Parcel {
        loop {
            let parcel = self.lock().take(membership);
            if !parcel.rows.is_empty() || parcel.told.is_some() {
                return parcel;
            }
            self.wake.notified().await;
        }
    }

    fn put_back(&self, rows: Vec<Row>) {
        let names = rows.into_iter().map(|(name, _)| name);
        self.lock().changed.extend(names);
    }

    /// Everything is news, and so is the absence of what an earlier process published.
    fn publish_all_again(&self, published: &BTreeSet<UnitName>) {
        let mut content = self.lock();
        let names: Vec<UnitName> = content.states.keys().chain(published).cloned().collect();
        content.changed.extend(names);
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for another membership; for ever if nobody is left to give one.
async fn renewed(memberships: &mut watch::Receiver<Membership>) {
    if memberships.changed().await.is_err() {
        pending().await
    }
}

impl Content {
    /// States are published of these units and of no others: what is missing is news, and so is the absence of what
    /// should not be there.
    fn compare(&mut self, published: &BTreeSet<UnitName>) {
        let wanted: BTreeSet<UnitName> = self.states.keys().cloned().collect();
        let other = wanted.symmetric_difference(published);
        let other: Vec<&UnitName> = other.filter(|name| !self.changed.contains(*name)).collect();
        if let Some(first) = other.first() {
            let count = other.len();
            tracing::info!(%first, count, "unit states are not in the registry as they were written; writing them anew");
        }
        self.changed.extend(other.into_iter().cloned());
    }

    fn take(&mut self, membership: &Membership) -> Parcel {
        let changed = std::mem::take(&mut self.changed);
        let row = |name: UnitName| {
            let state = self.states.get(&name).cloned();
            (name, state)
        };
        Parcel {
            rows: changed.into_iter().map(row).collect(),
            told: self.story.take(membership),
        }
    }
}
