//! One leads, the others wait.

use fleet::schedule::Change;
use registry::{CommitError, Table};

use crate::sample::{assign, file, id, join, lead, soon};
use crate::server::{Etcd, Server};

on_both!(
    one_leads_and_the_next_takes_over_at_once,
    a_leader_that_resigns_makes_room,
    a_deposed_leader_writes_nothing,
    waiting_for_no_leader_ends_at_once,
);

async fn one_leads_and_the_next_takes_over_at_once(server: Server) {
    let registry = server.registry().await;
    let (one, two) = (join(&registry, "m1").await, join(&registry, "m2").await);
    let first = lead(&one).await;
    assert!(two.campaign().await.unwrap().is_none());

    let (gone, left) = tokio::join!(soon("the leader to go", two.leader_gone()), one.leave());
    left.unwrap();
    assert_eq!(gone, ());
    let second = lead(&two).await;
    assert!(second.revision > first.revision);
    assert_eq!(
        registry.picture(&[Table::Leader]).await.unwrap().leader,
        Some(id("m2"))
    );
}

async fn a_leader_that_resigns_makes_room(server: Server) {
    let registry = server.registry().await;
    let (one, two) = (join(&registry, "m1").await, join(&registry, "m2").await);
    lead(&one).await.resign().await.unwrap();
    lead(&two).await;
    assert!(one.campaign().await.unwrap().is_none());
}

async fn a_deposed_leader_writes_nothing(server: Server) {
    let registry = server.registry().await;
    let (one, two) = (join(&registry, "m1").await, join(&registry, "m2").await);
    let mut deposed = lead(&one).await;
    server.delete("leader").await;
    let mut leader = lead(&two).await;

    let hash = file("a").hash();
    let collect = Change::Collect {
        file: hash,
        revision: 1,
    };
    for change in [assign("a.service", "m1", hash), collect] {
        let outcome = deposed.commit(&[change]).await;
        match outcome {
            Err(CommitError::Deposed) => {}
            Ok(done) => assert_eq!((done.revision, done.collected), (0, 0)),
            Err(other) => panic!("{other}"),
        }
    }
    deposed.resign().await.unwrap();
    leader
        .commit(&[assign("a.service", "m2", hash)])
        .await
        .expect("the resignation of another is none of ours");

    let cluster = registry
        .picture(&[Table::Targets, Table::Schedule, Table::Leader])
        .await
        .unwrap();
    assert_eq!(cluster.targets["a.service"], id("m2"));
    assert!(!cluster.schedule.contains_key("m1"));
    assert_eq!(cluster.leader, Some(id("m2")));
}

async fn waiting_for_no_leader_ends_at_once(server: Server) {
    let member = join(&server.registry().await, "m1").await;
    soon("nothing", member.leader_gone()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leads_by_the_word_of_a_backup_goes_on_leading() {
    let Some(mut etcd) = Etcd::start(&[]).await else {
        return;
    };
    let registry = etcd.registry().await;
    let (one, two) = (join(&registry, "m1").await, join(&registry, "m2").await);
    let leader = lead(&one).await;
    etcd.kill();
    let backup = etcd.back_up();
    etcd.restart();
    leader.resign().await.unwrap();
    let second = lead(&two).await;
    let waiting = tokio::spawn({
        let one = one.clone();
        async move { one.leader_gone().await }
    });

    etcd.kill();
    etcd.restore(backup);
    soon("the first to be told that it leads", waiting)
        .await
        .unwrap();
    lead(&one).await;
    let late = { second }
        .commit(&[assign("a.service", "m2", file("a").hash())])
        .await;
    assert!(matches!(late, Err(CommitError::Deposed)));
}
