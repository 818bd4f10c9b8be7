//! Calls to etcd that end in time and survive the loss of a server.
//!
//! All calls go to one server for as long as it answers, then to the next. Each is tried again until its
//! deadline, which is right for reads, and for transactions that are guarded so that doing them twice does
//! what doing them once does.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use etcd_client::{
    Error as EtcdError, GetOptions, GetResponse, LeaseTimeToLiveOptions, Txn, TxnResponse,
};
use tokio::time::{Instant, timeout_at};

use crate::Error;
use crate::Said;
use crate::backoff::{Backoff, chance};
use crate::keys::Range;
use crate::server::{Server, is_not_v3};
use crate::tally::Tally;

/// The least that a read of many records may take.
const LONG_READ: Duration = Duration::from_secs(30);

/// A connection to etcd, which is one server or several that hold the same.
pub(crate) struct Etcd {
    servers: Vec<Server>,
    /// The server that is asked now, counted on and on.
    turn: AtomicUsize,
    limits: Limits,
    contact: Mutex<Option<Instant>>,
    pub(crate) tally: Tally,
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// A call.
    call: Duration,
    /// One attempt of it.
    attempt: Duration,
}

/// What etcd knows of a lease.
#[derive(Debug, Clone)]
pub(crate) struct LeaseInfo {
    /// Seconds that are left; negative if there is no such lease.
    pub(crate) left: i64,
    /// Seconds that it was granted for.
    pub(crate) granted: i64,
    /// The keys that hang on it.
    pub(crate) keys: Vec<Vec<u8>>,
}

impl LeaseInfo {
    /// Whether less than a third of its time is left, or nothing. etcd tells whole seconds, rounded down.
    pub(crate) fn is_low(&self) -> bool {
        (self.left + 1) * 3 <= self.granted || self.left < 0
    }

    /// Whether more than half of its time is over: it is renewed after a third of it.
    pub(crate) fn is_neglected(&self) -> bool {
        (self.left + 1) * 2 <= self.granted
    }
}

impl Etcd {
    /// `servers` must not be empty.
    pub(crate) fn new(servers: Vec<Server>, timeout: Duration) -> Self {
        // where there is another server, half of the time is left for it
        let attempt = if servers.len() > 1 {
            timeout / 2
        } else {
            timeout
        };
        // machines begin at different servers
        let turn = AtomicUsize::new(chance() as usize % servers.len().max(1));
        Etcd {
            servers,
            turn,
            limits: Limits {
                call: timeout,
                attempt,
            },
            contact: Mutex::new(None),
            tally: Tally::default(),
        }
    }

    /// How long one attempt of a call may take.
    pub(crate) fn patience(&self) -> Duration {
        self.limits.attempt
    }

    /// How long ago etcd last answered.
    pub(crate) fn last_contact(&self) -> Option<Duration> {
        self.contact().map(|at| at.elapsed())
    }

    /// Notes that etcd has just answered.
    pub(crate) fn touch(&self) {
        *self.contact() = Some(Instant::now());
    }

    /// The server to ask now, and its turn.
    pub(crate) fn server(&self) -> (usize, &Server) {
        let turn = self.turn.load(Ordering::Relaxed);
        (turn, &self.servers[turn % self.servers.len()])
    }

    /// Goes on to the next server, unless somebody has done so since `turn`.
    pub(crate) fn next_server(&self, turn: usize) {
        let next = turn.wrapping_add(1);
        // who lost the race finds the winner's server
        let _ = self
            .turn
            .compare_exchange(turn, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(crate) async fn txn(&self, what: &'static str, txn: Txn) -> Result<TxnResponse, Error> {
        self.txn_within(what, self.limits, txn).await
    }

    /// A transaction of reads that may bring a lot.
    pub(crate) async fn long_txn(
        &self,
        what: &'static str,
        txn: Txn,
    ) -> Result<TxnResponse, Error> {
        self.txn_within(what, self.limits.long(), txn).await
    }

    pub(crate) async fn get(&self, what: &'static str, key: String) -> Result<GetResponse, Error> {
        self.run(what, self.limits, |server| {
            let (mut kv, key) = (server.kv(), key.clone());
            async move { kv.get(key, None).await }
        })
        .await
    }

    /// Reads a range that may bring a lot.
    pub(crate) async fn range(
        &self,
        what: &'static str,
        range: &Range,
        options: GetOptions,
    ) -> Result<GetResponse, Error> {
        let options = options.with_range(range.end.clone());
        self.run(what, self.limits.long(), |server| {
            let (mut kv, start, options) = (server.kv(), range.start.clone(), options.clone());
            async move { kv.get(start, Some(options)).await }
        })
        .await
    }

    /// Grants a lease of so many seconds: its id, and the seconds that etcd made of it.
    pub(crate) async fn grant(&self, seconds: i64) -> Result<(i64, i64), Error> {
        let granted = self.run("granting a lease", self.limits, |server| {
            let mut client = server.lease();
            async move { client.grant(seconds, None).await }
        });
        let granted = granted.await?;
        Ok((granted.id(), granted.ttl()))
    }

    /// Renews a lease once. False if it is gone.
    pub(crate) async fn renew(&self, lease: i64) -> Result<bool, Error> {
        let renewed = self.run("renewing a lease", self.limits, |server| {
            let mut client = server.lease();
            async move {
                match client.keep_alive(lease).await {
                    Ok(_) => Ok(true),
                    Err(EtcdError::LeaseKeepAliveError(_)) => Ok(false),
                    Err(error) => Err(error),
                }
            }
        });
        renewed.await
    }

    /// Ends a lease and deletes what hangs on it; one that is gone already is no error.
    pub(crate) async fn revoke(&self, lease: i64) -> Result<(), Error> {
        let revoked = self.run("revoking a lease", self.limits, |server| {
            let mut client = server.lease();
            async move { client.revoke(lease).await }
        });
        match revoked.await {
            Err(error) if !error.is_lease_gone() => Err(error),
            _ => Ok(()),
        }
    }

    pub(crate) async fn lease_info(&self, lease: i64) -> Result<LeaseInfo, Error> {
        let info = self.run("reading a lease", self.limits, |server| {
            let mut client = server.lease();
            let options = LeaseTimeToLiveOptions::new().with_keys();
            async move { client.time_to_live(lease, Some(options)).await }
        });
        let info = info.await?;
        Ok(LeaseInfo {
            left: info.ttl(),
            granted: info.granted_ttl(),
            keys: info.keys().to_vec(),
        })
    }

    async fn txn_within(
        &self,
        what: &'static str,
        limits: Limits,
        txn: Txn,
    ) -> Result<TxnResponse, Error> {
        self.run(what, limits, |server| {
            let (mut kv, txn) = (server.kv(), txn.clone());
            async move { kv.txn(txn).await }
        })
        .await
    }

    async fn run<T, F, Fut>(&self, what: &'static str, limits: Limits, call: F) -> Result<T, Error>
    where
        F: Fn(&Server) -> Fut,
        Fut: Future<Output = Result<T, EtcdError>>,
    {
        let begun = Instant::now();
        let result = self.attempts(what, limits, call).await;
        self.tally.count(what, begun.elapsed(), result.is_err());
        result
    }

    /// Tries `call` until it succeeds, fails for good, or the time is over.
    async fn attempts<T, F, Fut>(
        &self,
        what: &'static str,
        limits: Limits,
        call: F,
    ) -> Result<T, Error>
    where
        F: Fn(&Server) -> Fut,
        Fut: Future<Output = Result<T, EtcdError>>,
    {
        let deadline = Instant::now() + limits.call;
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(500));
        loop {
            let (turn, server) = self.server();
            let until = deadline.min(Instant::now() + limits.attempt);
            // boxed: the client's futures are large, and would be part of all that may call etcd
            let attempt = server.call(Box::pin(call(server)));
            let failure = match timeout_at(until, attempt).await {
                Ok(Ok(answer)) => {
                    self.touch();
                    return Ok(answer);
                }
                Ok(Err(source)) if is_not_v3(&source) => {
                    return Err(Error::NotV3 {
                        what,
                        source: Said(source),
                    });
                }
                Ok(Err(source)) if !server.is_transient(&source) => {
                    return Err(Error::Etcd {
                        what,
                        source: Said(source),
                    });
                }
                Ok(Err(source)) => Error::Etcd {
                    what,
                    source: Said(source),
                },
                Err(_) => Error::TimedOut { what },
            };
            self.next_server(turn);
            let pause = backoff.pause();
            if Instant::now() + pause >= deadline {
                return Err(failure);
            }
            tracing::debug!(error = &failure as &dyn std::error::Error, "trying again");
            tokio::time::sleep(pause).await;
        }
    }

    fn contact(&self) -> MutexGuard<'_, Option<Instant>> {
        self.contact.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Limits {
    /// For what may bring a lot.
    fn long(self) -> Self {
        Limits {
            call: self.call.max(LONG_READ),
            attempt: self.attempt.max(LONG_READ),
        }
    }
}
