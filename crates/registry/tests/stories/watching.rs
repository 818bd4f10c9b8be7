//! A picture, and how it stays true.

use fleet::Cluster;
use registry::{Expected, Mirror};

use crate::sample::{assign, file, id, join, launched, lead, running, soon, unit, write};
use crate::server::{Etcd, Proxy, Server};

on_both!(
    a_mirror_shows_what_is_there_and_what_comes,
    a_whole_burst_is_one_change,
    a_mirror_outlives_a_compaction,
    a_schedule_watch_sees_its_own_machine_only,
    a_long_list_comes_whole,
);

async fn a_mirror_shows_what_is_there_and_what_comes(server: Server) {
    let registry = server.registry().await;
    let web = file("web");
    registry
        .put_units(&[write("a.service", &web, Expected::Absent)])
        .await
        .unwrap();

    let mut mirror = registry.mirror().await;
    let unit_a = &mirror.cluster().units["a.service"];
    assert_eq!(unit_a.hash, web.hash());
    assert!(
        unit_a.requirements.is_some(),
        "its file is in the same picture"
    );

    let member = join(&registry, "m1").await;
    member
        .publish(&[(unit("a.service"), Some(running(web.hash())))])
        .await
        .unwrap();
    until(&mut mirror, "the state", |cluster| {
        cluster.states.contains_key("a.service")
    })
    .await;
    assert_eq!(mirror.cluster().machines["m1"], member.machine);

    registry.delete_unit(&unit("a.service")).await.unwrap();
    until(&mut mirror, "the end of the unit", |cluster| {
        cluster.units.is_empty()
    })
    .await;
}

async fn a_whole_burst_is_one_change(server: Server) {
    let registry = server.registry().await;
    let mut mirror = registry.mirror().await;
    let mut leader = lead(&join(&registry, "m1").await).await;
    let hash = file("x").hash();
    let changes: Vec<_> = (0..50)
        .map(|n| assign(&format!("u{n}.service"), "m1", hash))
        .collect();
    let committed = leader.commit(&changes).await.unwrap();

    until(&mut mirror, "the commit", |cluster| {
        cluster.revision >= committed.revision
    })
    .await;
    assert_eq!(mirror.cluster().targets.len(), 50);
    assert_eq!(mirror.cluster().schedule["m1"].len(), 50);
}

async fn a_mirror_outlives_a_compaction(server: Server) {
    let registry = server.registry().await;
    server.put("metadata/m1/before", r#"{"value":"1"}"#).await;
    let mut mirror = registry.mirror().await;
    server.put("metadata/m1/after", r#"{"value":"2"}"#).await;
    server.delete("metadata/m1/before").await;
    server.compact().await;
    server.put("metadata/m1/later", r#"{"value":"3"}"#).await;

    until(&mut mirror, "the newest record", |cluster| {
        cluster
            .metadata
            .get("m1")
            .is_some_and(|keys| keys.contains_key("later"))
    })
    .await;
    let keys: Vec<_> = mirror.cluster().metadata["m1"].keys().cloned().collect();
    assert_eq!(keys, ["after", "later"]);
}

async fn a_schedule_watch_sees_its_own_machine_only(server: Server) {
    let registry = server.registry().await;
    let mut leader = lead(&join(&registry, "m1").await).await;
    let hash = file("x").hash();
    leader
        .commit(&[
            assign("a.service", "m1", hash),
            assign("z.service", "m1.b", hash),
        ])
        .await
        .unwrap();

    let mut schedule = registry.schedule_of(&id("m1")).await;
    assert_eq!(
        schedule.assigned.keys().collect::<Vec<_>>(),
        [&unit("a.service")]
    );
    assert_eq!(schedule.admitted, None);

    let admit = fleet::schedule::Change::Admit {
        machine: id("m1"),
        since: 7,
    };
    leader
        .commit(&[assign("b.service", "m1", hash), admit])
        .await
        .unwrap();
    soon("the admission", async {
        while schedule.admitted != Some(7) {
            schedule.changed().await;
        }
    })
    .await;
    assert_eq!(schedule.assigned["b.service"], launched(hash));
    assert_eq!(schedule.assigned.len(), 2);
}

async fn a_long_list_comes_whole(server: Server) {
    let registry = server.registry().await;
    let mut leader = lead(&join(&registry, "m1").await).await;
    let hash = file("x").hash();
    // two records each: more than one page of the list
    let changes: Vec<_> = (0..5_100)
        .map(|n| assign(&format!("u{n}.service"), "m1", hash))
        .collect();
    leader.commit(&changes).await.unwrap();

    let mirror = registry.mirror().await;
    assert_eq!(mirror.cluster().targets.len(), 5_100);
    assert_eq!(mirror.cluster().schedule["m1"].len(), 5_100);
    assert_eq!(registry.schedule_of(&id("m1")).await.assigned.len(), 5_100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_outlives_a_restart_of_etcd() {
    let Some(mut etcd) = Etcd::start(&[]).await else {
        return;
    };
    let registry = etcd.registry().await;
    registry
        .put_units(&[write("a.service", &file("a"), Expected::Absent)])
        .await
        .unwrap();
    let mut mirror = registry.mirror().await;

    etcd.kill();
    soon("the mirror to notice", async {
        while mirror.is_current() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(
        mirror.cluster().units.len(),
        1,
        "what was known stays known"
    );

    etcd.restart();
    registry
        .put_units(&[write("b.service", &file("b"), Expected::Absent)])
        .await
        .unwrap();
    until(&mut mirror, "what came after the outage", |cluster| {
        cluster.units.len() == 2
    })
    .await;
    assert!(mirror.is_current());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_and_a_compaction_during_an_outage_are_both_survived() {
    let Some(etcd) = Etcd::start(&[]).await else {
        return;
    };
    let registry = etcd.registry().await;
    registry
        .put_units(&[write("a.service", &file("a"), Expected::Absent)])
        .await
        .unwrap();
    let mut proxy = Proxy::start(&etcd.url()).await;
    let mut mirror = etcd.registry_through(&proxy).await.mirror().await;

    proxy.cut().await;
    registry.delete_unit(&unit("a.service")).await.unwrap();
    registry
        .put_units(&[write("b.service", &file("b"), Expected::Absent)])
        .await
        .unwrap();
    let mut client = etcd.client().await;
    let now = client
        .get("x", None)
        .await
        .unwrap()
        .header()
        .unwrap()
        .revision();
    client.compact(now, None).await.unwrap();

    proxy.heal().await;
    until(&mut mirror, "the unit made meanwhile", |cluster| {
        cluster.units.contains_key("b.service")
    })
    .await;
    assert_eq!(
        mirror.cluster().units.len(),
        1,
        "the one deleted meanwhile is gone"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_that_lost_its_data_is_listed_anew() {
    let Some(mut etcd) = Etcd::start(&[]).await else {
        return;
    };
    let registry = etcd.registry().await;
    let files = [file("a"), file("b"), file("c")];
    for (n, file) in files.iter().enumerate() {
        registry
            .put_units(&[write(&format!("{n}.service"), file, Expected::Absent)])
            .await
            .unwrap();
    }
    let mut mirror = registry.mirror().await;

    etcd.kill();
    etcd.restart_empty();
    until(&mut mirror, "the empty registry", |cluster| {
        cluster.units.is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_that_was_restored_and_has_gone_on_since_is_listed_anew() {
    let Some(mut etcd) = Etcd::start(&[]).await else {
        return;
    };
    let registry = etcd.registry().await;
    let put = async |name: &str| {
        let file = file(name);
        let unit = [write(name, &file, Expected::Absent)];
        registry.put_units(&unit).await.unwrap();
    };
    put("known.service").await;
    etcd.kill();
    let backup = etcd.back_up();
    etcd.restart();
    put("lost.service").await;
    let mut proxy = Proxy::start(&etcd.url()).await;
    let through = etcd.registry_through(&proxy).await;
    let (mut mirror, mut quiet) = (through.mirror().await, through.schedule_of(&id("m1")).await);

    proxy.cut().await;
    etcd.kill();
    etcd.restore(backup);
    // at the revisions that the mirror takes for known, and beyond
    let mut leader = lead(&join(&registry, "m1").await).await;
    let row = assign("new.service", "m1", file("x").hash());
    leader.commit(&[row]).await.unwrap();
    for name in ["new.service", "newer.service", "newest.service"] {
        put(name).await;
    }

    proxy.heal().await;
    until(&mut mirror, "the newest unit", |cluster| {
        cluster.units.contains_key("newest.service")
    })
    .await;
    let units: Vec<&str> = mirror
        .cluster()
        .units
        .keys()
        .map(|name| name.as_str())
        .collect();
    let there = ["known", "new", "newer", "newest"].map(|name| format!("{name}.service"));
    assert_eq!(units, there);
    soon("the new row", async {
        while !quiet.assigned.contains_key("new.service") {
            quiet.changed().await;
        }
    })
    .await;
}

/// Takes changes until the picture is as it should be.
pub(crate) async fn until(mirror: &mut Mirror, what: &str, so: impl Fn(&Cluster) -> bool) {
    soon(what, async {
        while !so(mirror.cluster()) {
            mirror.changed().await;
        }
    })
    .await;
}
