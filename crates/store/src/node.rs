//! One member of the store, as its servers see it: reads, proposals, leases and watches.
//!
//! Reads are answered from the state at once. That is linearizable here: a write is acknowledged
//! after it is applied, and a single voter cannot be deposed without knowing. (With peers, a read
//! will first have to confirm the leadership by raft's read index.)

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::expiry::Expiry;
use crate::proto::etcdserverpb::{LeaseGrantRequest, ResponseHeader};
use crate::proto::storepb::command::Op;
use crate::proto::storepb::{Command, Identity};
use crate::state::{Refusal, Reply, State, check};
use crate::watch::Hub;

/// The largest command, in bytes (etcd's `--max-request-bytes`).
const MAX_REQUEST_BYTES: usize = 3 << 19;
/// How many bytes of commands may wait for the log; who brings more, waits.
const MAX_WAITING_BYTES: usize = 64 << 20;

/// What all servers of a member share.
pub(crate) struct Node {
    pub(crate) member: Member,
    pub(crate) hub: Hub,
    /// Cancelled when the member is to stop: its streams end, its driver finishes.
    pub(crate) closing: CancellationToken,
    state: RwLock<State>,
    expiry: Mutex<Expiry>,
    term: AtomicU64,
    applied: AtomicU64,
    proposals: mpsc::UnboundedSender<Waiting>,
    waiting_bytes: Arc<Semaphore>,
}

/// Who this member is.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) identity: Identity,
    pub(crate) name: String,
    pub(crate) client_urls: Vec<String>,
    /// The file the member keeps, if it keeps one.
    pub(crate) file: Option<PathBuf>,
}

/// A command on its way to the log, and who waits for its outcome.
pub(crate) struct Waiting {
    pub(crate) command: Vec<u8>,
    pub(crate) promise: Promise,
}

/// Where the outcome of a command is to go.
pub(crate) struct Promise {
    reply: oneshot::Sender<Result<Reply, Refusal>>,
    /// The command's share of the bytes that may wait.
    permit: Option<OwnedSemaphorePermit>,
}

impl Promise {
    /// Tells the outcome, if whoever asked is still there.
    pub(crate) fn keep(self, outcome: Result<Reply, Refusal>) {
        drop(self.permit);
        _ = self.reply.send(outcome);
    }
}

/// Why a proposal has no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The command may have been carried out, or not.
    #[error("etcdserver: server stopped")]
    Stopped,
}

impl Node {
    /// A member with this state, and the queue its driver takes proposals from.
    pub(crate) fn new(
        member: Member,
        state: State,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Waiting>) {
        let (proposals, queue) = mpsc::unbounded_channel();
        let mut expiry = Expiry::default();
        let now = Instant::now();
        state
            .leases()
            .for_each(|(id, ttl)| expiry.grant(id, ttl, now));
        let node = Self {
            member,
            hub: Hub::default(),
            closing: CancellationToken::new(),
            state: RwLock::new(state),
            expiry: Mutex::new(expiry),
            term: AtomicU64::new(0),
            applied: AtomicU64::new(0),
            proposals,
            waiting_bytes: Arc::new(Semaphore::new(MAX_WAITING_BYTES)),
        };
        (Arc::new(node), queue)
    }

    /// Has a command agreed on, made durable and carried out, in this order.
    pub(crate) async fn propose(&self, op: Op) -> Result<Reply, Failure> {
        check(&op)?;
        let command = Command { op: Some(op) }.encode_to_vec();
        if command.len() > MAX_REQUEST_BYTES {
            return Err(Refusal::RequestTooLarge.into());
        }
        let bytes = u32::try_from(command.len()).unwrap_or(u32::MAX);
        let waiting_bytes = Arc::clone(&self.waiting_bytes);
        let permit = waiting_bytes.acquire_many_owned(bytes).await.ok();
        let (reply, outcome) = oneshot::channel();
        let waiting = Waiting {
            command,
            promise: Promise { reply, permit },
        };
        self.proposals.send(waiting).map_err(|_| Failure::Stopped)?;
        Ok(outcome.await.map_err(|_| Failure::Stopped)??)
    }

    /// Grants a lease; one without an id is given one that is free.
    pub(crate) async fn grant(&self, request: LeaseGrantRequest) -> Result<Reply, Failure> {
        if request.id != 0 {
            return self.propose(Op::Grant(request)).await;
        }
        loop {
            let op = Op::Grant(LeaseGrantRequest {
                id: chance(),
                ..request
            });
            match self.propose(op).await {
                Err(Failure::Refused(Refusal::LeaseExists)) => {}
                outcome => return outcome,
            }
        }
    }

    /// Gives a lease its full time to live again, and returns that in seconds; 0 if it has ended.
    pub(crate) fn keep_alive(&self, lease: i64) -> i64 {
        self.expiry().renew(lease, Instant::now()).unwrap_or(0)
    }

    /// The state, to read from.
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, to apply to. Whoever holds this tells the hub before letting go, so that a watch
    /// that starts sees each write either in the history or as a wake-up.
    pub(crate) fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The deadlines of the leases.
    pub(crate) fn expiry(&self) -> MutexGuard<'_, Expiry> {
        self.expiry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how far raft has come.
    pub(crate) fn set_raft_position(&self, term: u64, applied: u64) {
        self.term.store(term, Ordering::Relaxed);
        self.applied.store(applied, Ordering::Relaxed);
    }

    /// Raft's term, and the index of the last entry applied.
    pub(crate) fn raft_position(&self) -> (u64, u64) {
        (
            self.term.load(Ordering::Relaxed),
            self.applied.load(Ordering::Relaxed),
        )
    }

    /// The header of an answer that was true at `revision`.
    pub(crate) fn header(&self, revision: i64) -> Option<ResponseHeader> {
        let Identity {
            cluster_id,
            member_id,
            ..
        } = self.member.identity;
        Some(ResponseHeader {
            cluster_id,
            member_id,
            revision,
            raft_term: self.raft_position().0,
        })
    }

    /// The header of an answer that is true now.
    pub(crate) fn header_now(&self) -> Option<ResponseHeader> {
        self.header(self.state().revision())
    }
}

/// A random id: positive, as etcd's lease ids are. A fresh `RandomState` has fresh keys; nothing else goes in, so
/// that a simulation whose randomness comes from a seed can be repeated.
pub(crate) fn chance() -> i64 {
    let hash = RandomState::new().build_hasher().finish();
    (hash >> 1).max(1).cast_signed()
}
