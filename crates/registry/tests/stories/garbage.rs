//! Records that make no sense.

use registry::{Expected, Table};

use crate::sample::{file, join, running, unit, write};
use crate::server::Server;
use crate::watching::until;

on_both!(
    garbage_is_left_out_and_the_rest_is_there,
    a_record_that_turns_into_garbage_counts_as_gone,
    a_state_that_says_nothing_of_a_start_job_has_none,
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

async fn a_record_that_turns_into_garbage_counts_as_gone(server: Server) {
    let registry = server.registry().await;
    registry
        .put_units(&[write("a.service", &file("a"), Expected::Absent)])
        .await
        .unwrap();
    let mut mirror = registry.mirror().await;
    server.put("unit/a.service", "!").await;
    until(&mut mirror, "the unit to go", |cluster| {
        cluster.units.is_empty()
    })
    .await;
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
