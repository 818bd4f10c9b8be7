//! The store's file: closed and opened again, shared, and damaged.

#![allow(clippy::unwrap_used)]

use std::error::Error as _;
use std::fs::{self, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use etcd_client::{Channel, Client};
use store::{Error, Options, Store};

async fn open(dir: &Path) -> Result<Store, Error> {
    let (dir, name) = (dir.to_owned(), "test".to_owned());
    Store::open(Options {
        dir,
        name,
        client_urls: vec![],
    })
    .await
}

async fn client(store: &Store) -> Client {
    Client::from_channel(Channel::Tonic(store.channel()), None)
        .await
        .unwrap()
}

/// A directory with a store that holds a hundred keys, closed.
async fn filled() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await.unwrap();
    let mut client = client(&store).await;
    for i in 0..100 {
        client
            .put(format!("key/{i}"), "v".repeat(200), None)
            .await
            .unwrap();
    }
    store.close().await.unwrap();
    let file = dir.path().join("store.redb");
    (dir, file)
}

async fn why_not(dir: &Path) -> String {
    let error = open(dir).await.err().expect("the file is damaged");
    let source = error
        .source()
        .map(|source| format!(": {source}"))
        .unwrap_or_default();
    format!("{error}{source}")
}

#[tokio::test]
async fn a_closed_store_opens_as_it_was() {
    let (dir, _) = filled().await;
    let store = open(dir.path()).await.unwrap();
    let got = client(&store).await.get("key/99", None).await.unwrap();
    assert_eq!(got.kvs()[0].value(), "v".repeat(200).as_bytes());
    assert_eq!(got.header().unwrap().revision(), 101);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_store_that_is_open_cannot_be_opened_again() {
    let (dir, file) = filled().await;
    let store = open(dir.path()).await.unwrap();
    let Err(Error::InUse { path }) = open(dir.path()).await else {
        panic!("opened twice")
    };
    assert_eq!(path, file);
    store.close().await.unwrap();
    open(dir.path()).await.unwrap().close().await.unwrap();
}

/// A copy of the file is what a killed process leaves. A checkpoint comes with every thousandth
/// entry of the log; the copies are made around it.
#[tokio::test]
async fn a_copy_of_the_file_is_whole_before_and_after_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await.unwrap();
    let mut client = client(&store).await;
    for number in 0..1_010 {
        let put = client.put("key", number.to_string(), None).await.unwrap();
        if number >= 990 {
            assert_copy_holds(dir.path(), number, put.header().unwrap().revision()).await;
        }
    }
    store.close().await.unwrap();
}

async fn assert_copy_holds(dir: &Path, number: i32, revision: i64) {
    let copy = tempfile::tempdir().unwrap();
    fs::copy(dir.join("store.redb"), copy.path().join("store.redb")).unwrap();
    let store = open(copy.path()).await.unwrap();
    let got = client(&store).await.get("key", None).await.unwrap();
    assert_eq!(got.kvs()[0].value(), number.to_string().as_bytes());
    assert_eq!(got.kvs()[0].version(), i64::from(number) + 1);
    assert_eq!(got.header().unwrap().revision(), revision);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_file_cut_short_is_refused_with_its_name_and_a_cure() {
    for keep in [1, 100, 4_096, 40_000] {
        let (dir, file) = filled().await;
        OpenOptions::new()
            .write(true)
            .open(&file)
            .unwrap()
            .set_len(keep)
            .unwrap();
        let why = why_not(dir.path()).await;
        assert!(why.contains(file.to_str().unwrap()), "cut at {keep}: {why}");
        assert!(why.contains("move it away"), "cut at {keep}: {why}");
    }
}

#[tokio::test]
async fn a_file_that_is_overwritten_in_the_middle_is_refused_or_whole() {
    let (dir, file) = filled().await;
    let whole = fs::read(&file).unwrap();
    let mut refused = 0;
    for place in (0..whole.len()).step_by(4_096) {
        fs::write(&file, &whole).unwrap();
        overwrite(&file, place as u64);
        match open(dir.path()).await {
            Err(error) => {
                refused += 1;
                assert!(
                    error.to_string().contains(file.to_str().unwrap()),
                    "{place}: {error}"
                );
            }
            Ok(store) => assert_whole(&store).await,
        }
    }
    assert!(refused > 0, "no damage was found");
}

/// What lay in the overwritten place was not in use.
async fn assert_whole(store: &Store) {
    let options = etcd_client::GetOptions::new().with_prefix();
    let got = client(store)
        .await
        .get("key/", Some(options))
        .await
        .unwrap();
    assert_eq!(got.count(), 100);
    store.close().await.unwrap();
}

fn overwrite(file: &Path, place: u64) {
    let mut file = OpenOptions::new().write(true).open(file).unwrap();
    file.seek(SeekFrom::Start(place)).unwrap();
    file.write_all(&[0xa5; 512]).unwrap();
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("file");
    fs::write(&blocked, "").unwrap();
    let why = why_not(&blocked.join("store")).await;
    assert!(why.contains(blocked.to_str().unwrap()), "{why}");
}
