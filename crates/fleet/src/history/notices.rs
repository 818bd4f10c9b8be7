//! What comes of a plan without any change: nobody's record tells of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use unitfile::UnitName;

use super::{Entry, MANY, What};
use crate::handover::runs;
use crate::schedule::Plan;
use crate::{Cluster, MachineId};

/// A leader's notes of who waits and which drains are done, so that each is told once. A drain that was done when the leader began
/// is no news, nor who waits as the leader before has told.
#[derive(Debug, Default)]
pub struct Notices {
    told: LastWords,
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    waiting: Arc<Vec<UnitName>>,
    drained: BTreeSet<MachineId>,
}

/// What was told last of each unit: that it waits, or something else. Read off what has been told, from its end.
#[derive(Debug, Default)]
pub struct LastWords {
    units: BTreeSet<UnitName>,
    waiting: BTreeSet<UnitName>,
}

impl LastWords {
    /// Takes what was told before all that has been taken.
    pub fn take(&mut self, entry: &Entry) {
        let Some(unit) = &entry.unit else {
            return;
        };
        // an agent's word is about a machine that the unit has
        let waits = entry.what == What::Waits && entry.machine.is_none();
        if self.units.insert(unit.clone()) && waits {
            self.waiting.insert(unit.clone());
        }
    }
}

impl Notices {
    /// The notes of a leader that begins when so much has been told.
    pub fn after(told: LastWords) -> Self {
        Notices { told, known: None }
    }

    /// What is new in `cluster`, in which `plan` has been carried out. `why` tells why a unit fits nowhere; of a great many it
    /// is not asked.
    pub fn news(
        &mut self,
        cluster: &Cluster,
        plan: &Plan,
        why: impl Fn(&UnitName) -> String,
    ) -> Vec<Entry> {
        let nobody = BTreeSet::new();
        let before = self.known.as_ref().map_or(&nobody, |known| &known.drained);
        let now = Known {
            waiting: Arc::clone(&plan.waiting),
            drained: drained(cluster, before),
        };
        let before = self.known.replace(now).unwrap_or_else(|| Known {
            waiting: Arc::new(std::mem::take(&mut self.told).waiting.into_iter().collect()),
            drained: drained(cluster, &nobody),
        });
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

/// The machines that were to be drained, and have and run no units any more but global ones. One that is `known` to be drained is
/// so until a unit belongs there again.
fn drained(cluster: &Cluster, known: &BTreeSet<MachineId>) -> BTreeSet<MachineId> {
    let drains = cluster.cordons.iter();
    let drains = drains.filter(|(_, cordon)| cordon.drain.is_some());
    let machines = drains.map(|(machine, _)| machine);
    let empty = machines.filter(|machine| !has_any(cluster, machine));
    let done = empty.filter(|machine| known.contains(*machine) || !runs_any(cluster, machine));
    done.cloned().collect()
}

/// Whether a unit that is not global belongs there.
fn has_any(cluster: &Cluster, machine: &MachineId) -> bool {
    let rows = cluster.schedule.get(machine);
    rows.is_some_and(|rows| rows.keys().any(|unit| !is_global(cluster, unit)))
}

/// Whether a unit that is not global is up there, or on its way up or down.
fn runs_any(cluster: &Cluster, machine: &MachineId) -> bool {
    let mut states = cluster.states.iter();
    states.any(|(unit, states)| states.get(machine).is_some_and(runs) && !is_global(cluster, unit))
}

/// One that nobody knows any more may have been anything.
fn is_global(cluster: &Cluster, unit: &UnitName) -> bool {
    let placed = cluster.targets.contains_key(unit);
    let known = cluster.units.get(unit);
    known.is_some_and(|known| known.is_global(placed))
}
