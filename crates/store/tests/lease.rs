//! Leases through an etcd client, on a store in memory and under a clock that the test moves.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use etcd_client::{
    Channel, Client, Error, EventType, LeaseGrantOptions, LeaseTimeToLiveOptions, PutOptions,
    WatchOptions,
};
use store::{MemoryLog, Store};
use tokio::time::{Instant, sleep};

async fn client() -> Client {
    let store = Store::in_memory().await.unwrap();
    Client::from_channel(Channel::Tonic(store.channel()), None)
        .await
        .unwrap()
}

async fn grant(client: &mut Client, ttl: i64) -> i64 {
    let lease = client.lease_grant(ttl, None).await.unwrap();
    assert_eq!(lease.ttl(), ttl);
    assert!(lease.id() > 0);
    lease.id()
}

async fn put(client: &mut Client, key: &str, lease: i64) {
    client
        .put(key, "x", Some(PutOptions::new().with_lease(lease)))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_keys_of_a_lease_go_together_at_its_end() {
    let mut client = client().await;
    let lease = grant(&mut client, 10).await;
    let granted = Instant::now();
    put(&mut client, "a/1", lease).await;
    put(&mut client, "a/2", lease).await;
    let options = WatchOptions::new().with_prefix();
    let mut watch = client.watch("a/", Some(options)).await.unwrap();
    assert!(watch.message().await.unwrap().unwrap().created());

    let gone = watch.message().await.unwrap().unwrap();
    let after = granted.elapsed();
    assert!(
        (Duration::from_secs(10)..Duration::from_millis(10_100)).contains(&after),
        "{after:?}"
    );
    assert_eq!(gone.events().len(), 2);
    assert!(
        gone.events()
            .iter()
            .all(|event| event.event_type() == EventType::Delete)
    );
    assert!(client.leases().await.unwrap().leases().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_kept_alive_stays() {
    let mut client = client().await;
    let lease = grant(&mut client, 10).await;
    put(&mut client, "a", lease).await;
    let (mut keeper, mut answers) = client.lease_keep_alive(lease).await.unwrap();
    for _ in 0..5 {
        sleep(Duration::from_secs(8)).await;
        keeper.keep_alive().await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap().ttl(), 10);
    }
    assert_eq!(client.get("a", None).await.unwrap().count(), 1);
    sleep(Duration::from_secs(11)).await;
    assert_eq!(client.get("a", None).await.unwrap().count(), 0);
    keeper.keep_alive().await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().ttl(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_on_the_log_of_another_knows_all_of_it_and_gives_leases_their_full_time() {
    let log = MemoryLog::new();
    let store = Store::on(&log).await.unwrap();
    let connect = |store: &Store| Client::from_channel(Channel::Tonic(store.channel()), None);
    let mut client = connect(&store).await.unwrap();
    let lease = grant(&mut client, 10).await;
    put(&mut client, "a", lease).await;
    client.put("b", "y", None).await.unwrap();
    client.delete("b", None).await.unwrap();
    sleep(Duration::from_secs(8)).await;
    store.close().await.unwrap();
    assert!(client.get("a", None).await.is_err());

    let mut client = connect(&Store::on(&log).await.unwrap()).await.unwrap();
    sleep(Duration::from_secs(8)).await;
    let there = client.get("a", None).await.unwrap();
    assert_eq!(there.header().unwrap().revision(), 4);
    assert_eq!(there.kvs()[0].lease(), lease);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(client.get("a", None).await.unwrap().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_time_to_live_is_told_with_the_keys() {
    let mut client = client().await;
    let lease = grant(&mut client, 100).await;
    put(&mut client, "a", lease).await;
    sleep(Duration::from_secs(40)).await;
    let options = LeaseTimeToLiveOptions::new().with_keys();
    let left = client
        .lease_time_to_live(lease, Some(options))
        .await
        .unwrap();
    assert_eq!((left.ttl(), left.granted_ttl()), (60, 100));
    assert_eq!(left.keys(), [b"a".to_vec()]);
    assert_eq!(client.lease_time_to_live(5, None).await.unwrap().ttl(), -1);
}

#[tokio::test]
async fn a_lease_can_be_revoked_once() {
    let mut client = client().await;
    let lease = grant(&mut client, 100).await;
    put(&mut client, "a", lease).await;
    client.lease_revoke(lease).await.unwrap();
    assert_eq!(client.get("a", None).await.unwrap().count(), 0);
    let Err(Error::GRpcStatus(status)) = client.lease_revoke(lease).await else {
        panic!("revoked twice");
    };
    assert_eq!(status.message(), "etcdserver: requested lease not found");
}

#[tokio::test]
async fn a_lease_can_have_a_chosen_id_that_is_free() {
    let mut client = client().await;
    let chosen = || Some(LeaseGrantOptions::new().with_id(77));
    assert_eq!(client.lease_grant(60, chosen()).await.unwrap().id(), 77);
    let Err(Error::GRpcStatus(status)) = client.lease_grant(60, chosen()).await else {
        panic!("granted twice");
    };
    assert_eq!(status.message(), "etcdserver: lease already exists");
    assert_eq!(client.leases().await.unwrap().leases()[0].id(), 77);
}
