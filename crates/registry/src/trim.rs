//! Events have a bound: the leader deletes the oldest.

use std::collections::BTreeSet;
use std::ops::Bound::Excluded;

use etcd_client::{Compare, DeleteOptions, Txn, TxnOp};

use crate::events::Stored;
use crate::{CommitError, Leadership, MAX_TXN_OPS, Registry};

/// So many records of events are kept.
pub const KEPT: usize = 2_000;

/// Deletes the oldest events for as long as a leadership lasts.
#[derive(Debug)]
pub struct Trim {
    registry: Registry,
    leads: Compare,
    kept: usize,
}

/// Keys in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    first: Vec<u8>,
    last: Vec<u8>,
}

impl Leadership {
    /// What keeps the events bounded: `kept` records at most.
    pub fn trim(&self, kept: usize) -> Trim {
        Trim {
            registry: self.registry.clone(),
            leads: self.still_leads(),
            kept,
        }
    }
}

impl Trim {
    /// Deletes the oldest records but for those that are kept; tells how many.
    ///
    /// # Errors
    /// [`CommitError::Deposed`] if we do not lead any more.
    pub async fn run(&self) -> Result<usize, CommitError> {
        if self.registry.count_events().await? <= self.kept {
            return Ok(0);
        }
        let (_, stored) = self.registry.stored_events().await?;
        let surplus = stored.len().saturating_sub(self.kept);
        for some in runs(&stored, surplus).chunks(MAX_TXN_OPS) {
            let ops: Vec<TxnOp> = some.iter().map(Run::delete).collect();
            let txn = Txn::new().when([self.leads.clone()]).and_then(ops);
            let answer = self.registry.etcd.txn("deleting old events", txn).await?;
            if !answer.succeeded() {
                return Err(CommitError::Deposed);
            }
        }
        Ok(surplus)
    }
}

impl Run {
    fn delete(&self) -> TxnOp {
        let beyond = [&self.last[..], b"\0"].concat();
        let options = DeleteOptions::new().with_range(beyond);
        TxnOp::delete(self.first.clone(), Some(options))
    }
}

/// The oldest `surplus` of the records, which come in the order in which they were written, as runs of keys with none
/// between them that is kept. Where clocks agree that is one run.
fn runs(stored: &[Stored], surplus: usize) -> Vec<Run> {
    let keys = |some: &[Stored]| -> BTreeSet<Vec<u8>> {
        some.iter().map(|stored| stored.key.clone()).collect()
    };
    let (old, kept) = stored.split_at(surplus);
    let (old, kept) = (keys(old), keys(kept));
    let keeps_between = |run: &Run, key: &Vec<u8>| {
        let between = (Excluded(&run.last), Excluded(key));
        kept.range::<Vec<u8>, _>(between).next().is_some()
    };
    let mut runs: Vec<Run> = Vec::new();
    for key in old {
        match runs.last_mut() {
            Some(run) if !keeps_between(run, &key) => run.last = key,
            _ => runs.push(Run {
                first: key.clone(),
                last: key,
            }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(keys: &[&str]) -> Vec<Stored> {
        let keys = keys.iter().zip(1..);
        keys.map(|(key, revision)| Stored {
            revision,
            key: key.as_bytes().to_vec(),
        })
        .collect()
    }

    fn told(keys: &[&str], surplus: usize) -> Vec<String> {
        let runs = runs(&stored(keys), surplus);
        let text = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
        runs.iter()
            .map(|run| format!("{}-{}", text(&run.first), text(&run.last)))
            .collect()
    }

    #[test]
    fn what_is_oldest_goes_and_nothing_else() {
        assert_eq!(told(&["a", "b", "c", "d"], 2), ["a-b"]);
        // a clock that runs behind, and one that runs ahead
        assert_eq!(told(&["b", "z", "c", "a"], 3), ["b-z"]);
        assert_eq!(told(&["a", "d", "b", "c"], 2), ["a-a", "d-d"]);
        assert_eq!(told(&["a", "b"], 0), Vec::<String>::new());
    }
}
