//! Keys through an etcd client, on a store in memory.

#![allow(clippy::unwrap_used)]

use etcd_client::{
    Channel, Client, CompactionOptions, Compare, CompareOp, DeleteOptions, Error, GetOptions,
    PutOptions, SortOrder, SortTarget, Txn, TxnOp, TxnOpResponse,
};
use store::Store;

async fn client() -> Client {
    let store = Store::in_memory().await.unwrap();
    Client::from_channel(Channel::Tonic(store.channel()), None)
        .await
        .unwrap()
}

/// The gRPC code and text of a refusal.
fn refusal(error: Error) -> (String, String) {
    match error {
        Error::GRpcStatus(status) => (format!("{:?}", status.code()), status.message().to_owned()),
        other => panic!("not a refusal of the server: {other}"),
    }
}

#[tokio::test]
async fn what_was_put_can_be_read_changed_and_deleted() {
    let mut client = client().await;
    let put = client.put("a", "1", None).await.unwrap();
    assert_eq!(put.header().unwrap().revision(), 2);
    assert!(put.header().unwrap().cluster_id() != 0 && put.header().unwrap().raft_term() > 0);

    let put = client
        .put("a", "2", Some(PutOptions::new().with_prev_key()))
        .await
        .unwrap();
    assert_eq!(put.prev_key().unwrap().value(), b"1");
    let got = client.get("a", None).await.unwrap();
    assert_eq!(
        (got.kvs()[0].value(), got.kvs()[0].version()),
        (&b"2"[..], 2)
    );

    let options = DeleteOptions::new().with_prefix().with_prev_key();
    let deleted = client.delete("", Some(options)).await.unwrap();
    assert_eq!(
        (deleted.deleted(), deleted.prev_kvs()[0].value()),
        (1, &b"2"[..])
    );
    assert_eq!(client.get("a", None).await.unwrap().count(), 0);
}

#[tokio::test]
async fn a_range_is_sorted_and_cut_as_asked() {
    let mut client = client().await;
    for key in ["k/2", "k/1", "k/3", "other"] {
        client.put(key, key, None).await.unwrap();
    }
    let options = GetOptions::new()
        .with_prefix()
        .with_sort(SortTarget::Mod, SortOrder::Descend)
        .with_keys_only()
        .with_limit(2);
    let got = client.get("k/", Some(options)).await.unwrap();
    let keys: Vec<_> = got
        .kvs()
        .iter()
        .map(|kv| (kv.key_str().unwrap(), kv.value()))
        .collect();
    assert_eq!(keys, [("k/3", &b""[..]), ("k/1", b"")]);
    assert!(got.more());
    assert_eq!(got.count(), 3);
}

#[tokio::test]
async fn a_transaction_guards_its_writes() {
    let mut client = client().await;
    let create = || {
        Txn::new()
            .when([Compare::create_revision("lock", CompareOp::Equal, 0)])
            .and_then([TxnOp::put("lock", "me", None)])
            .or_else([TxnOp::get("lock", None)])
    };
    assert!(client.txn(create()).await.unwrap().succeeded());
    let second = client.txn(create()).await.unwrap();
    assert!(!second.succeeded());
    let [TxnOpResponse::Get(got)] = &second.op_responses()[..] else {
        panic!("one answer")
    };
    assert_eq!(got.kvs()[0].value(), b"me");
}

#[tokio::test]
async fn refusals_have_etcds_codes_and_texts() {
    let mut client = client().await;
    let refused = refusal(client.put("", "x", None).await.unwrap_err());
    assert_eq!(
        refused,
        pair("InvalidArgument", "etcdserver: key is not provided")
    );

    let twice = Txn::new().and_then([TxnOp::put("a", "1", None), TxnOp::put("a", "2", None)]);
    let refused = refusal(client.txn(twice).await.unwrap_err());
    assert_eq!(
        refused,
        pair(
            "InvalidArgument",
            "etcdserver: duplicate key given in txn request"
        )
    );

    let puts: Vec<_> = (0..129)
        .map(|i| TxnOp::put(i.to_string(), "", None))
        .collect();
    let refused = refusal(client.txn(Txn::new().and_then(puts)).await.unwrap_err());
    assert_eq!(
        refused,
        pair(
            "InvalidArgument",
            "etcdserver: too many operations in txn request"
        )
    );

    let refused = refusal(client.put("big", vec![0; 3 << 19], None).await.unwrap_err());
    assert_eq!(
        refused,
        pair("InvalidArgument", "etcdserver: request is too large")
    );

    let leased = PutOptions::new().with_lease(5);
    let refused = refusal(client.put("a", "1", Some(leased)).await.unwrap_err());
    assert_eq!(
        refused,
        pair("NotFound", "etcdserver: requested lease not found")
    );
}

#[tokio::test]
async fn the_past_can_be_read_until_it_is_compacted() {
    let mut client = client().await;
    for value in ["1", "2", "3"] {
        client.put("a", value, None).await.unwrap();
    }
    let at = |revision| Some(GetOptions::new().with_revision(revision));
    assert_eq!(client.get("a", at(2)).await.unwrap().kvs()[0].value(), b"1");

    client
        .compact(3, Some(CompactionOptions::new().with_physical()))
        .await
        .unwrap();
    assert_eq!(client.get("a", at(3)).await.unwrap().kvs()[0].value(), b"2");
    let refused = refusal(client.get("a", at(2)).await.unwrap_err());
    let compacted = "etcdserver: mvcc: required revision has been compacted";
    assert_eq!(refused, pair("OutOfRange", compacted));
    let refused = refusal(client.get("a", at(9)).await.unwrap_err());
    let future = "etcdserver: mvcc: required revision is a future revision";
    assert_eq!(refused, pair("OutOfRange", future));
    assert_eq!(
        refusal(client.compact(3, None).await.unwrap_err()).1,
        compacted
    );
    assert_eq!(
        refusal(client.compact(9, None).await.unwrap_err()).1,
        future
    );
}

#[tokio::test]
async fn old_revisions_are_compacted_without_being_asked() {
    let mut client = client().await;
    for _ in 0..110 {
        let puts: Vec<_> = (0..100)
            .map(|i| TxnOp::put(format!("k{i}"), "v", None))
            .collect();
        client.txn(Txn::new().and_then(puts)).await.unwrap();
    }
    // few revisions, though many records: nothing to do yet
    client
        .get("k1", Some(GetOptions::new().with_revision(2)))
        .await
        .unwrap();
    let writers = (0..100).map(|_| tokio::spawn(put_times(client.clone(), 110)));
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let old = client
        .get("k1", Some(GetOptions::new().with_revision(2)))
        .await
        .unwrap_err();
    assert_eq!(
        refusal(old).1,
        "etcdserver: mvcc: required revision has been compacted"
    );
    let now = client
        .get("a", None)
        .await
        .unwrap()
        .header()
        .unwrap()
        .revision();
    client
        .get("a", Some(GetOptions::new().with_revision(now - 9_999)))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_not_offered_says_so_in_a_sentence() {
    let mut client = client().await;
    let (code, text) = refusal(client.user_list().await.unwrap_err());
    assert_eq!(code, "Unimplemented");
    assert!(text.contains("no users and roles"), "{text}");
    let (code, text) = refusal(client.defragment().await.unwrap_err());
    assert_eq!(code, "Unimplemented");
    assert!(text.contains("nothing to defragment"), "{text}");
    let (code, text) = refusal(client.lock("x", None).await.unwrap_err());
    assert_eq!(code, "Unimplemented");
    assert!(text.contains("no lock service"), "{text}");
}

#[tokio::test]
async fn the_member_and_its_status_are_told() {
    let mut client = client().await;
    client.put("a", "1", None).await.unwrap();
    let members = client.member_list().await.unwrap();
    let status = client.status().await.unwrap();
    assert_eq!(members.members().len(), 1);
    assert_eq!(status.leader(), members.members()[0].id());
    assert!(status.raft_applied_index() >= 3 && status.raft_term() >= 2);
    assert!(
        client
            .alarm(
                etcd_client::AlarmAction::Get,
                etcd_client::AlarmType::None,
                None
            )
            .await
            .unwrap()
            .alarms()
            .is_empty()
    );
}

async fn put_times(mut client: Client, times: usize) {
    for _ in 0..times {
        client.put("a", "v", None).await.unwrap();
    }
}

fn pair(code: &str, text: &str) -> (String, String) {
    (code.to_owned(), text.to_owned())
}
