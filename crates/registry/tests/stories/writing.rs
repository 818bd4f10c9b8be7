//! The API's writes: what is acknowledged, what is refused.

use std::collections::BTreeMap;

use fleet::DesiredState;
use registry::{Expected, MetadataChange, Table, UnitWrite, Written};

use crate::sample::{assign, file, id, join, lead, running, unit, write};
use crate::server::Server;

on_both!(
    a_unit_and_its_file_come_together,
    only_the_unit_that_changed_meanwhile_is_refused,
    three_hundred_units_of_one_file_are_written_at_once,
    large_files_go_in_several_transactions,
    a_unit_is_deleted_once,
    a_unit_picture_holds_all_that_concerns_it,
    a_picture_holds_what_was_asked_for,
    metadata_is_set_and_taken_back,
    a_ping_tells_that_etcd_is_there,
);

async fn a_unit_and_its_file_come_together(server: Server) {
    let registry = server.registry().await;
    let web = file("web");
    let outcomes = registry
        .put_units(&[write("a.service", &web, Expected::Absent)])
        .await
        .unwrap();

    let picture = registry.unit_picture(&[unit("a.service")]).await.unwrap();
    assert_eq!(outcomes, [Written::Done(picture.revisions["a.service"])]);
    assert_eq!(
        picture.cluster.units["a.service"].desired,
        DesiredState::Launched
    );
    assert_eq!(
        *registry.files(&[web.hash()]).await.unwrap()[&web.hash()],
        web
    );
}

async fn only_the_unit_that_changed_meanwhile_is_refused(server: Server) {
    let registry = server.registry().await;
    let (old, new) = (file("old"), file("new"));
    let first = [
        write("a.service", &old, Expected::Absent),
        write("b.service", &old, Expected::Absent),
    ];
    registry.put_units(&first).await.unwrap();
    let seen = registry
        .unit_picture(&[unit("a.service"), unit("b.service")])
        .await
        .unwrap()
        .revisions;
    registry
        .put_units(&[write("b.service", &file("other"), Expected::Any)])
        .await
        .unwrap();

    let second = [
        write("a.service", &new, Expected::Revision(seen["a.service"])),
        write("b.service", &new, Expected::Revision(seen["b.service"])),
        write("a2.service", &new, Expected::Absent),
        write("b.service", &new, Expected::Absent),
    ];
    let outcomes = registry.put_units(&second).await.unwrap();
    let conflicts: Vec<bool> = outcomes
        .iter()
        .map(|outcome| *outcome == Written::Conflict)
        .collect();
    assert_eq!(conflicts, [false, true, false, true]);

    let units = registry.picture(&[Table::Units]).await.unwrap().units;
    assert_eq!(units["a.service"].hash, new.hash());
    assert_eq!(units["b.service"].hash, file("other").hash());
}

async fn three_hundred_units_of_one_file_are_written_at_once(server: Server) {
    let registry = server.registry().await;
    let web = file("web");
    let writes: Vec<UnitWrite<'_>> = (0..300)
        .map(|n| write(&format!("web@{n}.service"), &web, Expected::Absent))
        .collect();
    let outcomes = registry.put_units(&writes).await.unwrap();
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Written::Done(_)))
    );

    let names: Vec<_> = writes.iter().map(|write| write.name.clone()).collect();
    let picture = registry.unit_picture(&names).await.unwrap();
    assert_eq!(picture.cluster.units.len(), 300);
    assert_eq!(picture.revisions.len(), 300);
    assert_eq!(picture.cluster.files.len(), 1);
}

async fn large_files_go_in_several_transactions(server: Server) {
    let registry = server.registry().await;
    let line = "x".repeat(1000);
    let large = |n: usize| {
        let lines = format!("X-N{n}={line}\n").repeat(400);
        unitfile::UnitFile::parse(format!("[Service]\n{lines}").as_bytes()).unwrap()
    };
    let files: Vec<_> = (0..6).map(large).collect();
    let writes: Vec<UnitWrite<'_>> = files
        .iter()
        .enumerate()
        .map(|(n, file)| write(&format!("{n}.service"), file, Expected::Absent))
        .collect();
    let outcomes = registry.put_units(&writes).await.unwrap();
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Written::Done(_)))
    );
    assert_eq!(
        registry.picture(&[Table::Files]).await.unwrap().files.len(),
        6
    );
}

async fn a_unit_is_deleted_once(server: Server) {
    let registry = server.registry().await;
    registry
        .put_units(&[write("a.service", &file("a"), Expected::Absent)])
        .await
        .unwrap();
    assert!(registry.delete_unit(&unit("a.service")).await.unwrap());
    assert!(!registry.delete_unit(&unit("a.service")).await.unwrap());
}

async fn a_unit_picture_holds_all_that_concerns_it(server: Server) {
    let registry = server.registry().await;
    let web = file("web");
    let both = [
        write("a.service", &web, Expected::Absent),
        write("b.service", &web, Expected::Absent),
    ];
    registry.put_units(&both).await.unwrap();
    let (one, two) = (join(&registry, "m1").await, join(&registry, "m2").await);
    join(&registry, "m3").await;
    let mut leader = lead(&one).await;
    leader
        .commit(&[assign("a.service", "m1", web.hash())])
        .await
        .unwrap();
    two.publish(&[(unit("a.service"), Some(running(web.hash())))])
        .await
        .unwrap();

    let cluster = registry
        .unit_picture(&[unit("a.service")])
        .await
        .unwrap()
        .cluster;
    assert_eq!(cluster.units.len(), 1);
    assert!(cluster.units["a.service"].requirements.is_some());
    assert_eq!(cluster.targets["a.service"], id("m1"));
    assert_eq!(cluster.states["a.service"]["m2"], running(web.hash()));
    assert_eq!(
        cluster.machines.keys().collect::<Vec<_>>(),
        [&id("m1"), &id("m2")]
    );
}

async fn a_picture_holds_what_was_asked_for(server: Server) {
    let registry = server.registry().await;
    registry
        .put_units(&[write("a.service", &file("a"), Expected::Absent)])
        .await
        .unwrap();
    let member = join(&registry, "m1").await;
    lead(&member).await;

    let cluster = registry
        .picture(&[Table::Machines, Table::Leader])
        .await
        .unwrap();
    assert_eq!(cluster.machines["m1"], member.machine);
    assert_eq!(cluster.leader, Some(id("m1")));
    assert!(cluster.units.is_empty(), "nobody asked for them");
    assert!(cluster.revision >= member.since);
}

async fn metadata_is_set_and_taken_back(server: Server) {
    let registry = server.registry().await;
    let change = |key: &str, value: Option<&str>| MetadataChange {
        machine: id("m1"),
        key: key.to_owned(),
        value: value.map(str::to_owned),
    };
    let set = [
        change("region", Some("eu")),
        change("disk", Some("")),
        change("region", Some("us")),
    ];
    registry.change_metadata(&set).await.unwrap();
    let cluster = registry.picture(&[Table::Metadata]).await.unwrap();
    let expected = BTreeMap::from([
        ("disk".to_owned(), String::new()),
        ("region".to_owned(), "us".to_owned()),
    ]);
    assert_eq!(cluster.metadata["m1"], expected);

    registry
        .change_metadata(&[change("disk", None), change("region", None)])
        .await
        .unwrap();
    assert!(
        registry
            .picture(&[Table::Metadata])
            .await
            .unwrap()
            .metadata
            .is_empty()
    );
}

async fn a_ping_tells_that_etcd_is_there(server: Server) {
    let registry = server.registry().await;
    registry.ping().await.unwrap();
    assert!(registry.last_contact().is_some());
}
