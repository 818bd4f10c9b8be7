//! Watches through an etcd client, on a store in memory.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use etcd_client::{
    Channel, Client, Error, EventType, Txn, TxnOp, WatchFilterType, WatchOptions, WatchResponse,
    WatchStream,
};
use store::Store;
use tokio::time::timeout;

async fn client() -> Client {
    let store = Store::in_memory().await.unwrap();
    Client::from_channel(Channel::Tonic(store.channel()), None)
        .await
        .unwrap()
}

/// The next response; a watch that has nothing to say is an error here, not a hang.
async fn next(stream: &mut WatchStream) -> WatchResponse {
    let message = timeout(Duration::from_secs(10), stream.message()).await;
    message
        .expect("the watch says something")
        .unwrap()
        .expect("the stream goes on")
}

/// Starts a watch and takes its first response, which must say that it was created.
async fn watch(client: &mut Client, key: &str, options: WatchOptions) -> WatchStream {
    let mut stream = client.watch(key, Some(options)).await.unwrap();
    let created = next(&mut stream).await;
    assert!(created.created() && !created.canceled() && created.events().is_empty());
    stream
}

/// The events of a response, in short.
fn told(response: &WatchResponse) -> Vec<String> {
    let told = response.events().iter().map(|event| {
        let kv = event.kv().unwrap();
        let what = match event.event_type() {
            EventType::Put => format!("{}={}", kv.key_str().unwrap(), kv.value_str().unwrap()),
            EventType::Delete => format!("-{}", kv.key_str().unwrap()),
        };
        let before = event
            .prev_kv()
            .map(|kv| format!(" was {}", kv.value_str().unwrap()));
        what + &before.unwrap_or_default()
    });
    told.collect()
}

#[tokio::test]
async fn a_watch_tells_what_happens_from_now_on() {
    let mut client = client().await;
    client.put("a", "0", None).await.unwrap();
    let options = WatchOptions::new().with_prefix().with_prev_key();
    let mut stream = watch(&mut client, "a", options).await;
    client.put("b", "1", None).await.unwrap();
    client.put("a", "1", None).await.unwrap();
    let response = next(&mut stream).await;
    assert_eq!(told(&response), ["a=1 was 0"]);
    assert_eq!(response.events()[0].kv().unwrap().mod_revision(), 4);
    client.delete("a", None).await.unwrap();
    assert_eq!(told(&next(&mut stream).await), ["-a was 1"]);
}

#[tokio::test]
async fn a_watch_resumes_where_it_was() {
    let mut client = client().await;
    for value in 0..5 {
        client.put("a", value.to_string(), None).await.unwrap();
    }
    let options = WatchOptions::new().with_start_revision(4);
    let mut stream = watch(&mut client, "a", options).await;
    assert_eq!(told(&next(&mut stream).await), ["a=2", "a=3", "a=4"]);
}

#[tokio::test]
async fn the_events_of_a_transaction_come_in_one_response() {
    let mut client = client().await;
    let mut stream = watch(&mut client, "t", WatchOptions::new().with_prefix()).await;
    let txn = Txn::new().and_then([
        TxnOp::put("t2", "x", None),
        TxnOp::put("t1", "x", None),
        TxnOp::put("other", "x", None),
    ]);
    client.txn(txn).await.unwrap();
    assert_eq!(told(&next(&mut stream).await), ["t2=x", "t1=x"]);
}

#[tokio::test]
async fn one_stream_carries_several_watches_and_can_end_each() {
    let mut client = client().await;
    let mut stream = watch(&mut client, "a", WatchOptions::new()).await;
    stream
        .watch("b", Some(WatchOptions::new().with_watch_id(7)))
        .await
        .unwrap();
    let created = next(&mut stream).await;
    assert!(created.created() && created.watch_id() == 7);

    client.put("b", "1", None).await.unwrap();
    assert_eq!(next(&mut stream).await.watch_id(), 7);
    stream.cancel(7).await.unwrap();
    let ended = next(&mut stream).await;
    assert!(ended.canceled() && ended.watch_id() == 7 && ended.compact_revision() == 0);
    client.put("b", "2", None).await.unwrap();
    client.put("a", "2", None).await.unwrap();
    assert_eq!(told(&next(&mut stream).await), ["a=2"]);

    stream
        .watch("c", Some(WatchOptions::new().with_watch_id(9)))
        .await
        .unwrap();
    assert!(next(&mut stream).await.created());
    stream
        .watch("d", Some(WatchOptions::new().with_watch_id(9)))
        .await
        .unwrap();
    let refused = next(&mut stream).await;
    assert!(refused.canceled());
    assert_eq!(
        refused.cancel_reason(),
        "mvcc: duplicate watch ID provided on the WatchStream"
    );
}

#[tokio::test]
async fn a_watch_into_the_compacted_past_is_created_then_ended_and_the_stream_stays() {
    let mut client = client().await;
    for value in 0..5 {
        client.put("a", value.to_string(), None).await.unwrap();
    }
    client.compact(4, None).await.unwrap();
    let mut stream = watch(&mut client, "a", WatchOptions::new().with_start_revision(2)).await;
    let ended = next(&mut stream).await;
    assert!(ended.canceled() && ended.events().is_empty());
    assert_eq!((ended.compact_revision(), ended.cancel_reason()), (4, ""));

    stream
        .watch("a", Some(WatchOptions::new().with_start_revision(4)))
        .await
        .unwrap();
    assert!(next(&mut stream).await.created());
    assert_eq!(told(&next(&mut stream).await), ["a=2", "a=3", "a=4"]);
}

#[tokio::test]
async fn filters_keep_events_away() {
    let mut client = client().await;
    let only = |filter: WatchFilterType| WatchOptions::new().with_filters([filter]);
    let mut deletes = watch(&mut client, "a", only(WatchFilterType::NoPut)).await;
    let mut puts = watch(&mut client, "a", only(WatchFilterType::NoDelete)).await;
    client.put("a", "1", None).await.unwrap();
    client.delete("a", None).await.unwrap();
    client.put("a", "2", None).await.unwrap();
    assert_eq!(told(&next(&mut deletes).await), ["-a"]);
    let mut seen = told(&next(&mut puts).await);
    while seen.len() < 2 {
        seen.extend(told(&next(&mut puts).await));
    }
    assert_eq!(seen, ["a=1", "a=2"]);
}

#[tokio::test]
async fn progress_is_told_after_all_events_before_it() {
    let mut client = client().await;
    let mut stream = watch(&mut client, "a", WatchOptions::new()).await;
    client.put("a", "1", None).await.unwrap();
    client.put("b", "1", None).await.unwrap();
    stream.request_progress().await.unwrap();
    let event = next(&mut stream).await;
    assert_eq!(told(&event), ["a=1"]);
    let progress = next(&mut stream).await;
    assert_eq!((progress.watch_id(), progress.events().len()), (-1, 0));
    assert_eq!(progress.header().unwrap().revision(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_idle_watch_that_asked_for_it_is_told_the_revision_every_ten_minutes() {
    let mut client = client().await;
    let options = WatchOptions::new().with_progress_notify();
    let mut stream = watch(&mut client, "a", options).await;
    client.put("b", "1", None).await.unwrap();
    let start = tokio::time::Instant::now();
    let progress = stream.message().await.unwrap().unwrap();
    assert!(progress.events().is_empty() && progress.watch_id() == 0);
    assert_eq!(progress.header().unwrap().revision(), 2);
    assert!(
        start.elapsed() >= Duration::from_secs(590),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn a_watcher_that_does_not_read_holds_up_nobody_and_misses_nothing() {
    let mut client = client().await;
    let mut slow = watch(&mut client, "a", WatchOptions::new()).await;
    let value = "x".repeat(10_000);
    for _ in 0..2_000 {
        client.put("a", value.as_str(), None).await.unwrap();
    }
    let mut next_revision = 2;
    while next_revision <= 2_001 {
        for event in next(&mut slow).await.events() {
            assert_eq!(event.kv().unwrap().mod_revision(), next_revision);
            next_revision += 1;
        }
    }
}

#[tokio::test]
async fn when_the_store_closes_its_watches_end() {
    let store = Store::in_memory().await.unwrap();
    let mut client = Client::from_channel(Channel::Tonic(store.channel()), None)
        .await
        .unwrap();
    let mut stream = watch(&mut client, "a", WatchOptions::new()).await;
    store.close().await.unwrap();
    let end = timeout(Duration::from_secs(10), stream.message())
        .await
        .expect("the watch ends");
    let Err(Error::GRpcStatus(status)) = end else {
        panic!("not an error: {end:?}")
    };
    assert_eq!(status.message(), "etcdserver: server stopped");
    assert!(client.put("a", "1", None).await.is_err());
}
