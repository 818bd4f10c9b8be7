//! The Watch service: one task for each stream, which reads for its watches from the history.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::Api;
use crate::node::Node;
use crate::proto::etcdserverpb::watch_create_request::FilterType;
use crate::proto::etcdserverpb::watch_request::RequestUnion;
use crate::proto::etcdserverpb::watch_server::Watch;
use crate::proto::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use crate::proto::mvccpb::Event;
use crate::state::{Interest, KeyRange, Limit};
use crate::watch::Feed;

/// How many responses may wait for a client that reads slowly.
const MAX_RESPONSES: usize = 16;
/// How much one response holds, give or take a transaction: clients refuse more than 4 MiB.
const LIMIT: Limit = Limit {
    events: 1_000,
    bytes: 1 << 20,
};
/// How often a watch that asked for it is told the revision when nothing happens (etcd's interval).
const PROGRESS_INTERVAL: Duration = Duration::from_secs(600);
/// The watch id of a message that concerns the whole stream.
const NO_WATCH: i64 = -1;

#[tonic::async_trait]
impl Watch for Api {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (responses, stream) = mpsc::channel(MAX_RESPONSES);
        let watches = Watches::new(self, responses);
        tokio::spawn(watches.run(request.into_inner()));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

/// The watches of one stream.
struct Watches {
    node: Arc<Node>,
    feed: Arc<Feed>,
    watches: BTreeMap<i64, Watcher>,
    next_id: i64,
    responses: mpsc::Sender<Result<WatchResponse, Status>>,
    closing: CancellationToken,
}

struct Watcher {
    interest: Interest,
    /// The client has seen all before this revision.
    next: i64,
    progress: bool,
}

/// The client has gone, so there is nobody to watch for.
struct Gone;

impl Watches {
    fn new(api: &Api, responses: mpsc::Sender<Result<WatchResponse, Status>>) -> Self {
        Self {
            node: Arc::clone(&api.node),
            feed: Arc::default(),
            watches: BTreeMap::new(),
            next_id: 0,
            responses,
            closing: api.closing.clone(),
        }
    }

    async fn run(mut self, requests: Streaming<WatchRequest>) {
        if self.serve(requests).await.is_ok() {
            let stopped = Status::unavailable("etcdserver: server stopped");
            _ = self.responses.send(Err(stopped)).await;
        }
    }

    /// Serves until the client goes (an error) or the server closes.
    async fn serve(&mut self, mut requests: Streaming<WatchRequest>) -> Result<(), Gone> {
        let closing = self.closing.clone();
        let mut progress = progress_timer();
        loop {
            let idle = !self.watches.values().any(|watcher| watcher.progress);
            tokio::select! {
                () = closing.cancelled() => return Ok(()),
                () = self.responses.closed() => return Err(Gone),
                request = requests.next() => {
                    let request = request.and_then(Result::ok).ok_or(Gone)?;
                    self.handle(request).await?;
                }
                () = self.feed.marked() => self.catch_up().await?,
                _ = progress.tick(), if !idle => self.tell_progress().await?,
            }
        }
    }

    async fn handle(&mut self, request: WatchRequest) -> Result<(), Gone> {
        match request.request_union {
            Some(RequestUnion::CreateRequest(create)) => self.create(create).await,
            Some(RequestUnion::CancelRequest(cancel)) => self.cancel(cancel.watch_id).await,
            Some(RequestUnion::ProgressRequest(_)) => self.progress().await,
            None => Ok(()),
        }
    }

    async fn create(&mut self, create: WatchCreateRequest) -> Result<(), Gone> {
        let interest = interest(&create);
        let id = match self.admit(&create, &interest) {
            Ok(id) => id,
            Err(why) => return self.refuse(why).await,
        };
        let revision = self.start(id, interest, &create);
        self.send(WatchResponse {
            header: self.node.header(revision),
            watch_id: id,
            created: true,
            ..Default::default()
        })
        .await
    }

    /// The id of a new watch, or why there cannot be one, in etcd's words.
    fn admit(
        &mut self,
        create: &WatchCreateRequest,
        interest: &Interest,
    ) -> Result<i64, &'static str> {
        if interest.range.is_empty() {
            return Err("mvcc: watcher range is empty");
        }
        if create.watch_id == 0 {
            return Ok(self.free_id());
        }
        if self.watches.contains_key(&create.watch_id) {
            return Err("mvcc: duplicate watch ID provided on the WatchStream");
        }
        Ok(create.watch_id)
    }

    fn free_id(&mut self) -> i64 {
        while self.watches.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        self.next_id += 1;
        self.next_id - 1
    }

    /// Starts a watch, and returns the revision it was started at. The state is held meanwhile, so
    /// that no write falls between the revision and the first wake-up.
    fn start(&mut self, id: i64, interest: Interest, create: &WatchCreateRequest) -> i64 {
        let node = Arc::clone(&self.node);
        let state = node.state();
        let now = state.revision();
        let next = if create.start_revision > 0 {
            create.start_revision
        } else {
            now + 1
        };
        node.hub.add(&interest.range, &self.feed, id);
        if next <= now {
            self.feed.mark(id, next);
        }
        let progress = create.progress_notify;
        self.watches.insert(
            id,
            Watcher {
                interest,
                next,
                progress,
            },
        );
        now
    }

    async fn refuse(&self, why: &'static str) -> Result<(), Gone> {
        self.send(WatchResponse {
            header: self.node.header_now(),
            watch_id: NO_WATCH,
            created: true,
            canceled: true,
            cancel_reason: why.to_owned(),
            ..Default::default()
        })
        .await
    }

    /// Ends a watch; one that there is not needs no answer.
    async fn cancel(&mut self, id: i64) -> Result<(), Gone> {
        if !self.remove(id) {
            return Ok(());
        }
        self.send(WatchResponse {
            header: self.node.header_now(),
            watch_id: id,
            canceled: true,
            ..Default::default()
        })
        .await
    }

    fn remove(&mut self, id: i64) -> bool {
        let removed = self.watches.remove(&id);
        if let Some(watcher) = &removed {
            self.node
                .hub
                .remove(&watcher.interest.range, &self.feed, id);
        }
        removed.is_some()
    }

    /// Sends what is unread, at most one response for each watch, so that a long way to catch up
    /// does not keep the stream from its other work.
    async fn catch_up(&mut self) -> Result<(), Gone> {
        for (id, from) in self.feed.take() {
            self.catch_up_one(id, from).await?;
        }
        Ok(())
    }

    async fn catch_up_one(&mut self, id: i64, from: i64) -> Result<(), Gone> {
        match self.read(id, from) {
            Some((Ok(events), _)) if events.is_empty() => Ok(()),
            Some((Ok(events), revision)) => {
                let header = self.node.header(revision);
                self.send(WatchResponse {
                    header,
                    watch_id: id,
                    events,
                    ..Default::default()
                })
                .await
            }
            Some((Err(compacted), _)) => self.end_compacted(id, compacted).await,
            None => Ok(()),
        }
    }

    /// Reads the next events of a watch, and the revision they were read at; marks the watch again
    /// if there are more. The error is the compacted revision that has swallowed events.
    fn read(&mut self, id: i64, from: i64) -> Option<(Result<Vec<Event>, i64>, i64)> {
        let watcher = self.watches.get_mut(&id)?;
        let state = self.node.state();
        let now = state.revision();
        let page = state.events(&watcher.interest, from.max(watcher.next), LIMIT);
        let events = page.map(|page| {
            watcher.next = page.next;
            if page.next <= now {
                self.feed.mark(id, page.next);
            }
            page.events
        });
        Some((events, now))
    }

    /// Ends a watch whose next event was compacted away; the stream stays.
    async fn end_compacted(&mut self, id: i64, compacted: i64) -> Result<(), Gone> {
        self.remove(id);
        self.send(WatchResponse {
            header: self.node.header_now(),
            watch_id: id,
            canceled: true,
            compact_revision: compacted,
            ..Default::default()
        })
        .await
    }

    /// Tells the whole stream the revision up to which all its watches are served.
    async fn progress(&mut self) -> Result<(), Gone> {
        let revision = self.served().await?;
        let header = self.node.header(revision);
        self.send(WatchResponse {
            header,
            watch_id: NO_WATCH,
            ..Default::default()
        })
        .await
    }

    /// Serves all watches up to a revision, and returns it.
    async fn served(&mut self) -> Result<i64, Gone> {
        loop {
            let revision = self.node.state().revision();
            let unread = self.feed.take();
            if unread.is_empty() {
                return Ok(revision);
            }
            for (id, from) in unread {
                self.catch_up_one(id, from).await?;
            }
        }
    }

    async fn tell_progress(&mut self) -> Result<(), Gone> {
        let revision = self.served().await?;
        let ids: Vec<i64> = self
            .watches
            .iter()
            .filter(|(_, watcher)| watcher.progress)
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            let header = self.node.header(revision);
            self.send(WatchResponse {
                header,
                watch_id: id,
                ..Default::default()
            })
            .await?;
        }
        Ok(())
    }

    async fn send(&self, response: WatchResponse) -> Result<(), Gone> {
        self.responses.send(Ok(response)).await.map_err(|_| Gone)
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        for (id, watcher) in &self.watches {
            self.node
                .hub
                .remove(&watcher.interest.range, &self.feed, *id);
        }
    }
}

/// An empty key means all keys, when there is a range to go with it.
fn interest(create: &WatchCreateRequest) -> Interest {
    let key = if create.key.is_empty() {
        b"\0"[..].into()
    } else {
        create.key.clone()
    };
    let without = |filter: FilterType| create.filters.contains(&filter.into());
    Interest {
        range: KeyRange::new(key, &create.range_end),
        puts: !without(FilterType::Noput),
        deletes: !without(FilterType::Nodelete),
        prev_kv: create.prev_kv,
    }
}

fn progress_timer() -> Interval {
    let start = Instant::now() + PROGRESS_INTERVAL;
    let mut timer = tokio::time::interval_at(start, PROGRESS_INTERVAL);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}
