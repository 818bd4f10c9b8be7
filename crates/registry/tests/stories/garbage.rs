//! Records that make no sense.

use registry::{Expected, MemberError, Table};

use crate::sample::{file, join, lead, running, unit, write};
use crate::server::Server;
use crate::watching::until;

on_both!(
    garbage_is_left_out_and_the_rest_is_there,
    a_record_that_turns_into_garbage_stays_what_it_was,
    a_record_of_the_leaders_that_turns_into_garbage_is_missing_to_it,
    a_unit_that_could_never_be_read_is_what_its_row_says,
    a_row_that_cannot_be_read_is_known_to_be_so,
    a_record_on_nobodys_lease_leads_nobody,
    a_leader_whose_record_is_written_over_is_elected_anew,
    a_member_notices_that_its_record_is_written_over,
    a_state_that_says_nothing_of_a_start_job_has_none,
    a_member_knows_which_of_its_states_are_there,
    unknown_fields_are_ignored,
);

async fn garbage_is_left_out_and_the_rest_is_there(server: Server) {
    let registry = server.registry().await;
    let good = file("good");
    registry
        .put_units(&[write("good.service", &good, Expected::Absent)])
        .await
        .unwrap();
    let hash = good.hash();
    for (key, value) in [
        ("unit/no-json.service", "launched"),
        ("unit/no-hash.service", r#"{"desired":"launched"}"#),
        (
            "unit/bad-state.service",
            &format!(r#"{{"hash":"{hash}","desired":"running"}}"#),
        ),
        ("unit/no-name", "{}"),
        (
            "file/0000000000000000000000000000000000000000",
            r#"{"text":"[Unit]\n"}"#,
        ),
        ("file/short", r#"{"text":"[Unit]\n"}"#),
        ("machine/m/1", "{}"),
        ("machine/m2", "[]"),
        (
            "schedule/m1/a.service",
            &format!(r#"{{"hash":"{hash}","desired":"inactive"}}"#),
        ),
        ("target/a.service", r#"{"machine":"a b"}"#),
        ("state/a.service/m1", "{}"),
        ("leader", "\"m1\""),
        ("from-the-future", "{}"),
    ] {
        server.put(key, value).await;
    }
    for cluster in [
        registry.mirror().await.cluster(),
        &everything(&registry).await,
    ] {
        assert_eq!(
            cluster.units.keys().collect::<Vec<_>>(),
            [&unit("good.service")]
        );
        assert_eq!(cluster.files.keys().collect::<Vec<_>>(), [&hash]);
        assert!(
            cluster.machines.is_empty()
                && cluster.schedule.is_empty()
                && cluster.targets.is_empty()
        );
        assert!(cluster.states.is_empty() && cluster.leader.is_none());
    }
}

async fn everything(registry: &registry::Registry) -> fleet::Cluster {
    use Table::{Files, Leader, Machines, Metadata, Schedule, States, Targets, Units};
    let all = [
        Files, Leader, Machines, Metadata, Schedule, States, Targets, Units,
    ];
    registry.picture(&all).await.unwrap()
}

async fn a_record_that_turns_into_garbage_stays_what_it_was(server: Server) {
    let registry = server.registry().await;
    registry
        .put_units(&[write("a.service", &file("a"), Expected::Absent)])
        .await
        .unwrap();
    let member = join(&registry, "m1").await;
    let mut mirror = registry.mirror().await;
    let before = mirror.cluster().clone();
    server.put("unit/a.service", "!").await;
    server.put(&format!("file/{}", file("a").hash()), "!").await;
    server.put("machine/m1", "!").await;
    server.put("unit/last.service", &launched("b")).await;
    until(&mut mirror, "the last record", |cluster| {
        cluster.units.len() == 2
    })
    .await;
    let cluster = mirror.cluster();
    assert_eq!(cluster.units["a.service"], before.units["a.service"]);
    assert_eq!(cluster.files, before.files);
    assert_eq!(cluster.machines, before.machines);
    assert_eq!(mirror.leases()["m1"], member.lease);

    server.put("unit/a.service", &launched("c")).await;
    until(&mut mirror, "the repaired record", |cluster| {
        cluster.units["a.service"].hash == file("c").hash()
    })
    .await;
}

fn launched(text: &str) -> String {
    format!(r#"{{"hash":"{}","desired":"launched"}}"#, file(text).hash())
}

async fn a_record_of_the_leaders_that_turns_into_garbage_is_missing_to_it(server: Server) {
    server.put("target/a.service", r#"{"machine":"m1"}"#).await;
    let registry = server.registry().await;
    let mut mirror = registry.mirror().await;
    assert_eq!(mirror.cluster().targets.len(), 1);
    server.put("target/a.service", "!").await;
    until(&mut mirror, "the target to be missing", |cluster| {
        cluster.targets.is_empty()
    })
    .await;
}

async fn a_unit_that_could_never_be_read_is_what_its_row_says(server: Server) {
    server.put("unit/a.service", "!").await;
    server.put("unit/b.service", "!").await;
    server.put("schedule/m1/a.service", &launched("a")).await;
    let mirror = server.registry().await.mirror().await;
    let units = &mirror.cluster().units;
    assert_eq!(units.keys().collect::<Vec<_>>(), [&unit("a.service")]);
    assert_eq!(units["a.service"].hash, file("a").hash());
}

async fn a_row_that_cannot_be_read_is_known_to_be_so(server: Server) {
    let (row, registry) = ("schedule/m1/a.service", server.registry().await);
    server.put("schedule/m1/b.service", "!").await;
    server.put(row, &launched("a")).await;
    let id = fleet::MachineId::parse("m1").unwrap();
    let mut schedule = registry.schedule_of(&id).await;
    assert!(schedule.unreadable.contains("b.service"));

    server.put(row, "!").await;
    schedule.changed().await;
    assert!(schedule.unreadable.contains("a.service"));
    assert_eq!(schedule.assigned["a.service"].hash, file("a").hash());

    server.put(row, &launched("c")).await;
    schedule.changed().await;
    assert!(!schedule.unreadable.contains("a.service"));
    assert_eq!(schedule.assigned["a.service"].hash, file("c").hash());
}

async fn a_record_on_nobodys_lease_leads_nobody(server: Server) {
    let registry = server.registry().await;
    let member = join(&registry, "m1").await;
    server.put("leader", "!").await;
    assert!(member.campaign().await.unwrap().is_none());
    member.leader_gone().await;
    assert!(member.campaign().await.unwrap().is_some());
}

async fn a_leader_whose_record_is_written_over_is_elected_anew(server: Server) {
    let registry = server.registry().await;
    let member = join(&registry, "m1").await;
    let before = lead(&member).await;
    server.put_on("leader", "!", member.lease).await;
    assert!(member.campaign().await.unwrap().is_none());
    member.leader_gone().await;
    let after = lead(&member).await;
    assert!(after.revision > before.revision);
    assert_eq!(everything(&registry).await.leader, Some(member.machine.id));
}

async fn a_member_notices_that_its_record_is_written_over(server: Server) {
    let registry = server.registry().await;
    let member = join(&registry, "m1").await;
    tokio::join!(member.displaced(), server.put("machine/m1", "!"));
    let again = join(&registry, "m1").await;
    assert_eq!(again.since, member.since);
}

async fn a_state_that_says_nothing_of_a_start_job_has_none(server: Server) {
    let registry = server.registry().await;
    let hash = file("a").hash();
    let starting = fleet::UnitState {
        active: "inactive".to_owned(),
        starting: true,
        ..running(hash)
    };
    let member = join(&registry, "m1").await;
    let rows = [(unit("a.service"), Some(starting.clone()))];
    member.publish(&rows).await.unwrap();
    let older = format!(r#"{{"load":"loaded","active":"inactive","sub":"dead","hash":"{hash}"}}"#);
    server.put("state/b.service/m1", &older).await;
    let states = everything(&registry).await.states;
    assert_eq!(states["a.service"]["m1"], starting);
    assert!(!states["b.service"]["m1"].starting);
}

async fn a_member_knows_which_of_its_states_are_there(server: Server) {
    let registry = server.registry().await;
    let (member, other) = (join(&registry, "m1").await, join(&registry, "m2").await);
    let row = |name: &str| (unit(name), Some(running(file("a").hash())));
    let rows = ["a.service", "b.service", "c.service"].map(row);
    member.publish(&rows).await.unwrap();
    other.publish(&[row("d.service")]).await.unwrap();
    let published = member.published_units().await.unwrap();
    assert!(published.iter().eq(rows.iter().map(|(name, _)| name)));

    server.delete("state/a.service/m1").await;
    server.put("state/b.service/m1", "!").await;
    let published = member.published_units().await.unwrap();
    assert!(published.iter().eq([&unit("c.service")]));
    member.publish(&rows).await.unwrap();
    assert_eq!(member.published_units().await.unwrap().len(), 3);

    member.leave().await.unwrap();
    let refused = member.published_units().await;
    assert!(matches!(refused, Err(MemberError::NotMember(_))));
}

async fn unknown_fields_are_ignored(server: Server) {
    server
        .put("target/a.service", r#"{"machine":"m1","since":3}"#)
        .await;
    let cluster = server
        .registry()
        .await
        .picture(&[Table::Targets])
        .await
        .unwrap();
    assert_eq!(cluster.targets.len(), 1);
}
