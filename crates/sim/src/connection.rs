//! A connection between one machine and the store, while it is whole.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The two ways of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Requests,
    Answers,
}

/// Both ends of a connection, with all that is under way. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    broken: CancellationToken,
    arrivals: Arc<Mutex<Arrivals>>,
    _watched: Arc<DropGuard>,
}

/// When what was sent last arrives: nothing overtakes anything.
#[derive(Debug)]
struct Arrivals {
    requests: Instant,
    answers: Instant,
}

impl Connection {
    /// One that breaks when `end` comes.
    pub(crate) fn open(end: impl Future<Output = ()> + Send + 'static) -> Connection {
        let (broken, unused) = (CancellationToken::new(), CancellationToken::new());
        let (breaks, watched) = (broken.clone(), unused.clone().drop_guard());
        tokio::spawn(async move {
            if unused.run_until_cancelled(end).await.is_some() {
                breaks.cancel();
            }
        });
        let now = Instant::now();
        Connection {
            broken,
            arrivals: Arc::new(Mutex::new(Arrivals {
                requests: now,
                answers: now,
            })),
            _watched: Arc::new(watched),
        }
    }

    /// Whether it can be used.
    pub(crate) fn is_whole(&self) -> bool {
        !self.broken.is_cancelled()
    }

    /// Breaks it.
    pub(crate) fn tear(&self) {
        self.broken.cancel();
    }

    /// An error if it is broken.
    pub(crate) fn check(&self) -> io::Result<()> {
        match self.is_whole() {
            true => Ok(()),
            false => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }

    /// What comes of `work`, unless the connection breaks before that.
    pub(crate) async fn unless_broken<T>(&self, work: impl Future<Output = T>) -> io::Result<T> {
        let done = self.broken.run_until_cancelled(work).await;
        done.ok_or_else(|| io::ErrorKind::ConnectionReset.into())
    }

    /// When something arrives that could be there at `earliest`.
    pub(crate) fn arrival(&self, way: Way, earliest: Instant) -> Instant {
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let last = match way {
            Way::Requests => &mut arrivals.requests,
            Way::Answers => &mut arrivals.answers,
        };
        *last = earliest.max(*last);
        *last
    }
}
