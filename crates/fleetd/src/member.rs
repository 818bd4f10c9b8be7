//! Membership: this machine joins the cluster, stays a member, and joins again if it was lost.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use fleet::Machine;
use registry::{Backoff, JoinError, Lost, Membership, Registry};
use tokio::sync::watch;

use crate::notify;

/// The first pause after a join that failed; later ones grow up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(15);

/// What this machine wants to be known as, and for how long without a word.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Presence {
    pub(crate) machine: Machine,
    pub(crate) ttl: Duration,
}

/// Keeps this machine a member for as long as it runs. The lease is left as it is then.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) registry: Registry,
    /// Changes when the configuration is read again.
    pub(crate) presence: watch::Receiver<Presence>,
    /// None while the machine is no member.
    pub(crate) membership: Arc<watch::Sender<Option<Membership>>>,
}

impl Member {
    pub(crate) async fn stay(mut self) -> Result<(), Infallible> {
        loop {
            let mut membership = self.join().await;
            if let Some(earlier) = &*self.membership.borrow() {
                membership.continue_renewals(earlier);
            }
            self.announce(&membership);
            tokio::select! {
                Lost = membership.keep_alive() => self.lost(),
                () = membership.displaced() => {
                    tracing::warn!("the machine's record has been written over: units go on, the machine joins again");
                }
                // the new record is written by joining again, on the same lease
                Ok(()) = self.presence.changed() => {}
            }
        }
    }

    async fn join(&mut self) -> Membership {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        loop {
            let presence = self.presence.borrow_and_update().clone();
            match self.registry.join(&presence.machine, presence.ttl).await {
                Ok(membership) => return membership,
                Err(error) => complain(&presence.machine, &error),
            }
            tokio::select! {
                () = backoff.wait() => {}
                Ok(()) = self.presence.changed() => {}
            }
        }
    }

    fn announce(&self, membership: &Membership) {
        let known =
            |old: &Membership| (old.lease, old.since) == (membership.lease, membership.since);
        let machine = &membership.machine;
        if self.membership.borrow().as_ref().is_some_and(known) {
            tracing::info!(id = %machine.id, "the machine's record is written anew");
        } else {
            self.membership.send_replace(Some(membership.clone()));
            tracing::info!(id = %machine.id, address = machine.address, "this machine is a member of the cluster");
        }
        notify::status(&format!("member of the cluster as {}", machine.id));
    }

    fn lost(&self) {
        tracing::warn!("the machine's lease has ended: units go on, the machine joins again");
        self.membership.send_replace(None);
    }
}

fn complain(machine: &Machine, error: &JoinError) {
    let cause = causes(error);
    if let JoinError::Taken { .. } = error {
        tracing::error!(id = %machine.id, address = machine.address, cause, "this machine cannot join");
    } else {
        tracing::warn!(cause, "waiting for etcd");
    }
    notify::status(&format!("waiting: {cause}"));
}

/// What failed and its root cause, in one line; what lies between only repeats them at length.
fn causes(error: &JoinError) -> String {
    let chain = std::iter::successors(error.source(), |cause| (*cause).source());
    match chain.last() {
        Some(root) => format!("{error}: {root}"),
        None => error.to_string(),
    }
}
