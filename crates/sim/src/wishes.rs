//! What the API's clients asked for, and were told.

use std::collections::BTreeMap;

use fleet::{Cluster, DesiredState};
use registry::{Expected, Registry, UnitWrite, Written};
use unitfile::{Hash, UnitFile, UnitName};

use crate::units;

/// A unit as somebody wants it; none: not at all.
type Wish = Option<(Hash, DesiredState)>;

/// For each unit what the records may say: one thing after an answer, several after a request that failed, which may
/// have been carried out or not.
#[derive(Debug, Default)]
pub(crate) struct Wishes(BTreeMap<UnitName, Vec<Wish>>);

/// What a client asks for.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) unit: UnitName,
    pub(crate) order: Order,
}

/// What is to become of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// It gets this version of its file, and is to be brought so far.
    Put(u64, DesiredState),
    /// It keeps its file.
    Bring(DesiredState),
    /// It is destroyed.
    Destroy,
}

/// How a request ended.
#[derive(Debug)]
pub(crate) enum Answer {
    /// 2xx.
    Done,
    /// 4xx: nothing was done.
    Refused,
    /// 5xx.
    Failed,
}

impl Wishes {
    /// Makes a request as the API makes it, and notes what it may have led to.
    pub(crate) async fn make(&mut self, registry: &Registry, request: &Request) -> Answer {
        let unit = &request.unit;
        let stored = match registry.unit_picture(std::slice::from_ref(unit)).await {
            Ok(stored) => stored,
            Err(_) => return Answer::Failed,
        };
        let there = stored.cluster.units.get(unit).map(|unit| unit.hash);
        let Some((wish, file)) = request.order.wish(unit, there) else {
            return Answer::Refused;
        };
        let revision = stored.revisions.get(unit).copied();
        let answer = write(registry, unit, wish, file.as_ref(), revision).await;
        self.note(unit, wish, &answer);
        answer
    }

    /// Units that are not as anybody who got an answer may expect.
    pub(crate) fn broken(&self, cluster: &Cluster) -> Option<String> {
        self.0.iter().find_map(|(unit, wishes)| {
            let there = cluster.units.get(unit);
            let there = there.map(|unit| (unit.hash, unit.desired));
            let told = || format!("{unit} is {there:?}, while clients were told {wishes:?}");
            (!wishes.contains(&there)).then(told)
        })
    }

    fn note(&mut self, unit: &UnitName, wish: Wish, answer: &Answer) {
        let wishes = self.0.entry(unit.clone()).or_insert_with(|| vec![None]);
        match answer {
            Answer::Done => *wishes = vec![wish],
            Answer::Refused => {}
            Answer::Failed => wishes.push(wish),
        }
    }
}

impl Order {
    /// The unit as it is to be, with its file where that is new; none where the order makes no sense.
    fn wish(self, unit: &UnitName, there: Option<Hash>) -> Option<(Wish, Option<UnitFile>)> {
        match self {
            Order::Put(version, desired) => {
                let file = units::file(unit, version);
                Some((Some((file.hash(), desired)), Some(file)))
            }
            Order::Bring(desired) => Some((Some((there?, desired)), None)),
            Order::Destroy => there.map(|_| (None, None)),
        }
    }
}

async fn write(
    registry: &Registry,
    unit: &UnitName,
    wish: Wish,
    file: Option<&UnitFile>,
    revision: Option<i64>,
) -> Answer {
    let Some((hash, desired)) = wish else {
        return match registry.delete_unit(unit).await {
            Ok(_) => Answer::Done,
            Err(_) => Answer::Failed,
        };
    };
    let write = UnitWrite {
        name: unit.clone(),
        hash,
        file,
        desired,
        expected: revision.map_or(Expected::Absent, Expected::Revision),
    };
    match registry.put_units(&[write]).await {
        Ok(written) if written.iter().all(|one| matches!(one, Written::Done(_))) => Answer::Done,
        Ok(_) => Answer::Refused,
        Err(_) => Answer::Failed,
    }
}
