//! The store is killed, again and again, while it is written to; then it must know all that it has
//! acknowledged.
//!
//! The store runs in a process of its own: this test program, started once more to run the one
//! test below that serves. SIGKILL shows that nothing waits in the process's memory; that a commit
//! is also safe from a loss of power rests on redb's fsync.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use etcd_client::{Client, GetOptions, PutOptions, Txn, TxnOp, WatchOptions};
use store::{Options, Store};
use tokio::sync::Notify;
use tokio::time::timeout;

const ROUNDS: u64 = 12;
const WRITERS: usize = 8;
const DIR: &str = "STORE_TEST_DIR";

#[tokio::test]
#[ignore = "serves for the other tests, in a process of its own"]
async fn serve() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let store = Store::open(Options {
        dir: dir.into(),
        name: "child".into(),
        client_urls: vec![],
    });
    let store = store.await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("\nserving on {}", listener.local_addr().unwrap());
    store.serve(listener, std::future::pending()).await.unwrap();
}

/// A store in another process, killed when this goes.
struct Server {
    process: Child,
    addr: String,
}

impl Server {
    fn spawn(dir: &Path) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "serve", "--ignored", "--nocapture"])
            .env(DIR, dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn start(dir: &Path) -> Self {
        let mut process = Self::spawn(dir);
        let output = BufReader::new(process.stdout.take().unwrap());
        let line = output
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("serving on ").map(str::to_owned));
        Self {
            process,
            addr: line.expect("the store serves"),
        }
    }

    async fn client(&self) -> Client {
        Client::connect([&self.addr], None).await.unwrap()
    }

    fn kill(mut self) {
        kill(&mut self.process);
    }
}

fn kill(process: &mut Child) {
    process.kill().unwrap();
    process.wait().unwrap();
}

/// What a store has said, and what it may have done without having come to say it.
#[derive(Default)]
struct Ledger {
    /// For each writer, its last acknowledged number and the revision it got.
    acknowledged: Mutex<BTreeMap<usize, (u64, i64)>>,
    count: AtomicU64,
    enough: Notify,
}

impl Ledger {
    fn last(&self, writer: usize) -> (u64, i64) {
        self.acknowledged
            .lock()
            .unwrap()
            .get(&writer)
            .copied()
            .unwrap_or_default()
    }

    fn acknowledge(&self, writer: usize, number: u64, revision: i64, goal: u64) {
        self.acknowledged
            .lock()
            .unwrap()
            .insert(writer, (number, revision));
        if self.count.fetch_add(1, Ordering::Relaxed) + 1 >= goal {
            self.enough.notify_one();
        }
    }

    /// Notes what is there, and is to stay, though it may not have been acknowledged.
    async fn take_stock(&self, client: &mut Client) {
        for writer in 0..WRITERS {
            let got = client.get(key(writer), None).await.unwrap();
            let Some(kv) = got.kvs().first() else {
                continue;
            };
            let found = (kv.value_str().unwrap().parse().unwrap(), kv.mod_revision());
            self.acknowledged.lock().unwrap().insert(writer, found);
        }
    }

    fn highest_revision(&self) -> i64 {
        self.acknowledged
            .lock()
            .unwrap()
            .values()
            .map(|(_, revision)| *revision)
            .max()
            .unwrap_or(1)
    }
}

/// Writes rising numbers, in turns as a put and as a transaction of two keys, until the store dies.
async fn write(mut client: Client, ledger: Arc<Ledger>, writer: usize, start: u64, goal: u64) {
    for number in start.. {
        let text = number.to_string();
        let written = if number % 2 == 0 {
            client
                .put(key(writer), text, None)
                .await
                .map(|put| put.header().cloned())
        } else {
            let twin = TxnOp::put(format!("twin/{writer}"), text.clone(), None);
            let both = Txn::new().and_then([TxnOp::put(key(writer), text, None), twin]);
            client.txn(both).await.map(|txn| txn.header().cloned())
        };
        let Ok(header) = written else { return };
        ledger.acknowledge(writer, number, header.unwrap().revision(), goal);
    }
}

fn key(writer: usize) -> String {
    format!("writer/{writer}")
}

async fn number(client: &mut Client, key: &str, revision: i64) -> u64 {
    let at = GetOptions::new().with_revision(revision);
    let got = client.get(key, Some(at)).await.unwrap();
    got.kvs()
        .first()
        .map_or(0, |kv| kv.value_str().unwrap().parse().unwrap())
}

/// Everything acknowledged is there, at the revision that was told; at most one write more each.
async fn check(client: &mut Client, ledger: &Ledger) {
    let now = client
        .get("writer", None)
        .await
        .unwrap()
        .header()
        .unwrap()
        .revision();
    assert!(
        now >= ledger.highest_revision(),
        "the revision went back to {now}"
    );
    for writer in 0..WRITERS {
        let (acknowledged, revision) = ledger.last(writer);
        assert_eq!(number(client, &key(writer), revision).await, acknowledged);
        let found = number(client, &key(writer), 0).await;
        assert!(
            found == acknowledged || found == acknowledged + 1,
            "writer {writer}: acknowledged {acknowledged}, found {found}"
        );
        let twin = number(client, &format!("twin/{writer}"), 0).await;
        assert_eq!(
            twin,
            if found % 2 == 0 {
                found.saturating_sub(1)
            } else {
                found
            }
        );
    }
}

/// The history has every number of every writer, in order and without a gap.
async fn check_history(client: &mut Client) {
    let now = client
        .get("x", None)
        .await
        .unwrap()
        .header()
        .unwrap()
        .revision();
    let options = WatchOptions::new().with_prefix().with_start_revision(1);
    let mut watch = client.watch("writer/", Some(options)).await.unwrap();
    let mut last = BTreeMap::new();
    let mut seen = 1;
    watch.request_progress().await.unwrap();
    while seen < now {
        let response = timeout(Duration::from_secs(10), watch.message())
            .await
            .unwrap();
        let response = response.unwrap().unwrap();
        for kv in response.events().iter().filter_map(|event| event.kv()) {
            let number: u64 = kv.value_str().unwrap().parse().unwrap();
            let before = last.insert(kv.key().to_vec(), number).unwrap_or(0);
            assert_eq!(number, before + 1, "{}", kv.key_str().unwrap());
        }
        if response.watch_id() == -1 {
            seen = response.header().unwrap().revision();
        }
    }
    assert_eq!(last.len(), WRITERS);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_being_killed_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Ledger::default());
    for round in 0..ROUNDS {
        let server = Server::start(dir.path());
        let mut client = server.client().await;
        check(&mut client, &ledger).await;
        ledger.take_stock(&mut client).await;

        let goal = ledger.count.load(Ordering::Relaxed) + 100 + 60 * round;
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let start = ledger.last(writer).0 + 1;
            writers.spawn(write(
                client.clone(),
                Arc::clone(&ledger),
                writer,
                start,
                goal,
            ));
        }
        timeout(Duration::from_secs(60), ledger.enough.notified())
            .await
            .expect("writes go on");
        server.kill();
        writers.join_all().await;

        // and once more while it starts, wherever it is by then
        let mut starting = Server::spawn(dir.path());
        tokio::time::sleep(Duration::from_millis(5 * round)).await;
        kill(&mut starting);
    }
    let server = Server::start(dir.path());
    let mut client = server.client().await;
    check(&mut client, &ledger).await;
    check_history(&mut client).await;
    server.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_killed_while_it_is_made_can_be_made() {
    let dir = tempfile::tempdir().unwrap();
    for delay in 0..40 {
        let dir = dir.path().join(delay.to_string());
        let mut starting = Server::spawn(&dir);
        tokio::time::sleep(Duration::from_millis(delay)).await;
        kill(&mut starting);
        let store = Store::open(Options {
            dir,
            name: "made".into(),
            client_urls: vec![],
        });
        store.await.unwrap().close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_compaction_and_identity_survive_being_killed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let mut client = server.client().await;
    let lease = client.lease_grant(100, None).await.unwrap().id();
    let revoked = client.lease_grant(100, None).await.unwrap().id();
    client
        .put("leased", "x", Some(PutOptions::new().with_lease(lease)))
        .await
        .unwrap();
    client
        .put("gone", "x", Some(PutOptions::new().with_lease(revoked)))
        .await
        .unwrap();
    client.lease_revoke(revoked).await.unwrap();
    client.delete("nothing", None).await.unwrap();
    client.compact(4, None).await.unwrap();
    let before = client.member_list().await.unwrap();
    let header = before.header().unwrap().clone();
    server.kill();

    let server = Server::start(dir.path());
    let mut client = server.client().await;
    let after = client.member_list().await.unwrap();
    assert_eq!(after.members()[0].id(), before.members()[0].id());
    assert_eq!(after.header().unwrap().cluster_id(), header.cluster_id());
    assert_eq!(after.header().unwrap().revision(), header.revision());
    assert!(after.header().unwrap().raft_term() > header.raft_term());
    let left = client.lease_time_to_live(lease, None).await.unwrap();
    assert_eq!(left.granted_ttl(), 100);
    assert_eq!(
        client
            .lease_time_to_live(revoked, None)
            .await
            .unwrap()
            .ttl(),
        -1
    );
    assert_eq!(client.get("gone", None).await.unwrap().count(), 0);
    assert!(
        client.compact(4, None).await.is_err(),
        "the compaction is forgotten"
    );
    client.lease_revoke(lease).await.unwrap();
    assert_eq!(client.get("leased", None).await.unwrap().count(), 0);
    server.kill();
}
