//! An etcd of three members, of which some are lost.

use std::time::Duration;

use registry::{Expected, Options, Registry};

use crate::sample::{file, join, unit, write};
use crate::server::{Etcd, free_port};
use crate::watching::until;

/// Three members of one cluster; none where etcd is not installed.
async fn three() -> Option<Vec<Etcd>> {
    let urls: Vec<String> = (0..3)
        .map(|_| format!("http://127.0.0.1:{}", free_port()))
        .collect();
    let cluster: Vec<String> = urls
        .iter()
        .enumerate()
        .map(|(at, url)| format!("m{at}={url}"))
        .collect();
    let cluster = cluster.join(",");
    let spawn = |(at, url): (usize, &String)| {
        let name = format!("m{at}");
        Etcd::spawn(&[
            "--name",
            &name,
            "--initial-cluster",
            &cluster,
            "--listen-peer-urls",
            url,
            "--initial-advertise-peer-urls",
            url,
        ])
    };
    urls.iter().enumerate().map(spawn).collect()
}

async fn connect(members: &[Etcd], limit: Duration) -> Registry {
    let options = Options {
        endpoints: members.iter().map(Etcd::url).collect(),
        request_timeout: limit,
        ..members[0].options()
    };
    Registry::connect(&options).await.unwrap()
}

/// Which member leads.
async fn leader(members: &[Etcd]) -> usize {
    for (at, member) in members.iter().enumerate() {
        let status = member.client().await.status().await.unwrap();
        if status.leader() == status.header().unwrap().member_id() {
            return at;
        }
    }
    panic!("nobody leads");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_of_three_may_go_even_if_it_leads() {
    let Some(mut members) = three().await else {
        return;
    };
    let registry = connect(&members, Duration::from_secs(10)).await;
    registry.ping().await.unwrap();
    let membership = join(&registry, "m1").await;
    let mut mirror = registry.mirror().await;
    let text = file("a");
    registry
        .put_units(&[write("a.service", &text, Expected::Absent)])
        .await
        .unwrap();

    let leads = leader(&members).await;
    members[leads].kill();
    registry
        .put_units(&[write("b.service", &text, Expected::Absent)])
        .await
        .unwrap();
    until(&mut mirror, "the write after the loss", |cluster| {
        cluster.units.contains_key("b.service")
    })
    .await;
    assert!(
        mirror.cluster().machines.contains_key("m1"),
        "the machine's lease has outlived the leader"
    );

    members[leads].restart();
    let other = (leads + 1) % 3;
    members[other].kill();
    registry.delete_unit(&unit("a.service")).await.unwrap();
    until(&mut mirror, "the write after the next loss", |cluster| {
        !cluster.units.contains_key("a.service")
    })
    .await;
    membership.leave().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_nothing_is_written_until_it_is_back() {
    let Some(mut members) = three().await else {
        return;
    };
    connect(&members, Duration::from_secs(10))
        .await
        .ping()
        .await
        .unwrap();
    let hasty = connect(&members, Duration::from_secs(1)).await;
    members[0].kill();
    members[1].kill();
    let text = file("a");
    let lone = hasty
        .put_units(&[write("a.service", &text, Expected::Absent)])
        .await;
    assert!(lone.unwrap_err().is_unreachable());
    members[0].restart();
    let registry = connect(&members, Duration::from_secs(10)).await;
    registry
        .put_units(&[write("b.service", &text, Expected::Absent)])
        .await
        .unwrap();
}
