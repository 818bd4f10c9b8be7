//! What people ask of such a cluster: fleetctl's lists and its why, as whole programs.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fleetd::api::Api;
use fleetd::sockets;
use tokio_util::sync::CancellationToken;

use crate::role::Role;
use crate::threads::thread_of;
use crate::world::World;

/// How long a question should take at most, with 10,000 units on 1,000 machines.
const LIMIT: Duration = Duration::from_millis(100);
/// How often each is asked.
const ROUNDS: usize = 9;
/// Objects on a page of a list, as fleetd has it.
const PAGE: u16 = 100;

/// Asks with the program that the environment names as `FLEETCTL`; without one, nothing.
pub(crate) async fn measure(world: &World, dir: &Path) {
    let Some(fleetctl) = std::env::var_os("FLEETCTL") else {
        return;
    };
    let socket = dir.join("fleet.sock");
    let listener = sockets::listeners(&socket).await.expect("a socket");
    let listener = listener.into_iter().next().expect("a socket");
    let (registry, closing) = (world.registry().await, CancellationToken::new());
    let api = Api::new(registry, PAGE, || true, closing.clone());
    thread_of(Role::Api).spawn(api.serve(listener));
    let endpoint = format!("--endpoint=unix://{}", socket.display());
    let ask = |words: &[&str]| {
        let mut command = Command::new(&fleetctl);
        command.arg(&endpoint).args(words).stdout(Stdio::null());
        aside(command)
    };
    println!("asked by fleetctl, from its start to its end:");
    tell("the first why", ask(&["why", "job0@0.service"]).await, None);
    for (words, limit) in [
        (&["why", "job1@1.service"][..], Some(LIMIT)),
        (&["list-units"], Some(LIMIT)),
        (&["list-unit-files"], None),
        (&["list-machines"], None),
    ] {
        let mut took = Vec::new();
        for _ in 0..ROUNDS {
            took.push(ask(words).await);
        }
        took.sort_unstable();
        tell(&words.join(" "), took[ROUNDS / 2], limit);
    }
    closing.cancel();
}

/// Runs it where it does not hold up this thread, which carries the connections.
async fn aside(mut command: Command) -> Duration {
    let run = move || {
        let begun = Instant::now();
        let status = command.status().expect("fleetctl runs");
        assert!(status.success(), "{command:?} fails");
        begun.elapsed()
    };
    tokio::task::spawn_blocking(run).await.expect("it has run")
}

fn tell(what: &str, took: Duration, limit: Option<Duration>) {
    let limit = limit.map_or(String::new(), |limit| {
        format!("   (at most {limit:?} with 10,000 units on 1,000 machines)")
    });
    println!("{:>9.3} s  {what}{limit}", took.as_secs_f64());
}
