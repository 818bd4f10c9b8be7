//! Keeping a membership, noticing that somebody has written over it, and giving it up.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{LeaseKeepAliveStream, LeaseKeeper};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::backoff::Backoff;
use crate::follow::{Follow, Update};
use crate::keys::{Key, Range};
use crate::{Error, Membership, Said};

/// The lease is gone, by etcd's own word: the machine is not a member any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost;

const RENEWING: &str = "renewing the machine's lease";

impl Membership {
    /// Renews the lease every third of its time, through any outage of etcd, until etcd says that it is gone.
    /// Losing the future ends the renewals and nothing else.
    pub async fn keep_alive(&self) -> Lost {
        let interval = self.ttl / 3;
        let mut backoff = Backoff::new(interval / 32, interval / 2);
        loop {
            let failure = self.renew(interval, &mut backoff).await;
            match self.is_gone().await {
                Ok(true) => return Lost,
                Ok(false) => tracing::debug!("the lease is still there"),
                Err(error) => tracing::debug!(%error, "cannot ask for the lease either"),
            }
            tracing::warn!(
                error = &failure as &dyn std::error::Error,
                "the machine's lease is not renewed, trying again"
            );
            backoff.wait().await;
        }
    }

    /// Waits until the machine's record is not on its lease any more, or is gone: by an accident, as the lease is alive still. Then
    /// the machine counts for nobody, or not for long, and must join again. Waits through any outage of etcd.
    pub async fn displaced(&self) {
        let key = Key::Machine(self.machine.id.clone());
        let range = Range::key(self.registry.records.keys.print(&key));
        let mut follow = Follow::start(self.registry.etcd.clone(), range);
        loop {
            let ours = match follow.next().await {
                Update::Reset { records, .. } => {
                    records.iter().any(|record| record.lease() == self.lease)
                }
                Update::Events { events, .. } => events
                    .last()
                    .is_none_or(|event| !event.gone && event.record.lease() == self.lease),
            };
            if !ours {
                return;
            }
        }
    }

    /// When the lease was last renewed: the time just before that was asked for. etcd has it end no earlier than
    /// [`ttl`](Membership::ttl) after that.
    pub fn renewals(&self) -> watch::Receiver<Instant> {
        self.renewed.subscribe()
    }

    /// Whether the lease was last renewed so long ago that it may have ended.
    pub fn is_overdue(&self) -> bool {
        self.renewed.borrow().elapsed() >= self.ttl
    }

    /// The machine's record was written anew, on the same lease: who follows the renewals of the earlier membership follows ours.
    /// Nothing happens if the lease is another one.
    pub fn continue_renewals(&mut self, earlier: &Membership) {
        if earlier.lease == self.lease {
            earlier.renewed.send_replace(*self.renewed.borrow());
            self.renewed = Arc::clone(&earlier.renewed);
        }
    }

    /// Ends the membership: the machine's record, its unit states and its leadership go in one event.
    ///
    /// # Errors
    /// etcd cannot be asked; then the lease ends by itself in time.
    pub async fn leave(&self) -> Result<(), Error> {
        self.registry.etcd.revoke(self.lease).await
    }

    /// Renews at one server until that fails.
    async fn renew(&self, interval: Duration, backoff: &mut Backoff) -> Error {
        let etcd = &self.registry.etcd;
        let (turn, server) = etcd.server();
        let asked = Instant::now();
        let mut client = server.lease();
        // boxed: the client's future has 20 kB, and this one lives as long as the machine is a member
        let opening = Box::pin(client.keep_alive(self.lease));
        let failure = match self.in_time(server.call(opening)).await {
            Ok((keeper, answers)) => {
                backoff.reset();
                self.renewed.send_replace(asked);
                self.go_on(interval, keeper, answers).await
            }
            Err(error) => error,
        };
        etcd.next_server(turn);
        failure
    }

    /// Renews on a stream until that fails. To open it was to renew once.
    async fn go_on(
        &self,
        interval: Duration,
        mut keeper: LeaseKeeper,
        mut answers: LeaseKeepAliveStream,
    ) -> Error {
        loop {
            self.registry.etcd.touch();
            sleep(interval).await;
            let asked = Instant::now();
            if let Err(error) = self.in_time(renew_once(&mut keeper, &mut answers)).await {
                return error;
            }
            self.renewed.send_replace(asked);
        }
    }

    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, etcd_client::Error>>,
    ) -> Result<T, Error> {
        match timeout(self.registry.etcd.patience(), call).await {
            Ok(answer) => answer.map_err(|source| Error::Etcd {
                what: RENEWING,
                source: Said(source),
            }),
            Err(_) => Err(Error::TimedOut { what: RENEWING }),
        }
    }

    async fn is_gone(&self) -> Result<bool, Error> {
        Ok(self.registry.etcd.lease_info(self.lease).await?.left < 0)
    }
}

async fn renew_once(
    keeper: &mut LeaseKeeper,
    answers: &mut LeaseKeepAliveStream,
) -> Result<(), etcd_client::Error> {
    let failed = |why: &str| etcd_client::Error::LeaseKeepAliveError(why.to_owned());
    keeper.keep_alive().await?;
    match answers.message().await? {
        Some(answer) if answer.ttl() > 0 => Ok(()),
        Some(_) => Err(failed("lease not found")),
        None => Err(failed("the stream ended")),
    }
}
