//! Ranges of keys, read page by page.

use etcd_client::{GetOptions, KeyValue};

use crate::Error;
use crate::etcd::Etcd;
use crate::keys::Range;

/// Records in one page.
const PAGE: i64 = 10_000;

/// All records of some ranges at one revision, read page by page.
pub(crate) async fn list(etcd: &Etcd, ranges: &[Range]) -> Result<(i64, Vec<KeyValue>), Error> {
    loop {
        match list_once(etcd, ranges).await {
            // the pages' revision was compacted away between two of them
            Err(error) if error.is_compacted() => {}
            other => return other,
        }
    }
}

async fn list_once(etcd: &Etcd, ranges: &[Range]) -> Result<(i64, Vec<KeyValue>), Error> {
    let (mut revision, mut records) = (0, Vec::new());
    for range in ranges {
        list_one(etcd, range, &mut revision, &mut records).await?;
    }
    Ok((revision, records))
}

/// Reads a range at a revision, the present one if that is 0, which is noted.
async fn list_one(
    etcd: &Etcd,
    range: &Range,
    revision: &mut i64,
    records: &mut Vec<KeyValue>,
) -> Result<(), Error> {
    let mut rest = range.clone();
    loop {
        let options = GetOptions::new().with_limit(PAGE).with_revision(*revision);
        let mut page = etcd.range("listing the registry", &rest, options).await?;
        if *revision == 0 {
            *revision = page.header().map_or(0, |header| header.revision());
        }
        records.append(&mut page.take_kvs());
        match records.last() {
            Some(last) if page.more() => rest.start = [last.key(), b"\0"].concat(),
            _ => return Ok(()),
        }
    }
}
