//! Whose turn it is: what a unit that is about to start must not run beside, though the schedule says that it is gone.

use std::collections::BTreeMap;

use fleet::handover::runs;
use fleet::{MachineId, Requirements, glob};
use unitfile::UnitName;

use crate::Agent;
use crate::failure::{Failure, chain};
use crate::systemd::Systemd;

/// What may still run of what has been decided to go.
#[derive(Debug, Default)]
pub(crate) struct Others {
    /// This machine; none if nothing is to be started.
    pub(crate) here: Option<MachineId>,
    /// Units that run here and are not to any more.
    pub(crate) going: Vec<UnitName>,
}

impl<S: Systemd> Agent<S> {
    /// Why units may not be started yet, of which that is what they ask for: one that they conflict with is not down here, or another machine is not done with them.
    pub(crate) async fn others_first(
        &self,
        others: &Others,
        starts: &BTreeMap<UnitName, Requirements>,
    ) -> BTreeMap<UnitName, Failure> {
        let mut vetoes = BTreeMap::new();
        let going: Vec<_> = others
            .going
            .iter()
            .map(|name| (name, self.files.requirements(name)))
            .collect();
        let mut moved = Vec::new();
        for (name, wanted) in starts {
            let mut foes = going.iter().filter(|(other, theirs)| {
                conflict(wanted, other.as_str()) || conflict(theirs, name.as_str())
            });
            if let Some((foe, _)) = foes.next() {
                let problem = format!("{foe} is not down here yet (Conflicts=)");
                vetoes.insert(name.clone(), Failure::waiting(problem));
            } else if !(wanted.global || wanted.fence || wanted.start_first) {
                moved.push(name.clone());
            }
        }
        if let Some(here) = &others.here {
            vetoes.extend(self.elsewhere(here, moved).await);
        }
        vetoes
    }

    /// Those of the units that run on another machine, by its word.
    async fn elsewhere(
        &self,
        here: &MachineId,
        units: Vec<UnitName>,
    ) -> BTreeMap<UnitName, Failure> {
        let states = match self.registry.states_of(&units).await {
            Ok(states) => states,
            Err(error) => {
                // without etcd nobody moves anything either
                tracing::debug!(error = %chain(&error), "asking who runs what is to be started");
                return BTreeMap::new();
            }
        };
        let veto = |unit: UnitName| {
            let mut states = states.get(&unit)?.iter();
            let (other, _) = states.find(|(machine, state)| *machine != here && runs(state))?;
            let problem = format!("machine {other:.8} has not stopped it yet");
            Some((unit, Failure::waiting(problem)))
        };
        units.into_iter().filter_map(veto).collect()
    }
}

fn conflict(wanted: &Requirements, other: &str) -> bool {
    let mut patterns = wanted.conflicts.iter();
    patterns.any(|pattern| glob::matches(pattern, other))
}
