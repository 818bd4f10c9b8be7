//! An operator's `etcdctl` says the same of this store as of a real etcd.
//!
//! The same commands are given to both and the transcripts compared, but for ids, terms and times.
//! Without `etcdctl` or `etcd` in the path the tests say so and pass.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener as StdListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use store::{Options, Store};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// One line is one call of `etcdctl`; what follows ` << ` is its input, with `|` for a new line.
/// `LEASE` is the lease that was granted last.
const COMMANDS: &str = r#"
put a 1
put a 2 --prev-kv
put b/1 x
put b/2 y
put b/3 z
get a
get nothing
get a -w json
get a --print-value-only
get b --prefix
get b --prefix --keys-only
get b --prefix --limit=2 -w json
get b/1 b/3
get b/2 --from-key
get b --prefix --order=DESCEND --sort-by=MODIFY
get b --prefix --sort-by=VALUE --limit=1
get a --rev=2
get a --rev=100
put a --ignore-value
put nothing --ignore-value
del a --prev-kv
del a
txn << value("b/1") = "x"||put b/1 xx|get b/1||put never 1||
txn << mod("b/1") > "100"||put never 1||get b/1|del b/2||
txn << create("nothing") = "0"|version("b/3") = "1"||put t 1|get t||
txn -w json << mod("t") > "0"||put t 2|get b --prefix||
txn << ||put t 1|put t 2||
lease grant 600
put leased x --lease=LEASE
lease list
lease timetolive LEASE --keys
lease keep-alive LEASE --once
lease revoke LEASE
lease revoke LEASE
lease timetolive LEASE
get leased
put leased x --lease=1234
lease grant 1
lease grant 9000000001
compaction 5
compaction 5
compaction 100
get b/1 --rev=3
get b/1 --rev=5
del b --prefix
get --from-key a
put "" x
endpoint health
alarm list
watch b/1 --rev=2
"#;

/// Calls that print until they are stopped, and how many lines are to come.
const WATCHES: &[(&str, usize)] = &[
    ("watch b --prefix --rev=6", 15),
    ("watch b --prefix --rev=6 --prev-kv", 23),
    ("watch b/1 --rev=6", 6),
];

#[tokio::test(flavor = "multi_thread")]
async fn etcdctl_sees_no_difference_to_etcd() {
    let Some(etcd) = Etcd::start() else { return };
    let ours = Ours::start().await;
    let theirs = etcd.addr.clone();
    let of_etcd = tokio::task::spawn_blocking(move || transcript(&theirs));
    let of_ours = tokio::task::spawn_blocking(move || transcript(&ours.addr));
    let (of_etcd, of_ours) = (of_etcd.await.unwrap(), of_ours.await.unwrap());
    for (theirs, ours) in of_etcd.iter().zip(&of_ours) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(of_ours.len(), of_etcd.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn etcdctl_shows_the_member_and_its_status() {
    if !installed("etcdctl") {
        return;
    }
    let ours = Ours::start().await;
    let shown = tokio::task::spawn_blocking(move || {
        let mut ctl = Ctl {
            addr: ours.addr,
            lease: String::new(),
        };
        (ctl.call("member list"), ctl.call("endpoint status"))
    });
    let (members, status) = shown.await.unwrap();
    assert!(
        members.contains(", started, default, , http://ADDR, false"),
        "{members}"
    );
    let fields: Vec<_> = status.split(", ").collect();
    let [_, _, version, size, is_leader, is_learner, ..] = fields[..] else {
        panic!("{status}")
    };
    assert_eq!(
        (version, is_leader, is_learner),
        ("3.4.0", "true", "false"),
        "{status}"
    );
    assert!(size.ends_with("kB"), "{status}");
}

fn transcript(addr: &str) -> Vec<String> {
    let mut ctl = Ctl {
        addr: addr.to_owned(),
        lease: String::new(),
    };
    let commands = COMMANDS.lines().filter(|line| !line.is_empty());
    let called = commands.map(|command| format!("$ {command}\n{}", ctl.call(command)));
    let mut transcript: Vec<_> = called.collect();
    let watched = WATCHES
        .iter()
        .map(|(command, lines)| format!("$ {command}\n{}", ctl.lines(command, *lines)));
    transcript.extend(watched);
    transcript
}

/// `etcdctl` for one endpoint.
struct Ctl {
    addr: String,
    lease: String,
}

impl Ctl {
    /// Runs a command, and returns what it prints, but for what differs from run to run.
    fn call(&mut self, command: &str) -> String {
        let (arguments, input) = command.split_once(" << ").unwrap_or((command, ""));
        let mut process = self.spawn(arguments);
        let input = input.replace('|', "\n");
        process
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let output = process.wait_with_output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        if let Some(granted) = printed
            .strip_prefix("lease ")
            .filter(|_| command.contains("grant"))
        {
            granted
                .split(' ')
                .next()
                .unwrap()
                .clone_into(&mut self.lease);
        }
        let errors = String::from_utf8(output.stderr).unwrap();
        self.stable(&format!(
            "{printed}{errors}exit {:?}\n",
            output.status.code()
        ))
    }

    /// Starts a command, and stops it when it has printed so many lines.
    fn lines(&self, command: &str, count: usize) -> String {
        let mut process = self.spawn(command);
        let output = BufReader::new(process.stdout.take().unwrap());
        let lines: Vec<_> = output.lines().take(count).map(Result::unwrap).collect();
        // SIGTERM, which `timeout` passes on: SIGKILL would end it alone
        let asked = Command::new("kill").arg(process.id().to_string()).status();
        assert!(asked.unwrap().success());
        process.wait().unwrap();
        self.stable(&lines.join("\n"))
    }

    fn spawn(&self, arguments: &str) -> Child {
        let arguments = arguments.replace("LEASE", &self.lease);
        // what hangs, ends after a while and shows as a difference
        Command::new("timeout")
            .args(["20", "etcdctl"])
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &self.addr])
            .args(
                arguments
                    .split(' ')
                    .map(|argument| argument.trim_matches('"')),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Without log lines, ids, addresses and times.
    fn stable(&self, text: &str) -> String {
        let lines = text.lines().filter(|line| !line.starts_with("{\"level\""));
        let lines = lines.map(|line| line.split("took = ").next().unwrap());
        let text = lines.fold(String::new(), |text, line| text + line + "\n");
        let text = text.replace(&self.addr, "ADDR");
        let text = if self.lease.is_empty() {
            text
        } else {
            text.replace(&self.lease, "ID")
        };
        let labels = [
            "\"cluster_id\":",
            "\"member_id\":",
            "\"raft_term\":",
            "remaining(",
        ];
        labels.iter().fold(text, |text, label| mask(&text, label))
    }
}

/// Replaces the number after each `label` by `N`.
fn mask(text: &str, label: &str) -> String {
    let mut parts = text.split(label);
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| {
        text + label + "N" + part.trim_start_matches(|c: char| c.is_ascii_digit())
    })
}

/// Our store on a socket.
struct Ours {
    addr: String,
    _dir: TempDir,
}

impl Ours {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let options = Options {
            dir: dir.path().to_owned(),
            name: "default".to_owned(),
            client_urls: vec![format!("http://{addr}")],
        };
        let store = Store::open(options).await.unwrap();
        tokio::spawn(store.serve(listener, std::future::pending()));
        Self { addr, _dir: dir }
    }
}

/// A real etcd, stopped when this goes.
struct Etcd {
    process: Child,
    addr: String,
    _dir: TempDir,
}

impl Etcd {
    fn start() -> Option<Self> {
        if !installed("etcd") || !installed("etcdctl") {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let (addr, peer) = (free_addr(), format!("http://{}", free_addr()));
        let process = Command::new("etcd")
            .arg("--data-dir")
            .arg(dir.path())
            .arg(format!("--listen-client-urls=http://{addr}"))
            .arg(format!("--advertise-client-urls=http://{addr}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster=default={peer}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let etcd = Self {
            process,
            addr,
            _dir: dir,
        };
        etcd.wait();
        Some(etcd)
    }

    /// Waits until it answers.
    fn wait(&self) {
        let mut ctl = Ctl {
            addr: self.addr.clone(),
            lease: String::new(),
        };
        let start = Instant::now();
        while !ctl.call("get x").contains("exit Some(0)") {
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "etcd does not answer"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

fn installed(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--help")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !found {
        println!(
            "NOT TESTED: there is no {program} in the path (Debian: etcd-server, etcd-client)"
        );
    }
    found
}

fn free_addr() -> String {
    StdListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string()
}
