//! Members: who is in, who is out, and who may not come in.

use std::time::{Duration, Instant};

use registry::{Expected, JoinError, Lost, MemberError, Table};

use crate::sample::{TTL, file, id, join, lead, machine, running, soon, unit, write};
use crate::server::{Etcd, Server};

/// As short as etcd allows.
const SHORT: Duration = Duration::from_secs(2);

on_both!(
    a_member_is_seen_by_all,
    who_follows_the_renewals_goes_on_when_the_record_is_written_anew,
    leaving_is_one_event,
    a_lease_that_ends_takes_everything_with_it_in_one_event,
    a_restarted_process_goes_on_where_the_last_one_was,
    another_ttl_means_another_lease,
    a_rebooted_machine_comes_back_once_its_lease_is_low,
    a_clone_is_refused_and_does_no_harm,
    two_that_join_at_once_do_not_both_get_in,
    who_is_no_member_writes_nothing,
    a_lease_that_is_gone_is_told,
    a_member_is_kept_beyond_its_ttl,
    a_record_on_no_lease_is_nobodys,
);

async fn a_member_is_seen_by_all(server: Server) {
    let member = join(&server.registry().await, "m1").await;
    let cluster = server
        .registry()
        .await
        .picture(&[Table::Machines])
        .await
        .unwrap();
    assert_eq!(cluster.machines["m1"], member.machine);
    assert_eq!(member.machine.member_since, member.since);
    assert!(member.published.is_empty());
}

async fn leaving_is_one_event(server: Server) {
    let registry = server.registry().await;
    let member = join(&registry, "m1").await;
    let hash = file("a").hash();
    member
        .publish(&[(unit("a.service"), Some(running(hash)))])
        .await
        .unwrap();
    lead(&member).await;
    let mut mirror = registry.mirror().await;

    member.leave().await.unwrap();
    soon("the leave", mirror.changed()).await;
    let cluster = mirror.cluster();
    assert!(cluster.machines.is_empty() && cluster.states.is_empty() && cluster.leader.is_none());
    member.leave().await.expect("to leave twice is no error");
}

async fn a_lease_that_ends_takes_everything_with_it_in_one_event(server: Server) {
    let registry = server.registry().await;
    let member = registry
        .join(&machine("m1", "boot-1"), SHORT)
        .await
        .unwrap();
    let hash = file("a").hash();
    member
        .publish(&[(unit("a.service"), Some(running(hash)))])
        .await
        .unwrap();
    lead(&member).await;
    let mut mirror = registry.mirror().await;

    soon("the end of the lease", mirror.changed()).await;
    let cluster = mirror.cluster();
    assert!(cluster.machines.is_empty() && cluster.states.is_empty() && cluster.leader.is_none());
}

async fn a_restarted_process_goes_on_where_the_last_one_was(server: Server) {
    let registry = server.registry().await;
    let first = join(&registry, "m1").await;
    let hash = file("a").hash();
    first
        .publish(&[(unit("a.service"), Some(running(hash)))])
        .await
        .unwrap();
    let leadership = lead(&first).await;

    let mut moved = machine("m1", "boot-1");
    moved.address = "elsewhere.example".to_owned();
    let second = server.registry().await.join(&moved, TTL).await.unwrap();
    assert_eq!((second.lease, second.since), (first.lease, first.since));
    assert_eq!(
        second.published.into_iter().collect::<Vec<_>>(),
        [unit("a.service")]
    );

    let resumed = lead(&first).await;
    assert_eq!(resumed.revision, leadership.revision, "it still leads");
    let cluster = registry
        .picture(&[Table::Machines, Table::States])
        .await
        .unwrap();
    assert_eq!(cluster.machines["m1"].address, "elsewhere.example");
    assert!(cluster.states.contains_key("a.service"));
}

async fn another_ttl_means_another_lease(server: Server) {
    let registry = server.registry().await;
    let first = join(&registry, "m1").await;
    let states = [(unit("a.service"), Some(running(file("a").hash())))];
    first.publish(&states).await.unwrap();
    let second = registry
        .join(&machine("m1", "boot-1"), TTL * 2)
        .await
        .unwrap();
    assert_ne!(second.lease, first.lease);
    assert_eq!((second.ttl, second.since), (TTL * 2, first.since));

    let cluster = registry
        .picture(&[Table::Machines, Table::States])
        .await
        .unwrap();
    assert_eq!(cluster.machines.len(), 1);
    assert!(cluster.states.is_empty(), "they went with the old lease");
    assert!(second.published.is_empty());
}

async fn a_rebooted_machine_comes_back_once_its_lease_is_low(server: Server) {
    let registry = server.registry().await;
    let ttl = Duration::from_secs(6);
    let before = registry.join(&machine("m1", "boot-1"), ttl).await.unwrap();
    before
        .publish(&[(unit("a.service"), Some(running(file("a").hash())))])
        .await
        .unwrap();

    let (rebooted, begun) = (machine("m1", "boot-2"), Instant::now());
    let after = soon("the machine to come back", registry.join(&rebooted, ttl))
        .await
        .unwrap();
    assert!(
        begun.elapsed() < ttl,
        "before the lease ended: {:?}",
        begun.elapsed()
    );
    assert_eq!(
        after.since, before.since,
        "the schedule was valid all the time"
    );
    assert_ne!(after.lease, before.lease);

    let cluster = registry
        .picture(&[Table::Machines, Table::States])
        .await
        .unwrap();
    assert!(
        cluster.states.is_empty(),
        "those of the former boot are gone"
    );
    assert_eq!(cluster.machines["m1"].boot_id, "boot-2");
}

async fn a_clone_is_refused_and_does_no_harm(server: Server) {
    let registry = server.registry().await;
    let original = registry
        .join(&machine("m1", "boot-1"), Duration::from_secs(3))
        .await
        .unwrap();
    let kept = tokio::spawn({
        let original = original.clone();
        async move { original.keep_alive().await }
    });

    let mut clone = machine("m1", "boot-of-the-clone");
    clone.address = "clone.example".to_owned();
    let refusal = server
        .registry()
        .await
        .join(&clone, Duration::from_secs(3))
        .await
        .unwrap_err();
    let JoinError::Taken { record } = &refusal else {
        panic!("{refusal}")
    };
    assert_eq!(**record, original.machine);
    assert!(
        refusal.to_string().contains("m1.example"),
        "it names the other: {refusal}"
    );

    original
        .publish(&[(unit("a.service"), None)])
        .await
        .expect("the original still is a member");
    kept.abort();
}

async fn two_that_join_at_once_do_not_both_get_in(server: Server) {
    let (one, two) = (server.registry().await, server.registry().await);
    let ttl = Duration::from_secs(3);
    let joins = |registry: registry::Registry, boot: &'static str| async move {
        let member = registry.join(&machine("m1", boot), ttl).await?;
        let kept = tokio::spawn({
            let member = member.clone();
            async move { member.keep_alive().await }
        });
        Ok::<_, JoinError>((member, kept))
    };
    let (first, second) = tokio::join!(joins(one, "boot-1"), joins(two, "boot-2"));
    assert!(
        first.is_ok() != second.is_ok(),
        "one of them: {first:?} {second:?}"
    );
}

async fn who_is_no_member_writes_nothing(server: Server) {
    let registry = server.registry().await;
    let member = join(&registry, "m1").await;
    member.leave().await.unwrap();
    let states = [(unit("a.service"), Some(running(file("a").hash())))];
    let error = member.publish(&states).await.unwrap_err();
    assert!(
        matches!(&error, MemberError::NotMember(machine) if *machine == id("m1")),
        "{error}"
    );
    assert!(matches!(
        member.campaign().await.unwrap_err(),
        MemberError::NotMember(_)
    ));

    let second = join(&registry, "m1").await;
    second.publish(&states).await.unwrap();
    let late = [(unit("a.service"), None)];
    assert!(matches!(
        member.publish(&late).await.unwrap_err(),
        MemberError::NotMember(_)
    ));
    let said = registry.picture(&[Table::States]).await.unwrap().states;
    assert!(
        said.contains_key("a.service"),
        "what its successor said stands"
    );
}

async fn a_lease_that_is_gone_is_told(server: Server) {
    let registry = server.registry().await;
    let member = registry
        .join(&machine("m1", "boot-1"), SHORT)
        .await
        .unwrap();
    member.leave().await.unwrap();
    assert_eq!(soon("the loss", member.keep_alive()).await, Lost);
}

async fn a_member_is_kept_beyond_its_ttl(server: Server) {
    let registry = server.registry().await;
    let member = registry
        .join(&machine("m1", "boot-1"), SHORT)
        .await
        .unwrap();
    let mut mirror = registry.mirror().await;
    tokio::select! {
        lost = member.keep_alive() => panic!("{lost:?}"),
        _ = mirror.changed() => panic!("the record changed: {:?}", mirror.cluster().machines),
        // time itself is the event here: nothing may happen in it
        () = tokio::time::sleep(SHORT * 3) => {}
    }
}

async fn a_record_on_no_lease_is_nobodys(server: Server) {
    server.put("machine/m1", "left here by hand").await;
    let registry = server.registry().await;
    let member = join(&registry, "m1").await;
    let cluster = registry.picture(&[Table::Machines]).await.unwrap();
    assert_eq!(cluster.machines["m1"], member.machine);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_outlives_a_restart_of_etcd() {
    let Some(mut etcd) = Etcd::start(&[]).await else {
        return;
    };
    let registry = etcd.registry().await;
    let member = registry
        .join(&machine("m1", "boot-1"), Duration::from_secs(5))
        .await
        .unwrap();
    let kept = tokio::spawn({
        let member = member.clone();
        async move { member.keep_alive().await }
    });
    etcd.kill();
    etcd.restart();
    registry
        .put_units(&[write("a.service", &file("a"), Expected::Absent)])
        .await
        .unwrap();
    member
        .publish(&[(unit("a.service"), None)])
        .await
        .expect("it still is a member");
    assert!(!kept.is_finished());
    member.leave().await.unwrap();
    assert_eq!(soon("the loss", kept).await.unwrap(), Lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_of_an_etcd_that_lost_its_data_is_lost() {
    let Some(mut etcd) = Etcd::start(&[]).await else {
        return;
    };
    let registry = etcd.registry().await;
    let member = registry
        .join(&machine("m1", "boot-1"), SHORT)
        .await
        .unwrap();
    let kept = tokio::spawn(async move { member.keep_alive().await });
    etcd.kill();
    etcd.restart_empty();
    assert_eq!(soon("the loss", kept).await.unwrap(), Lost);
}

async fn who_follows_the_renewals_goes_on_when_the_record_is_written_anew(server: Server) {
    let registry = server.registry().await;
    let ttl = Duration::from_secs(3);
    let before = registry.join(&machine("m1", "boot-1"), ttl).await.unwrap();
    let mut renewals = before.renewals();
    let mut other = machine("m1", "boot-1");
    other.metadata.clear();
    let mut after = registry.join(&other, ttl).await.unwrap();
    assert_eq!(after.lease, before.lease);
    after.continue_renewals(&before);
    let kept = tokio::spawn(async move { after.keep_alive().await });
    renewals.borrow_and_update();
    soon("a renewal", renewals.changed()).await.unwrap();
    kept.abort();
}
