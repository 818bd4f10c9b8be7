//! The loop that moves a member on: proposals to raft, raft's log to disk, the log to the state.
//!
//! While one batch is being synced to disk the next one gathers in the queue; it goes to disk as a
//! whole (group commit). At rest the loop sleeps until a proposal comes or a lease ends: a single
//! voter that leads needs no ticks.

use std::collections::HashMap;
use std::sync::Arc;

use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::Error;
use crate::log::{Batch, Checkpoint, Log};
use crate::node::{Node, Promise, Waiting};
use crate::proto::etcdserverpb::{CompactionRequest, LeaseRevokeRequest};
use crate::proto::storepb::command::Op;
use crate::proto::storepb::{Command, Progress};
use crate::replica::{Committed, Input, Output, Proposal, Recovered, Replica, Save};
use crate::state::{Change, State};

/// The most commands in one batch; it bounds how long the state is locked at a time.
const MAX_BATCH: usize = 1_024;
/// How many revisions are kept for watches to resume from and for reads in the past (etcd's
/// auto-compaction by revision). Older ones are compacted away, so that memory is bounded.
const KEEP_REVISIONS: i64 = 10_000;
/// How many more may gather before they are compacted.
const COMPACTION_STRIDE: i64 = 1_000;
/// How many entries may be applied before the file gets a checkpoint; a start replays at most these
/// and one batch.
const CHECKPOINT_ENTRIES: u64 = 1_000;
/// How many bytes of commands may be applied before the file gets a checkpoint.
const CHECKPOINT_BYTES: usize = 4 << 20;

/// The loop and all that only it touches.
pub(crate) struct Driver {
    node: Arc<Node>,
    replica: Replica,
    /// Only here, so that the file is closed when the loop has ended.
    log: Log,
    queue: mpsc::UnboundedReceiver<Waiting>,
    promises: HashMap<u64, Promise>,
    next_ticket: u64,
    applied: u64,
    unsaved: Unsaved,
    compacting: bool,
}

/// What was done to the state since the last checkpoint of the file.
#[derive(Default)]
struct Unsaved {
    changes: Vec<Change>,
    entries: u64,
    bytes: usize,
}

impl Unsaved {
    fn is_much(&self) -> bool {
        self.entries >= CHECKPOINT_ENTRIES || self.bytes >= CHECKPOINT_BYTES
    }
}

impl Driver {
    /// Brings the state up to all that was ever acknowledged, and takes the lead.
    pub(crate) async fn start(
        node: Arc<Node>,
        log: Log,
        recovered: Recovered,
        queue: mpsc::UnboundedReceiver<Waiting>,
    ) -> Result<Self, Error> {
        let applied = recovered.applied;
        let replica = Replica::recover(node.member.identity.member_id, recovered)?;
        let mut driver = Self {
            node,
            replica,
            log,
            queue,
            promises: HashMap::new(),
            next_ticket: 0,
            applied,
            unsaved: Unsaved::default(),
            compacting: false,
        };
        driver.drive(Input::Lead).await?;
        debug_assert!(
            driver.replica.leads(),
            "a single voter leads as soon as it campaigns"
        );
        Ok(driver)
    }

    /// Runs until the node closes, or the disk fails. What waits then is told by its channel's end.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        while let Some(proposals) = self.next().await {
            self.drive(Input::Propose(proposals)).await?;
        }
        self.finish().await
    }

    /// Waits for the next batch; `None` when the node closes.
    async fn next(&mut self) -> Option<Vec<Proposal>> {
        let mut waiting = Vec::new();
        let closing = self.node.closing.clone();
        let lease_ends = self.node.expiry().next();
        tokio::select! {
            () = closing.cancelled() => return None,
            _ = self.queue.recv_many(&mut waiting, MAX_BATCH) => {}
            () = sleep_until(lease_ends) => {}
        }
        let mut proposals = Vec::with_capacity(waiting.len());
        proposals.extend(waiting.into_iter().map(|waiting| self.expect(waiting)));
        proposals.extend(self.expired().into_iter().chain(self.compaction()));
        Some(proposals)
    }

    /// Takes one input through raft, the disk and the state, until nothing is left to do.
    async fn drive(&mut self, input: Input) -> Result<(), Error> {
        let mut output = self.replica.step(input)?;
        loop {
            let Output { committed, save } = output;
            self.apply(committed)?;
            let Some(save) = save else {
                return Ok(());
            };
            self.save(save).await?;
            output = self.replica.step(Input::Saved)?;
        }
    }

    async fn save(&mut self, save: Save) -> Result<(), Error> {
        let checkpoint = self.unsaved.is_much().then(|| self.checkpoint());
        let applied = checkpoint
            .as_ref()
            .map(|checkpoint| checkpoint.progress.applied);
        self.log
            .commit(Batch {
                save: Some(save),
                checkpoint,
            })
            .await?;
        if let Some(applied) = applied {
            self.replica.step(Input::Checkpointed(applied))?;
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> Checkpoint {
        let changes = std::mem::take(&mut self.unsaved).changes;
        Checkpoint {
            changes,
            progress: self.progress(),
        }
    }

    /// Writes down the last changes, so that the next start has nothing to replay.
    async fn finish(mut self) -> Result<(), Error> {
        let checkpoint = Some(self.checkpoint());
        self.log
            .commit(Batch {
                save: None,
                checkpoint,
            })
            .await
    }

    fn progress(&self) -> Progress {
        let state = self.node.state();
        Progress {
            applied: self.applied,
            revision: state.revision(),
            compacted: state.compacted(),
        }
    }

    fn apply(&mut self, committed: Vec<Committed>) -> Result<(), Error> {
        let node = Arc::clone(&self.node);
        let mut state = node.state_mut();
        for entry in committed {
            self.applied = entry.index;
            self.unsaved.entries += 1;
            self.unsaved.bytes += entry.command.len();
            self.apply_one(&mut state, &entry)?;
        }
        node.set_raft_position(self.replica.term(), self.applied);
        Ok(())
    }

    fn apply_one(&mut self, state: &mut State, entry: &Committed) -> Result<(), Error> {
        let index = entry.index;
        let command = Command::decode(entry.command.as_slice());
        let command = command.map_err(|source| Error::Entry { index, source })?;
        // raft's own entries, and those of a later version, say nothing to this one
        let Some(op) = command.op else {
            return Ok(());
        };
        let applied = state.apply(&op);
        applied
            .changes
            .iter()
            .for_each(|change| self.follow(change));
        self.unsaved.changes.extend(applied.changes);
        if let Some(promise) = entry
            .ticket
            .and_then(|ticket| self.promises.remove(&ticket))
        {
            promise.keep(applied.reply);
        }
        Ok(())
    }

    /// Wakes watchers and keeps the deadlines of leases.
    fn follow(&mut self, change: &Change) {
        match change {
            Change::Recorded(record) => {
                self.node
                    .hub
                    .written(&record.kv.key, record.kv.mod_revision);
            }
            Change::Granted { id, ttl } => self.node.expiry().grant(*id, *ttl, Instant::now()),
            Change::Revoked(id) => self.node.expiry().remove(*id),
            Change::Compacted(_) => self.compacting = false,
            Change::Forgot(_) => {}
        }
    }

    /// Notes who waits for a command, and makes it a proposal.
    fn expect(&mut self, waiting: Waiting) -> Proposal {
        let proposal = self.number(waiting.command);
        self.promises.insert(proposal.ticket, waiting.promise);
        proposal
    }

    fn number(&mut self, command: Vec<u8>) -> Proposal {
        self.next_ticket += 1;
        Proposal {
            ticket: self.next_ticket,
            command,
        }
    }

    /// The leases whose time is over, as commands that end them.
    fn expired(&mut self) -> Vec<Proposal> {
        let due = self.node.expiry().take_due(Instant::now());
        due.into_iter()
            .map(|id| self.order(Op::Revoke(LeaseRevokeRequest { id })))
            .collect()
    }

    /// The compaction that is due, if one is.
    fn compaction(&mut self) -> Option<Proposal> {
        let Progress {
            revision,
            compacted,
            ..
        } = self.progress();
        let due = revision - compacted.max(0) >= KEEP_REVISIONS + COMPACTION_STRIDE;
        if !due || std::mem::replace(&mut self.compacting, due) {
            return None;
        }
        let revision = revision - KEEP_REVISIONS;
        Some(self.order(Op::Compact(CompactionRequest {
            revision,
            physical: false,
        })))
    }

    fn order(&mut self, op: Op) -> Proposal {
        self.number(Command { op: Some(op) }.encode_to_vec())
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
