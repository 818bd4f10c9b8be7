//! `GET /fleet/v2/events`: what whole daemons tell of what they do.

use std::time::Duration;

use fleet::v2::Event;
use fleetd::daemon::Farewell;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use unitfile::UnitName;

use crate::cluster::{Host, TTL, World};
use crate::http;

/// The events that a query finds, as `what unit machine`; with where a unit came from.
async fn told(host: &Host, query: &str) -> Vec<String> {
    let answer = host.get(&format!("/fleet/v2/events{query}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let kind = ("content-type".to_owned(), "application/x-ndjson".to_owned());
    assert!(answer.headers.contains(&kind), "{answer:?}");
    answer.body.lines().map(|line| words(&read(line))).collect()
}

fn read(line: &str) -> Event {
    serde_json::from_str(line).unwrap()
}

fn words(event: &Event) -> String {
    let words = [
        &event.what,
        &event.unit,
        &event.from_machine_id,
        &event.machine_id,
    ];
    let words = words.into_iter().filter(|word| !word.is_empty());
    words.cloned().collect::<Vec<_>>().join(" ")
}

async fn destroy(host: &Host, unit: &str) {
    let line = format!("DELETE /fleet/v1/units/{unit}");
    let answer = http::send(&host.socket(), &line, &[], b"").await;
    assert_eq!(answer.status, 204);
}

/// Waits until the events that a query finds end like this.
async fn until_told(host: &Host, query: &str, last: &str) {
    while told(host, query).await.last().map(String::as_str) != Some(last) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_units_life_is_told_from_its_start_to_its_end() {
    let mut world = World::new().await;
    let a = world.host("aaa").await;
    a.launch("web.service", "").await;
    world.until_active("web.service", &a.id).await;
    let all = told(&a, "").await;
    assert_eq!(
        all,
        [
            "leading aaa",
            "machine-joined aaa",
            "scheduled web.service aaa",
            "started web.service aaa"
        ]
    );
    destroy(&a, "web.service").await;
    until_told(&a, "?unit=web.service", "stopped web.service aaa").await;
    let life = [
        "scheduled web.service aaa",
        "started web.service aaa",
        "unscheduled web.service aaa",
        "stopped web.service aaa",
    ];
    assert_eq!(told(&a, "?unit=web.service").await, life);
    assert_eq!(told(&a, "?unit=w*.service&lines=1").await, life[3..]);
    assert_eq!(told(&a, "?unit=other.service").await, [""; 0]);
    let last = a.get("/fleet/v2/events?lines=1").await.body;
    let last = read(&last);
    let since = format!("?since={}&lines=1", last.time);
    assert_eq!(told(&a, &since).await, life[3..]);
    assert_eq!(
        told(&a, &format!("?since={}", last.time + 1)).await,
        [""; 0]
    );
    let after = format!("?after={}", last.revision - 1);
    assert_eq!(told(&a, &after).await, life[3..]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_machine_its_units_and_its_return_are_told() {
    let mut world = World::new().await;
    let (a, mut b) = (world.host("aaa").await, world.host("bbb").await);
    a.launch("web.service", "MachineID=aaa").await;
    world.until_active("web.service", &a.id).await;
    a.launch("db.service", "").await;
    world.until_active("db.service", &b.id).await;
    b.stop(Farewell::Stay).await;
    world.until_active("db.service", &a.id).await;
    assert_eq!(
        told(&a, "?machine=bb").await,
        [
            "machine-joined bbb",
            "scheduled db.service bbb",
            "started db.service bbb",
            "machine-lost bbb",
            "moved db.service bbb aaa"
        ]
    );
    assert_eq!(
        told(&a, "?unit=db.service").await.last().unwrap(),
        "started db.service aaa"
    );
    b.start(&world.store).await;
    until_told(&a, "?machine=bbb", "stopped db.service bbb").await;
    let both = told(&a, "?machine=bbb&unit=web.service").await;
    assert!(both.contains(&"started web.service aaa".to_owned()));
    assert!(both.contains(&"adopted bbb".to_owned()), "{both:?}");
    assert!(both.contains(&"machine-joined bbb".to_owned()), "{both:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_with_its_reason() {
    let mut world = World::new().await;
    let a = world.host("aaa").await;
    a.launch("bad.service", "").await;
    world.until_active("bad.service", &a.id).await;
    a.systemd.crash(&UnitName::parse("bad.service").unwrap());
    until_told(&a, "", "failed bad.service aaa").await;
    let last = a.get("/fleet/v2/events?lines=1").await.body;
    assert_eq!(read(&last).reason, "failed (failed)");
}

/// A client that follows.
struct Follower(Lines<BufReader<UnixStream>>);

impl Follower {
    async fn of(host: &Host, query: &str) -> Follower {
        let mut stream = UnixStream::connect(host.socket()).await.unwrap();
        let head = format!("GET /fleet/v2/events?follow=1&{query} HTTP/1.1\r\nHost: fleet\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        Follower(BufReader::new(stream).lines())
    }

    /// The next event; none if the answer has ended.
    async fn next(&mut self) -> Option<String> {
        loop {
            let line = tokio::time::timeout(TTL, self.0.next_line()).await.unwrap();
            match line.unwrap().as_deref() {
                Some(line) if line.starts_with('{') => return Some(words(&read(line))),
                // the length 0 of the last chunk
                Some("0") | None => return None,
                Some(_) => {}
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_follows_hears_what_comes_until_the_server_ends() {
    let mut world = World::new().await;
    let mut a = world.host("aaa").await;
    a.launch("web.service", "").await;
    world.until_active("web.service", &a.id).await;
    let mut follower = Follower::of(&a, "lines=1&unit=web.service&unit=next.service").await;
    assert_eq!(follower.next().await.unwrap(), "started web.service aaa");
    a.launch("other.service", "").await;
    world.until_active("other.service", &a.id).await;
    a.launch("next.service", "").await;
    assert_eq!(follower.next().await.unwrap(), "scheduled next.service aaa");
    assert_eq!(follower.next().await.unwrap(), "started next.service aaa");
    a.stop(Farewell::Stay).await;
    assert_eq!(follower.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn an_operators_orders_are_told_once() {
    let mut world = World::new().await;
    let a = world.host("aaa").await;
    let cordon = "/fleet/v2/machines/aaa/cordon";
    let orders = [
        ("PUT", "{\"reason\":\"new disk\"}"),
        ("DELETE", ""),
        // nothing is to be taken back any more
        ("DELETE", ""),
    ];
    for (method, body) in orders {
        let line = format!("{method} {cordon}");
        let answer = http::send(&a.socket(), &line, &[], body.as_bytes()).await;
        assert_eq!(answer.status, 204, "{answer:?}");
    }
    let kinds = "?kind=uncordoned&kind=cordoned&kind=drains";
    assert_eq!(told(&a, kinds).await, ["cordoned aaa", "uncordoned aaa"]);
    let last = format!("{kinds}&lines=1");
    assert_eq!(told(&a, &last).await, ["uncordoned aaa"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_wrongly_is_refused() {
    let mut world = World::new().await;
    let a = world.host("aaa").await;
    for query in ["lines=many", "since=yesterday", "after=x"] {
        let answer = a.get(&format!("/fleet/v2/events?{query}")).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        let (name, _) = query.split_once('=').unwrap();
        assert!(
            answer.body.contains(&format!("{name} must be a number")),
            "{answer:?}"
        );
    }
    let answer = a.get("/fleet/v2/events?kind=exploded").await;
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(
        answer.body.contains("no event is called") && answer.body.contains("there are scheduled, "),
        "{answer:?}"
    );
    let answer = http::send(&a.socket(), "POST /fleet/v2/events", &[], b"").await;
    assert_eq!(answer.status, 405);
}
