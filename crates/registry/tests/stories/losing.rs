//! Answers that get lost: what was asked for is done once, and told as done.

use registry::{Expected, Registry, Written};

use crate::sample::{assign, file, id, join, lead, unit, write};
use crate::server::{Etcd, Proxy};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unit_whose_write_was_answered_in_vain_is_written_once() {
    let Some((_etcd, proxy, registry)) = lossy().await else {
        return;
    };
    proxy.lose_next_answer();
    let outcome = registry
        .put_units(&[write("a.service", &file("a"), Expected::Absent)])
        .await
        .unwrap();
    assert!(proxy.has_lost());
    let revision = registry
        .unit_picture(&[unit("a.service")])
        .await
        .unwrap()
        .revisions["a.service"];
    assert_eq!(outcome, [Written::Done(revision)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_was_answered_in_vain_is_done_again() {
    let Some((_etcd, proxy, registry)) = lossy().await else {
        return;
    };
    registry
        .put_units(&[write("a.service", &file("a"), Expected::Absent)])
        .await
        .unwrap();
    proxy.lose_next_answer();
    let picture = registry.picture(&[registry::Table::Units]).await.unwrap();
    assert!(proxy.has_lost());
    assert_eq!(picture.units.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_commit_was_answered_in_vain_goes_on() {
    let Some((_etcd, proxy, registry)) = lossy().await else {
        return;
    };
    let mut leader = lead(&join(&registry, "m1").await).await;
    let hash = file("a").hash();
    for name in ["a.service", "b.service", "c.service"] {
        proxy.lose_next_answer();
        leader.commit(&[assign(name, "m1", hash)]).await.unwrap();
        assert!(proxy.has_lost());
    }
    assert_eq!(registry.mirror().await.cluster().targets.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_whose_registration_was_answered_in_vain_is_a_member() {
    let Some((_etcd, proxy, registry)) = lossy().await else {
        return;
    };
    let member = join(&registry, "m1").await;
    proxy.lose_next_answer();
    let leadership = lead(&member).await;
    assert!(proxy.has_lost());
    assert_eq!(registry.mirror().await.cluster().leader, Some(id("m1")));
    leadership.resign().await.unwrap();

    proxy.lose_next_answer();
    let again = join(&registry, "m1").await;
    assert!(proxy.has_lost());
    assert_eq!((again.lease, again.since), (member.lease, member.since));
}

async fn lossy() -> Option<(Etcd, Proxy, Registry)> {
    let etcd = Etcd::start(&[]).await?;
    let proxy = Proxy::start(&etcd.url()).await;
    let registry = etcd.registry_through(&proxy).await;
    registry.ping().await.unwrap();
    Some((etcd, proxy, registry))
}
