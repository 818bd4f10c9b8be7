//! Keeps parts of the daemon running: one that ends in an error or a panic is started again.

use std::any::Any;
use std::error::Error;
use std::future::Future;
use std::time::Duration;

use registry::Backoff;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The first pause before a new start; later ones grow up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

/// Parts that end together.
#[derive(Debug, Default)]
pub(crate) struct Group {
    closing: CancellationToken,
    parts: TaskTracker,
}

impl Group {
    /// Runs what `start` makes, again and again until it ends well or the group ends.
    pub(crate) fn run<F, E>(&self, part: &'static str, start: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Error + Send + 'static,
    {
        let closing = self.closing.clone();
        self.parts.spawn(supervise(part, closing, start));
    }

    /// Runs a part that ends by itself when the group ends.
    pub(crate) fn once<F, E>(&self, part: &'static str, future: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Error + Send + 'static,
    {
        self.parts.spawn(async move {
            report(part, tokio::spawn(future).await);
        });
    }

    /// Cancelled when the group ends.
    pub(crate) fn closing(&self) -> CancellationToken {
        self.closing.clone()
    }

    /// Waits until all parts have ended by themselves.
    pub(crate) async fn ended(&self) {
        self.parts.close();
        self.parts.wait().await;
    }

    /// Ends all parts, wherever they are, and returns when none runs any more.
    pub(crate) async fn end(&self) {
        self.closing.cancel();
        self.ended().await;
    }
}

async fn supervise<F, E>(part: &'static str, closing: CancellationToken, start: impl Fn() -> F)
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Error + Send + 'static,
{
    let mut backoff = Backoff::new(FIRST, LONGEST);
    loop {
        let mut task = tokio::spawn(start());
        tokio::select! {
            () = closing.cancelled() => return abort(task).await,
            ended = &mut task => if report(part, ended) { return },
        }
        tokio::select! {
            () = closing.cancelled() => return,
            () = backoff.wait() => tracing::info!(part, "starting it again"),
        }
    }
}

/// A task may be in the middle of something on another thread: it has ended only when it is waited for.
async fn abort<T>(task: JoinHandle<T>) {
    task.abort();
    // that it was cancelled is what was wanted
    let _ = task.await;
}

/// Logs how a part ended; tells whether it ended well.
fn report<E: Error + 'static>(part: &str, ended: Result<Result<(), E>, JoinError>) -> bool {
    match ended {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => {
            let error: &dyn Error = &error;
            tracing::error!(part, error, "it ended with an error");
        }
        Err(error) => {
            let what = error.try_into_panic().map_or_else(
                |error| error.to_string(),
                |payload| message(payload.as_ref()),
            );
            tracing::error!(part, what, "it panicked: this is a bug in fleetd");
        }
    }
    false
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    /// A part that fails, panics, and then works.
    async fn moody(starts: Arc<AtomicUsize>, works: Arc<Notify>) -> Result<(), std::fmt::Error> {
        match starts.fetch_add(1, Ordering::SeqCst) {
            0 => Err(std::fmt::Error),
            1 => panic!("on purpose"),
            _ => {
                works.notify_one();
                std::future::pending().await
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_fails_or_panics_is_started_again_until_the_group_ends() {
        let (starts, works) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let group = Group::default();
        let part = (starts.clone(), works.clone());
        group.run("moody", move || moody(part.0.clone(), part.1.clone()));
        works.notified().await;
        group.end().await;
        assert_eq!(starts.load(Ordering::SeqCst), 3);
    }
}
