//! The roles of a member: each goes on with every new membership.

use std::convert::Infallible;
use std::sync::Arc;

use agent::systemd::Systemd;
use agent::{Agent, AgentError};
use registry::{MemberError, Membership, Registry};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The membership of the time, none while the machine is no member.
pub(crate) type Memberships = watch::Receiver<Option<Membership>>;

/// The agent begins with the first membership and learns of each later one. Losing one stops no unit.
pub(crate) async fn agent<S: Systemd>(
    agent: Arc<Agent<S>>,
    mut memberships: Memberships,
) -> Result<(), AgentError> {
    let current = watch::Sender::new(next(&mut memberships).await);
    let known = current.subscribe();
    tokio::select! {
        ended = agent.run(known) => ended,
        never = forward(memberships, current) => match never {},
    }
}

/// An engine stands for election; it does so anew under each membership.
#[derive(Clone)]
pub(crate) struct Engine {
    pub(crate) registry: Registry,
    pub(crate) memberships: Memberships,
    pub(crate) options: engine::Options,
    pub(crate) status: watch::Sender<engine::Status>,
    /// Cancelled when the leadership is to be given up.
    pub(crate) resign: CancellationToken,
}

impl Engine {
    pub(crate) async fn run(mut self) -> Result<(), Infallible> {
        loop {
            let membership = next(&mut self.memberships).await;
            let mut later = self.memberships.clone();
            tokio::select! {
                ended = self.run_under(&membership) => match ended {
                    Ok(()) => return Ok(()),
                    Err(over) => tracing::debug!(%over, "the engine waits for the next membership"),
                },
                () = changed(&mut later) => continue,
            }
            changed(&mut self.memberships).await;
        }
    }

    async fn run_under(&self, membership: &Membership) -> Result<(), MemberError> {
        let Engine {
            registry,
            options,
            status,
            resign,
            ..
        } = self;
        engine::run(registry, membership, options, status, resign).await
    }
}

/// The present membership, or the next one while there is none.
async fn next(memberships: &mut Memberships) -> Membership {
    loop {
        if let Some(membership) = memberships.borrow_and_update().clone() {
            return membership;
        }
        changed(memberships).await;
    }
}

async fn changed(memberships: &mut Memberships) {
    if memberships.changed().await.is_err() {
        // nobody keeps the machine a member any more: the daemon is about to end
        std::future::pending::<()>().await;
    }
}

/// Hands each new membership on; that one was lost is nothing to hand on.
async fn forward(mut memberships: Memberships, current: watch::Sender<Membership>) -> Infallible {
    loop {
        changed(&mut memberships).await;
        current.send_replace(next(&mut memberships).await);
    }
}
