//! Events: told with what they tell of, read in that order, bounded.

use fleet::Cordon;
use fleet::history::{Entry, What};
use registry::{CommitError, EventRecord, Registry};

use crate::sample::{assign, file, id, join, lead, running, soon, unit};
use crate::server::Server;

on_both!(
    a_decision_and_its_event_are_one_write,
    an_order_that_changes_nothing_is_not_told,
    a_deposed_leader_tells_nothing,
    a_great_many_changes_are_told_by_number,
    states_and_what_is_told_of_them_are_one_write,
    the_newest_are_read_first_and_page_by_page,
    a_follower_hears_everything_from_its_revision_on,
    a_follower_outlives_a_compaction,
    the_oldest_are_deleted_and_only_by_the_leader,
    a_record_that_makes_no_sense_harms_nobody,
);

fn scheduled(name: &str, to: &str) -> Entry {
    let entry = Entry::of(What::Scheduled).unit(&unit(name));
    entry.on(&id(to)).because("to be launched")
}

fn started(name: &str) -> Entry {
    Entry::of(What::Started).unit(&unit(name))
}

/// All that is told, in the order of reading.
async fn all(registry: &Registry) -> Vec<EventRecord> {
    let mut list = registry.events().await.unwrap();
    let mut records = Vec::new();
    while let Some(older) = list.older().await.unwrap() {
        records.splice(0..0, older);
    }
    records
}

fn words(records: &[EventRecord]) -> Vec<String> {
    let entries = records.iter().flat_map(|record| &record.entries);
    let unit = |entry: &Entry| entry.unit.as_ref().map(ToString::to_string);
    entries
        .map(|entry| format!("{} {}", entry.what, unit(entry).unwrap_or_default()))
        .collect()
}

async fn a_decision_and_its_event_are_one_write(server: Server) {
    let registry = server.registry().await;
    let mut leader = lead(&join(&registry, "m1").await).await;
    let hash = file("a").hash();
    let changes = [
        assign("a.service", "m1", hash),
        assign("b.service", "m2", hash),
    ];
    let told = |change| match change {
        1 => vec![scheduled("b.service", "m2")],
        _ => Vec::new(),
    };
    let committed = leader.commit_and_tell(&changes, &told).await.unwrap();

    let records = all(&registry).await;
    assert_eq!(words(&records), ["leading ", "scheduled b.service"]);
    assert_eq!(records[1].revision, committed.revision);
    assert_eq!(records[1].entries, [scheduled("b.service", "m2")]);
    assert_eq!(records[0].entries[0].machine, Some(id("m1")));
    assert!(records[0].time > 1_700_000_000_000 && records[0].time <= records[1].time);
}

async fn an_order_that_changes_nothing_is_not_told(server: Server) {
    let registry = server.registry().await;
    let (plain, drain) = (Cordon::default(), Some(1));
    let drain = Cordon {
        drain,
        ..Cordon::default()
    };
    let orders = [None, Some(&plain), Some(&plain), Some(&drain), None, None];
    for cordon in orders {
        registry.cordon(&id("m1"), cordon).await.unwrap();
    }
    let told = words(&all(&registry).await);
    assert_eq!(told, ["cordoned ", "drains ", "uncordoned "]);
}

async fn a_deposed_leader_tells_nothing(server: Server) {
    let registry = server.registry().await;
    let mut leader = lead(&join(&registry, "m1").await).await;
    server
        .client()
        .await
        .delete("/fleet/leader", None)
        .await
        .unwrap();
    let told = |_| vec![scheduled("a.service", "m1")];
    let change = assign("a.service", "m1", file("a").hash());
    leader.commit_and_tell(&[change], &told).await.unwrap_err();
    assert_eq!(words(&all(&registry).await), ["leading "]);
}

async fn a_great_many_changes_are_told_by_number(server: Server) {
    let registry = server.registry().await;
    let mut leader = lead(&join(&registry, "m1").await).await;
    let hash = file("a").hash();
    let names: Vec<String> = (0..500).map(|n| format!("u{n}.service")).collect();
    let change = |name: &String| assign(name, "m1", hash);
    let changes: Vec<_> = names.iter().map(change).collect();
    let told = |change: usize| vec![scheduled(&names[change], "m1")];
    leader.commit_and_tell(&changes, &told).await.unwrap();

    let records = all(&registry).await;
    let entries = || records.iter().skip(1).flat_map(|record| &record.entries);
    assert!(entries().count() <= 10, "{records:#?}");
    assert_eq!(entries().map(|entry| entry.count).sum::<usize>(), 500);
    assert!(entries().all(|entry| entry.machine == Some(id("m1"))));
}

async fn states_and_what_is_told_of_them_are_one_write(server: Server) {
    let registry = server.registry().await;
    let member = join(&registry, "m1").await;
    let state = running(file("a").hash());
    let rows = [(unit("a.service"), Some(state))];
    let told = member.telling(vec![started("a.service")]);
    // an attempt whose answer got lost is made again
    for _ in 0..2 {
        let written = member.publish_and_tell(&rows, told.as_ref()).await;
        written.unwrap();
    }
    let records = all(&registry).await;
    assert_eq!(words(&records), ["started a.service"]);
    assert_eq!(records[0].entries[0].machine, Some(id("m1")));
    assert!(member.telling(Vec::new()).is_none());

    member.leave().await.unwrap();
    let late = member.telling(vec![started("b.service")]);
    member
        .publish_and_tell(&[], late.as_ref())
        .await
        .unwrap_err();
    assert_eq!(
        all(&registry).await,
        records,
        "what is told outlives its teller"
    );
}

/// Tells of so many units, in a record each.
async fn tell(member: &registry::Membership, units: std::ops::Range<usize>) {
    for n in units {
        let told = member.telling(vec![started(&format!("u{n}.service"))]);
        let written = member.publish_and_tell(&[], told.as_ref()).await;
        written.unwrap();
    }
}

async fn the_newest_are_read_first_and_page_by_page(server: Server) {
    let registry = server.registry().await;
    let member = join(&registry, "m1").await;
    tell(&member, 0..150).await;
    let mut list = registry.events().await.unwrap();
    let newest = list.older().await.unwrap().unwrap();
    let before = list.older().await.unwrap().unwrap();
    assert_eq!((newest.len(), before.len()), (128, 22));
    assert_eq!(words(&newest).last().unwrap(), "started u149.service");
    assert_eq!(words(&before)[0], "started u0.service");
    assert!(list.older().await.unwrap().is_none());

    let mut list = registry.events().await.unwrap();
    list.after(newest[126].revision);
    assert_eq!(list.older().await.unwrap().unwrap(), newest[127..]);
}

async fn a_follower_hears_everything_from_its_revision_on(server: Server) {
    let registry = server.registry().await;
    let member = join(&registry, "m1").await;
    tell(&member, 0..2).await;
    let known = registry.events().await.unwrap().revision;
    tell(&member, 2..4).await;
    let mut watch = registry.events_after(known);
    let mut heard = Vec::new();
    while heard.len() < 2 {
        heard.extend(words(&soon("what was told before", watch.next()).await));
    }
    assert_eq!(heard, ["started u2.service", "started u3.service"]);
    tell(&member, 4..5).await;
    let news = soon("what is told now", watch.next()).await;
    assert_eq!(words(&news), ["started u4.service"]);
}

async fn a_follower_outlives_a_compaction(server: Server) {
    let registry = server.registry().await;
    let member = join(&registry, "m1").await;
    tell(&member, 0..2).await;
    let known = registry.events().await.unwrap().revision;
    tell(&member, 2..5).await;
    let now = registry.events().await.unwrap().revision;
    server.client().await.compact(now, None).await.unwrap();
    let mut watch = registry.events_after(known);
    let news = soon("what was compacted away", watch.next()).await;
    assert_eq!(
        words(&news),
        [
            "started u2.service",
            "started u3.service",
            "started u4.service"
        ]
    );
}

async fn the_oldest_are_deleted_and_only_by_the_leader(server: Server) {
    let registry = server.registry().await;
    let member = join(&registry, "m1").await;
    let leader = lead(&member).await;
    // of a machine whose clock is far behind, and of one whose clock is far ahead
    for time in ["00000000000001", "99999999999999"] {
        let key = format!("event/{time}-m2-000000");
        server.put(&key, r#"[{"what":"stopped"}]"#).await;
    }
    tell(&member, 0..10).await;
    server
        .put("event/00000000000002-m2-000001", r#"[{"what":"failed"}]"#)
        .await;
    let trim = leader.trim(3);
    assert_eq!(trim.run().await.unwrap(), 11);
    let left = words(&all(&registry).await);
    assert_eq!(
        left,
        ["started u8.service", "started u9.service", "failed "]
    );
    assert_eq!(trim.run().await.unwrap(), 0);

    tell(&member, 10..12).await;
    leader.resign().await.unwrap();
    assert!(matches!(trim.run().await, Err(CommitError::Deposed)));
    assert_eq!(all(&registry).await.len(), 5);
}

async fn a_record_that_makes_no_sense_harms_nobody(server: Server) {
    let registry = server.registry().await;
    let member = join(&registry, "m1").await;
    let mut mirror = registry.mirror().await;
    let mixed = r#"[{"what":"exploded"},{"what":"failed","unit":"no name"},7,{"what":"failed","unit":"a.service","new":1}]"#;
    for (key, value) in [
        ("event/no-key", "[]"),
        ("event/00000000000001-m1-000001", "no json"),
        ("event/00000000000001-m1-000002", r#"{"what":"failed"}"#),
        ("event/00000000000001-m1-000003", mixed),
    ] {
        server.put(key, value).await;
    }
    tell(&member, 0..1).await;
    let records = all(&registry).await;
    assert_eq!(words(&records), ["failed a.service", "started u0.service"]);

    soon("the mirror to have seen them", async {
        while mirror.events() < 5 {
            let touched = mirror.changed().await;
            assert!(touched.is_empty(), "{touched:?}");
        }
    })
    .await;
    let fresh = registry.mirror().await;
    assert_eq!(fresh.events(), 0, "they are not read");
    assert_eq!(fresh.cluster().machines.len(), 1);
}
