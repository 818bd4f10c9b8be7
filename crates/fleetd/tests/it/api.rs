//! The API, exchange by exchange: each file of `tests/api` is a story of requests and answers.
//!
//! A request is its line, headers and body; `GET! /path` shows the answer's headers too. Lines that open with `@`
//! do what engine and agents would: `@machine ID ADDRESS [KEY=VALUE]...`, `@schedule UNIT ID`,
//! `@state UNIT ID LOAD ACTIVE SUB CURRENT [starting]`, `@units PREFIX COUNT`, `@disconnect`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fleet::schedule::Change;
use fleet::{Assignment, DesiredState, Machine, MachineId, UnitState};
use fleetd::api::Api;
use fleetd::sockets;
use registry::{Membership, Registry};
use store::Store;
use tokio_util::sync::CancellationToken;
use unitfile::{Hash, UnitName};

use crate::http::{self, Answer};
use crate::scenario;

#[tokio::test]
async fn requests_get_the_answers_that_the_stories_tell() {
    for path in scenario::files("api") {
        let situations = scenario::situations(&std::fs::read_to_string(&path).unwrap());
        let mut world = World::new().await;
        let mut outcomes = Vec::new();
        for situation in &situations {
            outcomes.push(world.play(situation).await);
        }
        scenario::check(&path, &scenario::print(&situations, &outcomes));
    }
}

/// An API over a store of its own.
pub(crate) struct World {
    pub(crate) socket: PathBuf,
    pub(crate) registry: Registry,
    members: BTreeMap<String, Membership>,
    connected: Arc<AtomicBool>,
    closing: CancellationToken,
    _dir: tempfile::TempDir,
    _store: Store,
}

impl Drop for World {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

impl World {
    pub(crate) async fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("fleet.sock");
        let store = Store::in_memory().await.unwrap();
        let timeout = Duration::from_secs(5);
        let registry = Registry::from_channel(
            registry::Channel::Tonic(store.channel()),
            "/fleet/",
            timeout,
        )
        .await
        .unwrap();
        let connected = Arc::new(AtomicBool::new(true));
        let is_connected = connected.clone();
        let is_connected = move || is_connected.load(Ordering::Relaxed);
        let closing = CancellationToken::new();
        let api = Api::new(registry.clone(), 100, is_connected, closing.clone());
        for listener in sockets::listeners(&socket).await.unwrap() {
            tokio::spawn(api.clone().serve(listener));
        }
        let members = BTreeMap::new();
        World {
            socket,
            registry,
            members,
            connected,
            closing,
            _dir: dir,
            _store: store,
        }
    }

    async fn play(&mut self, situation: &str) -> String {
        let lines = situation.lines().filter(|line| !line.starts_with('#'));
        let (acts, request): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with('@'));
        for act in acts {
            self.act(&act.split_whitespace().collect::<Vec<_>>()).await;
        }
        match request.split_first() {
            Some((line, rest)) => self.request(line, rest).await,
            None => String::new(),
        }
    }

    async fn request(&self, line: &str, rest: &[&str]) -> String {
        let is_header = |line: &&&str| {
            line.split_once(": ")
                .is_some_and(|(name, _)| !name.contains(['{', '"']))
        };
        let headers: Vec<&str> = rest.iter().take_while(is_header).copied().collect();
        let body = rest[headers.len()..].join("\n");
        let body = large(&body).unwrap_or(body);
        let shows_headers = line.contains("! ");
        let line = line.replacen("! ", " ", 1);
        print(
            &http::send(&self.socket, &line, &headers, body.as_bytes()).await,
            shows_headers,
        )
    }

    pub(crate) async fn act(&mut self, words: &[&str]) {
        match words {
            ["@machine", id, address, metadata @ ..] => self.machine(id, address, metadata).await,
            ["@schedule", unit, id] => self.schedule(unit, id).await,
            [
                "@state",
                unit,
                id,
                load,
                active,
                sub,
                current,
                starting @ ..,
            ] => {
                let state = UnitState {
                    load: (*load).into(),
                    active: (*active).into(),
                    sub: (*sub).into(),
                    hash: self.hash(&UnitName::parse(unit).unwrap()).await,
                    current: current.parse().unwrap(),
                    starting: starting == ["starting"],
                    problem: String::new(),
                    failures: 0,
                    unwritable: false,
                };
                self.state(unit, id, state).await;
            }
            ["@units", prefix, count] => self.units(prefix, count.parse().unwrap()).await,
            ["@disconnect"] => self.connected.store(false, Ordering::Relaxed),
            _ => panic!("unknown act {words:?}"),
        }
    }

    async fn machine(&mut self, id: &str, address: &str, metadata: &[&str]) {
        let pair = |word: &&str| {
            word.split_once('=')
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
        };
        let machine = Machine {
            id: MachineId::parse(id).unwrap(),
            address: address.to_owned(),
            metadata: metadata.iter().filter_map(pair).collect(),
            version: "1.0.0".into(),
            boot_id: "boot".into(),
            member_since: 0,
            leaving: false,
            capacity: fleet::Resources::default(),
        };
        let membership = self
            .registry
            .join(&machine, Duration::from_secs(60))
            .await
            .unwrap();
        self.members.insert(id.to_owned(), membership);
    }

    async fn schedule(&self, unit: &str, id: &str) {
        let unit = UnitName::parse(unit).unwrap();
        let hash = self.hash(&unit).await;
        let change = Change::Assign {
            unit,
            machine: MachineId::parse(id).unwrap(),
            assignment: Assignment {
                hash,
                desired: DesiredState::Launched,
            },
            global: false,
        };
        let leader = self.members.values().next().unwrap();
        let mut leadership = leader.campaign().await.unwrap().unwrap();
        leadership.commit(&[change]).await.unwrap();
    }

    async fn state(&self, unit: &str, id: &str, state: UnitState) {
        let unit = UnitName::parse(unit).unwrap();
        self.members[id]
            .publish(&[(unit, Some(state))])
            .await
            .unwrap();
    }

    async fn units(&self, prefix: &str, count: usize) {
        let body = r#"{"options":[{"section":"Service","name":"ExecStart","value":"/bin/true"}]}"#;
        for number in 0..count {
            let line = format!("PUT /fleet/v1/units/{prefix}{number:04}.service");
            let answer = http::send(&self.socket, &line, &[JSON], body.as_bytes()).await;
            assert_eq!(answer.status, 201);
        }
    }

    async fn hash(&self, unit: &UnitName) -> Hash {
        let picture = self
            .registry
            .unit_picture(std::slice::from_ref(unit))
            .await
            .unwrap();
        picture.cluster.units[unit].hash
    }
}

pub(crate) const JSON: &str = "Content-Type: application/json";

/// `<5000000 bytes>` and `<unit of 40000 lines>` stand for what they say.
fn large(body: &str) -> Option<String> {
    let words: Vec<&str> = body
        .strip_prefix('<')?
        .strip_suffix('>')?
        .split(' ')
        .collect();
    match words[..] {
        [count, "bytes"] => Some("x".repeat(count.parse().ok()?)),
        ["unit", "of", count, "lines"] => {
            let line = r#"{"section":"Service","name":"Environment","value":"A=B and so on"}"#;
            let options = vec![line; count.parse().ok()?].join(",");
            Some(format!(r#"{{"options":[{options}]}}"#))
        }
        _ => None,
    }
}

fn print(answer: &Answer, with_headers: bool) -> String {
    let shown = |(name, _): &&(String, String)| !["date", "connection"].contains(&name.as_str());
    let mut text = format!("{}\n", answer.status);
    for (name, value) in answer.headers.iter().filter(shown).filter(|_| with_headers) {
        text.push_str(&format!("{name}: {value}\n"));
    }
    text + answer.body.trim_end()
}

#[tokio::test]
async fn the_discovery_document_describes_what_is_on_the_wire() {
    let world = World::new().await;
    let answer = http::send(&world.socket, "GET /fleet/v1/discovery", &[], b"").await;
    let document: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert!(
        answer
            .body
            .starts_with("{\n  \"kind\": \"discovery#restDescription\",\n  \"discoveryVersion\"")
    );
    assert!(answer.body.ends_with("}\n"));
    let unit = fleet::v1::Unit {
        current_state: "x".into(),
        desired_state: "x".into(),
        machine_id: "x".into(),
        name: "x".into(),
        options: vec![fleet::v1::UnitOption::default()],
    };
    let described = document["schemas"]["Unit"]["properties"]
        .as_object()
        .unwrap();
    let written = serde_json::to_value(unit).unwrap();
    assert!(described.keys().eq(written.as_object().unwrap().keys()));
}

/// Somebody has asked why, and the picture for that is kept: lists come from it, and never from an older one than etcd has.
#[tokio::test]
async fn lists_are_as_new_as_etcd_while_a_picture_is_kept() {
    let mut world = World::new().await;
    world.act(&["@units", "job", "1"]).await;
    for number in 0..50 {
        let why = http::send(
            &world.socket,
            "GET /fleet/v2/units/none.service/why",
            &[],
            b"",
        )
        .await;
        assert_eq!(why.status, 404);
        let unit = format!("new{number}.service");
        let line = format!("PUT /fleet/v1/units/{unit}");
        let body = br#"{"options":[{"section":"Service","name":"ExecStart","value":"/bin/true"}]}"#;
        let put = http::send(&world.socket, &line, &[JSON], body).await;
        assert_eq!(put.status, 201, "{put:?}");
        let list = http::send(&world.socket, "GET /fleet/v1/units", &[], b"").await;
        assert!(list.body.contains(&unit), "{list:?}");
    }
    let operations = world.registry.operations();
    let read = operations.get("reading the registry");
    assert!(read.is_none_or(|read| read.count < 50), "{read:?}");
}
