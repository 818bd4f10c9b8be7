//! `POST /fleet/v2/watch`: what a client hears of its units while things happen.

use std::time::Duration;

use fleet::v2::UnitStatus;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;

use crate::api::{JSON, World};
use crate::http;

const OPTIONS: &str = r#"{"desiredState":"launched","options":[{"section":"Service","name":"ExecStart","value":"/bin/true"}]}"#;

/// A client's end of a watch.
struct Watcher(Lines<BufReader<UnixStream>>);

impl Watcher {
    async fn of(world: &World, units: &[&str]) -> Watcher {
        let mut stream = UnixStream::connect(&world.socket).await.unwrap();
        let body = serde_json::json!({ "units": units }).to_string();
        let length = body.len();
        let head = "POST /fleet/v2/watch HTTP/1.1\r\nHost: fleet";
        let request = format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        Watcher(BufReader::new(stream).lines())
    }

    /// The next status; chunk sizes, the head and heartbeats are no JSON objects and are passed over.
    async fn next(&mut self) -> UnitStatus {
        let line = async {
            loop {
                let line = self
                    .0
                    .next_line()
                    .await
                    .unwrap()
                    .expect("the watch goes on");
                if line.starts_with('{') {
                    return serde_json::from_str(&line).unwrap();
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), line)
            .await
            .expect("a line comes")
    }
}

async fn put(world: &World, unit: &str, body: &str) {
    let line = format!("PUT /fleet/v1/units/{unit}");
    let answer = http::send(&world.socket, &line, &[JSON], body.as_bytes()).await;
    assert!(answer.status < 300, "{answer:?}");
}

#[tokio::test]
async fn a_client_hears_of_each_change_of_its_units_and_of_no_others() {
    let mut world = World::new().await;
    put(&world, "other.service", OPTIONS).await;
    let mut watcher = Watcher::of(&world, &["a.service", "no-name"]).await;
    let first = watcher.next().await;
    assert_eq!((first.name.as_str(), first.exists), ("a.service", false));
    let nameless = watcher.next().await;
    assert_eq!(
        (nameless.name.as_str(), nameless.exists),
        ("no-name", false)
    );

    put(&world, "a.service", OPTIONS).await;
    let made = watcher.next().await;
    assert!(made.exists && made.machine_id.is_empty());
    assert_eq!(
        (made.desired_state.as_str(), made.scheduled),
        ("launched", 0)
    );
    assert_eq!(made.waiting, "no engine leads");

    world.act(&["@machine", "m1", "10.0.0.1"]).await;
    world.act(&["@schedule", "a.service", "m1"]).await;
    let mut scheduled = watcher.next().await;
    // that there is a leader now may be told on its own
    while scheduled.machine_id.is_empty() {
        scheduled = watcher.next().await;
    }
    assert_eq!(
        (scheduled.primary_ip.as_str(), scheduled.scheduled),
        ("10.0.0.1", 1)
    );
    assert_eq!(
        (scheduled.waiting.as_str(), scheduled.current_state.as_str()),
        ("", "inactive")
    );

    put(&world, "other.service", r#"{"desiredState":"loaded"}"#).await;
    let queued = "@state a.service m1 loaded inactive dead launched starting";
    let words: Vec<&str> = queued.split(' ').collect();
    world.act(&words).await;
    let starting = watcher.next().await;
    assert_eq!(starting.current_state, "launched");
    assert!(starting.states[0].starting);

    let up = "@state a.service m1 loaded active running launched";
    let words: Vec<&str> = up.split(' ').collect();
    world.act(&words).await;
    let running = watcher.next().await;
    assert_eq!(running.name, "a.service");
    assert_eq!(running.current_state, "launched");
    assert_eq!(
        (
            running.states[0].machine_id.as_str(),
            running.states[0].active.as_str()
        ),
        ("m1", "active")
    );
    assert_eq!(running.states[0].hash, running.hash);
    assert!(!running.states[0].starting);

    let gone = http::send(&world.socket, "DELETE /fleet/v1/units/a.service", &[], b"").await;
    assert_eq!(gone.status, 204);
    assert!(!watcher.next().await.exists);
}

#[tokio::test]
async fn a_unit_that_fits_no_machine_says_why_it_waits() {
    let mut world = World::new().await;
    world
        .act(&["@machine", "m1", "10.0.0.1", "region=us"])
        .await;
    put(&world, "x.service", OPTIONS).await;
    // scheduling it makes m1 the leader
    world.act(&["@schedule", "x.service", "m1"]).await;
    let wish = r#"{"desiredState":"launched","options":[{"section":"X-Fleet","name":"MachineMetadata","value":"region=eu"}]}"#;
    put(&world, "eu.service", wish).await;
    let status = Watcher::of(&world, &["eu.service"]).await.next().await;
    assert!(status.waiting.contains("region=eu"), "{status:?}");
}

#[tokio::test]
async fn a_global_unit_counts_the_machines_that_fit() {
    let mut world = World::new().await;
    world
        .act(&["@machine", "m1", "10.0.0.1", "region=eu"])
        .await;
    world
        .act(&["@machine", "m2", "10.0.0.2", "region=eu"])
        .await;
    world
        .act(&["@machine", "m3", "10.0.0.3", "region=us"])
        .await;
    let wish = r#"{"desiredState":"launched","options":[{"section":"X-Fleet","name":"Global","value":"true"},{"section":"X-Fleet","name":"MachineMetadata","value":"region=eu"}]}"#;
    put(&world, "g.service", wish).await;
    let status = Watcher::of(&world, &["g.service"]).await.next().await;
    assert!(status.global && status.current_state.is_empty());
    assert_eq!(status.scheduled, 2);
}
