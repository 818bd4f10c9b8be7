//! What comes of a plan without any change: nobody's record tells of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use unitfile::UnitName;

use super::{Entry, MANY, What};
use crate::schedule::Plan;
use crate::{Cluster, MachineId};

/// A leader's notes of who waits and which drains are done, so that each is told once. What was so when the leader began is
/// no news.
#[derive(Debug, Default)]
pub struct Notices {
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    waiting: Arc<Vec<UnitName>>,
    drained: BTreeSet<MachineId>,
}

impl Notices {
    /// What is new in `cluster`, in which `plan` has been carried out. `why` tells why a unit fits nowhere; of a great many it
    /// is not asked.
    pub fn news(
        &mut self,
        cluster: &Cluster,
        plan: &Plan,
        why: impl Fn(&UnitName) -> String,
    ) -> Vec<Entry> {
        let now = Known {
            waiting: Arc::clone(&plan.waiting),
            drained: drained(cluster),
        };
        let Some(before) = self.known.replace(now) else {
            return Vec::new();
        };
        let new = newly(&before.waiting, &plan.waiting);
        let told = |unit: &UnitName| match new.len() {
            0..=MANY => why(unit),
            _ => "no machine fits".to_owned(),
        };
        let waits = new
            .iter()
            .map(|unit| Entry::of(What::Waits).unit(unit).because(told(unit)));
        let drained = self.known.iter().flat_map(|now| &now.drained);
        let drained = drained.filter(|machine| !before.drained.contains(*machine));
        let drained = drained.map(|machine| {
            let entry = Entry::of(What::Drained).on(machine);
            entry.because("no unit is left on it but global ones")
        });
        waits.chain(drained).collect()
    }
}

/// Those of `now`, in order, that are not in `before`.
fn newly<'a>(before: &Arc<Vec<UnitName>>, now: &'a Arc<Vec<UnitName>>) -> Vec<&'a UnitName> {
    if Arc::ptr_eq(before, now) {
        return Vec::new();
    }
    let mut before = before.iter().peekable();
    let is_new = |unit: &&UnitName| {
        while before.next_if(|other| other < unit).is_some() {}
        before.peek() != Some(unit)
    };
    now.iter().filter(is_new).collect()
}

/// The machines that were to be drained and have no units but global ones.
fn drained(cluster: &Cluster) -> BTreeSet<MachineId> {
    let drains = cluster.cordons.iter();
    let drains = drains.filter(|(_, cordon)| cordon.drain.is_some());
    let has_any = |machine: &MachineId| {
        let rows = cluster.schedule.get(machine);
        let is_there = |unit: &UnitName| cluster.targets.get(unit) == Some(machine);
        rows.is_some_and(|rows| rows.keys().any(is_there))
    };
    let machines = drains.map(|(machine, _)| machine);
    machines
        .filter(|machine| !has_any(machine))
        .cloned()
        .collect()
}
