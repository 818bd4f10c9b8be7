//! A key-value store inside the process that speaks etcd's v3 API over gRPC.
//!
//! [`Store::open`] keeps it in a directory, [`Store::in_memory`] does not. Both are the same code:
//! commands are agreed on by raft (today by a single voter), made durable, and only then carried
//! out and acknowledged.
//!
//! | module | is |
//! |---|---|
//! | `state` | what commands do to keys and leases; pure |
//! | `replica` | what raft does with commands; pure |
//! | `log` | the file that both are kept in |
//! | `driver` | the loop: queue → raft → disk → state |
//! | `node` | what the servers see: reads, proposals, leases |
//! | `watch` | who is woken by a write |
//! | `grpc` | etcd's services |
//! | `serve` | listeners, and the ways in from the same process |

mod driver;
mod error;
mod expiry;
mod grpc;
mod log;
mod node;
mod proto;
mod replica;
mod serve;
mod state;
mod watch;

pub use error::Error;
pub use log::MemoryLog;
pub use serve::Service;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch as latch;

use driver::Driver;
use log::{Disk, Log};
use node::{Member, Node, chance};
use proto::storepb::Identity;
use replica::Recovered;
use state::State;

/// A running store. Clones are handles to the same one; it runs until [`Store::close`] is called or
/// its disk fails, whether handles are left or not.
#[derive(Clone)]
pub struct Store {
    node: Arc<Node>,
    end: latch::Receiver<Option<End>>,
}

/// What a store is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory of the store's file. It is made where there is none.
    pub dir: PathBuf,
    /// The member's name, as `etcdctl member list` shows it.
    pub name: String,
    /// The URLs at which clients reach the store, as `etcdctl member list` shows them.
    pub client_urls: Vec<String>,
}

/// How a store ended: in good order, or by an error.
type End = Result<(), Arc<Error>>;

impl Store {
    /// Opens the store in `options.dir`, with all that was ever acknowledged there. Leases have
    /// their full time to live again.
    ///
    /// # Errors
    /// The file is in use by another process, damaged, of a newer format, or cannot be read or
    /// written; each error names the file.
    pub async fn open(options: Options) -> Result<Self, Error> {
        let Options {
            dir,
            name,
            client_urls,
        } = options;
        let (disk, recovered, state) = tokio::task::spawn_blocking(move || {
            let disk = Disk::open(&dir, &new_identity())?;
            let (recovered, state) = (disk.recover()?, disk.load()?);
            Ok::<_, Error>((disk, recovered, state))
        })
        .await
        .unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic()))?;
        let identity = disk.identity()?;
        let log = Log::Disk(Arc::new(disk));
        let file = log.path().map(Into::into);
        Self::start(
            Member {
                identity,
                name,
                client_urls,
                file,
            },
            log,
            recovered,
            state,
        )
        .await
    }

    /// A store that is forgotten when it ends: for tests. It needs a tokio runtime, and works under its paused clock.
    ///
    /// # Errors
    /// None that are known: there is no disk to fail.
    pub async fn in_memory() -> Result<Self, Error> {
        let member = in_memory(new_identity());
        Self::start(member, Log::None, Recovered::genesis(), State::default()).await
    }

    /// A store that keeps a log in memory, with all that an earlier one has acknowledged there: for tests of restarts. Leases have
    /// their full time to live again.
    ///
    /// # Errors
    /// None that are known, as long as only one store at a time is on the log.
    pub async fn on(log: &MemoryLog) -> Result<Self, Error> {
        let (recovered, state) = log.recover();
        let member = in_memory(log.identity());
        Self::start(member, Log::Memory(log.clone()), recovered, state).await
    }

    /// Stops the store: streams end, what is queued is refused, the file is brought up to date and
    /// closed. Returns when this is done.
    ///
    /// # Errors
    /// What ended the store, if it was not this call.
    pub async fn close(&self) -> Result<(), Arc<Error>> {
        self.node.closing.cancel();
        self.closed().await
    }

    /// Waits until the store has ended, by [`Store::close`] or by an error.
    ///
    /// # Errors
    /// The error that ended it. After a failed write the store does not go on, because nobody can
    /// say what the disk holds; opening it again finds out.
    pub async fn closed(&self) -> Result<(), Arc<Error>> {
        let mut end = self.end.clone();
        let ended = end.wait_for(Option::is_some).await;
        // the sender goes only with a driver that was torn down with its runtime
        ended.map_or(Ok(()), |end| end.clone().unwrap_or(Ok(())))
    }

    async fn start(
        member: Member,
        log: Log,
        recovered: Recovered,
        state: State,
    ) -> Result<Self, Error> {
        let (node, queue) = Node::new(member, state);
        let driver = Driver::start(Arc::clone(&node), log, recovered, queue).await?;
        let (sender, end) = latch::channel(None);
        tokio::spawn(run(Arc::clone(&node), driver, sender));
        Ok(Self { node, end })
    }
}

async fn run(node: Arc<Node>, driver: Driver, end: latch::Sender<Option<End>>) {
    let ended = driver.run().await.map_err(Arc::new);
    if let Err(error) = &ended {
        tracing::error!(
            error = error.as_ref() as &dyn std::error::Error,
            "the store has stopped"
        );
    }
    node.closing.cancel();
    end.send_replace(Some(ended));
}

fn in_memory(identity: Identity) -> Member {
    Member {
        identity,
        name: "memory".to_owned(),
        client_urls: Vec::new(),
        file: None,
    }
}

/// The identity of a new cluster of one.
fn new_identity() -> Identity {
    let id = || chance().unsigned_abs();
    Identity {
        format: 0,
        cluster_id: id(),
        member_id: id(),
    }
}
