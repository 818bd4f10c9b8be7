//! A range of keys, listed once and then watched, for as long as somebody wants to know.
//!
//! The watch begins one revision after the list, so that nothing is missed or seen twice. A stream that
//! breaks is opened again where it ended. Where etcd has compacted that revision away, or has gone back
//! behind it (restored from a backup), the range is listed again; also where it has gone back and come as far again since:
//! then what it had at that revision is not what we were told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use etcd_client::{
    EventType, GetOptions, KeyValue, Txn, TxnOp, WatchOptions, WatchResponse, WatchStream,
};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::Error;
use crate::Said;
use crate::backoff::Backoff;
use crate::etcd::Etcd;
use crate::keys::Range;
use crate::list::list;
use crate::picture::records_of;
use crate::server::Server;

/// Watch responses that wait for a reader who is busy.
const QUEUE: usize = 64;
/// The longest pause between attempts to come back.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// News of a range.
#[derive(Debug)]
pub(crate) enum Update {
    /// The range holds exactly this: whatever was known before is void.
    Reset {
        revision: i64,
        records: Vec<KeyValue>,
    },
    /// Changes, in order; none if only the revision moved on.
    Events {
        revision: i64,
        events: Vec<RecordEvent>,
    },
}

/// A record that was written or, if `gone`, deleted (then only its key and revision say anything).
#[derive(Debug, Clone)]
pub(crate) struct RecordEvent {
    pub(crate) record: KeyValue,
    pub(crate) gone: bool,
}

/// Follows a range until it is dropped.
pub(crate) struct Follow {
    updates: mpsc::Receiver<Update>,
    current: Arc<AtomicBool>,
    task: AbortOnDropHandle<()>,
}

impl Follow {
    /// Lists a range, and tells of its changes then.
    pub(crate) fn start(etcd: Arc<Etcd>, range: Range) -> Self {
        Follow::begin(etcd, vec![range.clone()], range, 0)
    }

    /// Lists some ranges, and tells then of the changes in all of `range`, which has them within it.
    pub(crate) fn parts(etcd: Arc<Etcd>, parts: Vec<Range>, range: Range) -> Self {
        Follow::begin(etcd, parts, range, 0)
    }

    /// Tells of the changes in a range after a revision. It is listed only if they are not to be had any more.
    pub(crate) fn after(etcd: Arc<Etcd>, range: Range, revision: i64) -> Self {
        Follow::begin(etcd, vec![range.clone()], range, revision + 1)
    }

    fn begin(etcd: Arc<Etcd>, parts: Vec<Range>, range: Range, next: i64) -> Self {
        let (news, updates) = mpsc::channel(QUEUE);
        let current = Arc::new(AtomicBool::new(false));
        let follower = Follower {
            etcd,
            parts,
            range,
            news,
            current: current.clone(),
            floor: next - 1,
            next,
            latest: None,
            broken: false,
            told: false,
        };
        let task = AbortOnDropHandle::new(tokio::spawn(follower.run()));
        Follow {
            updates,
            current,
            task,
        }
    }

    /// The next update; waits for one through any outage. Losing the future loses nothing.
    pub(crate) async fn next(&mut self) -> Update {
        if let Some(update) = self.updates.recv().await {
            return update;
        }
        // the task ends only by a panic while its receiver lives: pass that on
        match (&mut self.task).await {
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            _ => std::future::pending().await,
        }
    }

    /// An update that is here already.
    pub(crate) fn waiting(&mut self) -> Option<Update> {
        self.updates.try_recv().ok()
    }

    /// Whether a watch is open, so that news would arrive.
    pub(crate) fn is_current(&self) -> bool {
        self.current.load(Ordering::Relaxed)
    }
}

struct Follower {
    etcd: Arc<Etcd>,
    /// What is listed.
    parts: Vec<Range>,
    /// What is watched.
    range: Range,
    news: mpsc::Sender<Update>,
    current: Arc<AtomicBool>,
    /// The first revision that has not been told yet.
    next: i64,
    /// What was written up to this revision is nothing to us.
    floor: i64,
    /// The record of the range that was written or deleted last, as far as we were told.
    latest: Option<RecordEvent>,
    /// A stream has broken since the last list: etcd may have become another.
    broken: bool,
    /// The log knows that we are out of touch.
    told: bool,
}

/// Why a watch ended.
enum End {
    /// What comes next is not to be had: list again.
    Gap,
    /// Nobody listens any more.
    Unheard,
    /// The connection or the server went away.
    Broken(Error),
}

const WATCHING: &str = "watching the registry";

impl Follower {
    async fn run(mut self) {
        if self.next > 0 && !self.watch().await {
            return;
        }
        while self.list().await && self.watch().await {}
    }

    /// Lists until it succeeds. False when nobody listens any more.
    async fn list(&mut self) -> bool {
        let mut backoff = coming_back();
        loop {
            match list(&self.etcd, &self.parts).await {
                Ok((revision, records)) => {
                    self.next = revision + 1;
                    (self.floor, self.broken) = (0, false);
                    self.latest = latest_of(&records);
                    return self.tell(Update::Reset { revision, records }).await;
                }
                Err(error) => self.pause(&mut backoff, &error).await,
            }
        }
    }

    /// Watches, through any number of streams, until the range must be listed again (true) or nobody
    /// listens any more (false).
    async fn watch(&mut self) -> bool {
        let mut backoff = coming_back();
        loop {
            let before = self.next;
            let end = self.one_stream().await;
            self.current.store(false, Ordering::Relaxed);
            if self.next != before {
                backoff.reset();
            }
            match end {
                End::Gap => return true,
                End::Unheard => return false,
                End::Broken(error) => {
                    self.broken = true;
                    self.pause(&mut backoff, &error).await;
                }
            }
        }
    }

    /// Opens a stream and tells what comes, until it ends.
    async fn one_stream(&mut self) -> End {
        let etcd = self.etcd.clone();
        let (turn, server) = etcd.server();
        let end = match self.open(server).await {
            Ok(stream) => self.read(stream, server).await,
            Err(error) => End::Broken(error),
        };
        if let End::Broken(_) = end {
            etcd.next_server(turn);
        }
        end
    }

    async fn open(&self, server: &Server) -> Result<WatchStream, Error> {
        let options = WatchOptions::new()
            .with_range(self.range.end.clone())
            .with_start_revision(self.next)
            .with_progress_notify();
        let mut watch = server.watch();
        // boxed: the client's future is large, and this one lives as long as somebody wants to know
        let opening = Box::pin(watch.watch(self.range.start.clone(), Some(options)));
        let opening = server.call(opening);
        match tokio::time::timeout(self.etcd.patience(), opening).await {
            Ok(opened) => opened.map_err(|source| Error::Etcd {
                what: WATCHING,
                source: Said(source),
            }),
            Err(_) => Err(Error::TimedOut { what: WATCHING }),
        }
    }

    async fn read(&mut self, mut stream: WatchStream, server: &Server) -> End {
        loop {
            let end = match stream.message().await {
                Ok(Some(response)) => self.take(&response, server).await,
                Ok(None) => Some(End::Broken(Error::TimedOut { what: WATCHING })),
                Err(source) => Some(End::Broken(Error::Etcd {
                    what: WATCHING,
                    source: Said(source),
                })),
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// Takes one response of the stream; tells why the watch is over, if it is.
    async fn take(&mut self, response: &WatchResponse, server: &Server) -> Option<End> {
        self.etcd.touch();
        let revision = response.header().map_or(0, |header| header.revision());
        if response.compact_revision() > 0 {
            tracing::info!(
                revision = self.next,
                "etcd has compacted what comes next: listing again"
            );
            return Some(End::Gap);
        }
        if response.canceled() {
            return Some(refused(response.cancel_reason(), server).await);
        }
        if response.created() {
            return self.opened(revision).await;
        }
        // a negative id answers a request for progress, which may overtake events
        if response.watch_id() < 0 {
            return None;
        }
        self.tell_events(response, revision).await
    }

    /// The watch stands. A server that is behind us, or has another past, has lost records that we were told of.
    async fn opened(&mut self, revision: i64) -> Option<End> {
        let (known, behind) = (self.next - 1, revision < self.next - 1);
        let same = match self.broken && !behind {
            true => self.has_our_past().await,
            false => Ok(!behind),
        };
        match same {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(revision, known, "etcd has gone back in time: listing again");
                return Some(End::Gap);
            }
            Err(error) if error.is_compacted() => return Some(End::Gap),
            Err(error) => return Some(End::Broken(error)),
        }
        self.broken = false;
        self.current.store(true, Ordering::Relaxed);
        self.told = false;
        None
    }

    /// Whether etcd had in the range, at the revision that we know, what we know: nothing newer than the latest that we were told
    /// of, and that.
    async fn has_our_past(&self) -> Result<bool, Error> {
        let at = || GetOptions::new().with_revision(self.next - 1);
        let told = self.latest.as_ref();
        let told_until = told.map_or(self.floor, |latest| latest.record.mod_revision());
        let newer = |part: &Range| {
            let newer = at()
                .with_range(part.end.clone())
                .with_min_mod_revision(told_until + 1)
                .with_keys_only()
                .with_limit(1);
            TxnOp::get(part.start.clone(), Some(newer))
        };
        // what is watched and not listed may be newer than what was
        let mut reads: Vec<TxnOp> = self.parts.iter().map(newer).collect();
        reads.extend(told.map(|latest| TxnOp::get(latest.record.key(), Some(at()))));
        let answer = self
            .etcd
            .long_txn(WATCHING, Txn::new().and_then(reads))
            .await?;
        let found = records_of(&answer);
        Ok(match (told.filter(|latest| !latest.gone), &found[..]) {
            (None, []) => true,
            (Some(latest), [there]) => is_same(&latest.record, there),
            _ => false,
        })
    }

    async fn tell_events(&mut self, response: &WatchResponse, header: i64) -> Option<End> {
        let events: Vec<RecordEvent> = response.events().iter().filter_map(record_event).collect();
        // while a watch catches up, the header's revision runs ahead of the events'
        let revision = events
            .last()
            .map_or(header, |event| event.record.mod_revision());
        self.next = self.next.max(revision + 1);
        if let Some(latest) = events.last() {
            self.latest = Some(latest.clone());
        }
        let heard = self
            .tell(Update::Events {
                revision: self.next - 1,
                events,
            })
            .await;
        (!heard).then_some(End::Unheard)
    }

    async fn tell(&self, update: Update) -> bool {
        self.news.send(update).await.is_ok()
    }

    async fn pause(&mut self, backoff: &mut Backoff, error: &Error) {
        self.complain(error);
        backoff.wait().await;
    }

    /// Tells the first failure of an outage loudly.
    fn complain(&mut self, error: &Error) {
        let error = error as &dyn std::error::Error;
        match std::mem::replace(&mut self.told, true) {
            false => tracing::warn!(error, "lost touch with the registry, trying again"),
            true => tracing::debug!(error, "still out of touch with the registry"),
        }
    }
}

/// Why a watch was canceled by the server.
async fn refused(reason: &str, server: &Server) -> End {
    let status = tonic::Status::unavailable(format!("the watch was canceled: {reason}"));
    // an expired token shows like this; where it is something else a new one does no harm
    let source = server.sign_in_again().await.err().unwrap_or(status.into());
    End::Broken(Error::Etcd {
        what: WATCHING,
        source: Said(source),
    })
}

fn coming_back() -> Backoff {
    Backoff::new(Duration::from_millis(50), LONGEST_PAUSE)
}

fn is_same(one: &KeyValue, other: &KeyValue) -> bool {
    (one.key(), one.value(), one.mod_revision())
        == (other.key(), other.value(), other.mod_revision())
}

fn latest_of(records: &[KeyValue]) -> Option<RecordEvent> {
    let latest = records.iter().max_by_key(|record| record.mod_revision())?;
    Some(RecordEvent {
        record: latest.clone(),
        gone: false,
    })
}

fn record_event(event: &etcd_client::Event) -> Option<RecordEvent> {
    let gone = event.event_type() == EventType::Delete;
    event.kv().map(|record| RecordEvent {
        record: record.clone(),
        gone,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn the_store_too_tells_that_what_comes_next_was_compacted() {
        let store = store::Store::in_memory().await.unwrap();
        let channel = etcd_client::Channel::Tonic(store.channel());
        let mut client = etcd_client::Client::from_channel(channel, None)
            .await
            .unwrap();
        for value in ["1", "2", "3"] {
            client.put("/fleet/x", value, None).await.unwrap();
        }
        client.compact(3, None).await.unwrap();

        let etcd = Arc::new(Etcd::new(
            vec![Server::new(client, None)],
            Duration::from_secs(10),
        ));
        let (news, _updates) = mpsc::channel(QUEUE);
        let current = Arc::new(AtomicBool::new(false));
        let range = Range::prefix("/fleet/");
        let mut late = Follower {
            floor: 0,
            etcd,
            parts: vec![range.clone()],
            range,
            news,
            current,
            next: 2,
            latest: None,
            broken: false,
            told: false,
        };
        assert!(matches!(late.one_stream().await, End::Gap));
    }
}
