//! The schedule as the leader writes it.

use fleet::schedule::{Change, Reason};
use registry::{Expected, Table};

use crate::sample::{assign, file, id, join, launched, lead, unit, write};
use crate::server::Server;

on_both!(
    a_thousand_changes_are_all_written,
    a_move_leaves_one_assignment,
    a_dismissed_machine_has_no_schedule,
    changes_of_one_unit_may_follow_one_another,
    a_file_that_was_written_again_is_not_collected,
    an_empty_commit_writes_nothing,
    a_late_repetition_of_a_commit_is_void,
);

async fn a_thousand_changes_are_all_written(server: Server) {
    let registry = server.registry().await;
    let mut leader = lead(&join(&registry, "m1").await).await;
    let hash = file("a").hash();
    let mut changes: Vec<Change> = (0..1_000)
        .map(|n| assign(&format!("u{n}.service"), &format!("m{}", n % 7), hash))
        .collect();
    changes.push(Change::Admit {
        machine: id("m3"),
        since: 11,
    });
    let committed = leader.commit(&changes).await.unwrap();

    let cluster = registry
        .picture(&[Table::Targets, Table::Schedule])
        .await
        .unwrap();
    assert_eq!(cluster.targets.len(), 1_000);
    for (unit, machine) in &cluster.targets {
        assert_eq!(cluster.schedule[machine][unit], launched(hash));
    }
    assert_eq!(
        cluster
            .schedule
            .values()
            .map(|rows| rows.len())
            .sum::<usize>(),
        1_000
    );
    assert_eq!(cluster.admitted["m3"], 11);
    assert_eq!(cluster.revision, committed.revision);
}

async fn a_move_leaves_one_assignment(server: Server) {
    let registry = server.registry().await;
    let mut leader = lead(&join(&registry, "m1").await).await;
    let hash = file("a").hash();
    leader
        .commit(&[assign("a.service", "m1", hash)])
        .await
        .unwrap();
    let moves = Change::Move {
        unit: unit("a.service"),
        from: id("m1"),
        to: id("m2"),
        assignment: launched(hash),
        reason: Reason::MachineGone,
    };
    leader.commit(&[moves]).await.unwrap();

    let cluster = registry
        .picture(&[Table::Targets, Table::Schedule])
        .await
        .unwrap();
    assert_eq!(cluster.targets["a.service"], id("m2"));
    assert_eq!(cluster.schedule.keys().collect::<Vec<_>>(), [&id("m2")]);
}

async fn a_dismissed_machine_has_no_schedule(server: Server) {
    let registry = server.registry().await;
    let mut leader = lead(&join(&registry, "m1").await).await;
    let hash = file("a").hash();
    let global = Change::Assign {
        unit: unit("g.service"),
        machine: id("m1"),
        assignment: launched(hash),
        global: true,
    };
    let admit = |id| Change::Admit {
        machine: id,
        since: 1,
    };
    leader
        .commit(&[
            global,
            assign("a.service", "m10", hash),
            admit(id("m1")),
            admit(id("m10")),
        ])
        .await
        .unwrap();
    leader
        .commit(&[Change::Dismiss { machine: id("m1") }])
        .await
        .unwrap();

    let cluster = registry.picture(&[Table::Schedule]).await.unwrap();
    assert_eq!(cluster.schedule.keys().collect::<Vec<_>>(), [&id("m10")]);
    assert_eq!(cluster.admitted.keys().collect::<Vec<_>>(), [&id("m10")]);
}

async fn changes_of_one_unit_may_follow_one_another(server: Server) {
    let registry = server.registry().await;
    let mut leader = lead(&join(&registry, "m1").await).await;
    let hash = file("a").hash();
    let leave = Change::Unassign {
        unit: unit("a.service"),
        machine: id("m1"),
        reason: Reason::NotWanted,
        target: true,
    };
    let changes = [
        assign("a.service", "m1", hash),
        leave,
        assign("a.service", "m2", hash),
        Change::Dismiss { machine: id("m2") },
        assign("b.service", "m2", hash),
    ];
    leader.commit(&changes).await.unwrap();

    let cluster = registry
        .picture(&[Table::Schedule, Table::Targets])
        .await
        .unwrap();
    assert_eq!(
        cluster.schedule["m2"].keys().collect::<Vec<_>>(),
        [&unit("b.service")]
    );
    assert_eq!(cluster.schedule.len(), 1);
    assert_eq!(cluster.targets.len(), 2);
}

async fn a_file_that_was_written_again_is_not_collected(server: Server) {
    let registry = server.registry().await;
    let mut leader = lead(&join(&registry, "m1").await).await;
    let (used, unused) = (file("used"), file("unused"));
    let units = [
        write("a.service", &used, Expected::Absent),
        write("b.service", &unused, Expected::Absent),
    ];
    registry.put_units(&units).await.unwrap();
    registry.delete_unit(&unit("a.service")).await.unwrap();
    registry.delete_unit(&unit("b.service")).await.unwrap();
    let files = registry.picture(&[Table::Files]).await.unwrap().files;
    registry
        .put_units(&[write("a.service", &used, Expected::Absent)])
        .await
        .unwrap();

    let collect = |hash| Change::Collect {
        file: hash,
        revision: files[&hash].revision,
    };
    let done = leader
        .commit(&[collect(used.hash()), collect(unused.hash())])
        .await
        .unwrap();
    assert_eq!(done.collected, 1);
    let left = registry.picture(&[Table::Files]).await.unwrap().files;
    assert_eq!(left.keys().collect::<Vec<_>>(), [&used.hash()]);
}

async fn an_empty_commit_writes_nothing(server: Server) {
    let registry = server.registry().await;
    let mut leader = lead(&join(&registry, "m1").await).await;
    let before = registry.picture(&[]).await.unwrap().revision;
    assert_eq!(leader.commit(&[]).await.unwrap().revision, 0);
    assert_eq!(registry.picture(&[]).await.unwrap().revision, before);
}

async fn a_late_repetition_of_a_commit_is_void(server: Server) {
    let registry = server.registry().await;
    let member = join(&registry, "m1").await;
    // the same leadership twice, as if the first one's attempt were still on its way
    let (mut late, mut leader) = (lead(&member).await, lead(&member).await);
    let hash = file("a").hash();
    leader
        .commit(&[assign("a.service", "m2", hash)])
        .await
        .unwrap();
    assert!(
        late.commit(&[assign("b.service", "m1", hash)])
            .await
            .is_err()
    );
    let cluster = registry.picture(&[Table::Targets]).await.unwrap();
    assert_eq!(cluster.targets.len(), 1);
}
