//! Units that change machines with both there: `MoveOrder=start-first` keeps the old copy up until the new one is.
//!
//! The schedule knows of one place only, the new one. The old machine keeps what it runs, though it is not assigned there any
//! more, and asks how the unit fares at its new place.

use crate::{Cluster, DesiredState, MachineId, UnitState};

/// How a unit fares that its machine is to be rid of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// Nobody has decided yet that it is to be elsewhere.
    Undecided,
    /// It is to be elsewhere, and is not up there.
    Coming,
    /// It is up elsewhere, or nowhere to be started: nothing keeps it where it was.
    Over,
}

/// How `unit` fares, by what `cluster` tells of it, for the machine `here` that runs it.
pub fn outlook(cluster: &Cluster, unit: &str, here: &MachineId) -> Outlook {
    let wanted = cluster.units.get(unit);
    let Some(wanted) = wanted.filter(|unit| unit.desired == DesiredState::Launched) else {
        return Outlook::Over;
    };
    match cluster.targets.get(unit) {
        None => Outlook::Over,
        Some(there) if there == here => Outlook::Undecided,
        Some(there) => {
            let states = cluster.states.get(unit);
            let state = states.and_then(|states| states.get(there));
            let up = state.is_some_and(|state| state.hash == wanted.hash && is_up(state));
            if up { Outlook::Over } else { Outlook::Coming }
        }
    }
}

/// Whether a machine that says so runs the unit, or is about to.
pub fn runs(state: &UnitState) -> bool {
    let begins = state.starting && state.current == DesiredState::Launched;
    begins || !["inactive", "failed"].contains(&state.active.as_str())
}

/// Whether it has been started and did not fail: one that has done its work and ended is as good as one that runs.
fn is_up(state: &UnitState) -> bool {
    let started = state.current == DesiredState::Launched && !state.starting;
    started && ["active", "inactive"].contains(&state.active.as_str())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use unitfile::{UnitFile, UnitName};

    use super::*;
    use crate::{Event, UnitRecord};

    const HERE: &str = "here";
    const THERE: &str = "there";

    fn name() -> UnitName {
        UnitName::parse("web.service").unwrap()
    }

    fn machine(id: &str) -> MachineId {
        MachineId::parse(id).unwrap()
    }

    fn state(active: &str, starting: bool) -> UnitState {
        UnitState {
            load: "loaded".to_owned(),
            active: active.to_owned(),
            sub: String::new(),
            hash: UnitFile::default().hash(),
            current: DesiredState::Launched,
            starting,
            problem: String::new(),
            failures: 0,
            unwritable: false,
        }
    }

    /// How the unit fares if it is to be `desired` on `target`, and `there` says so of it.
    fn fares(desired: DesiredState, target: Option<&str>, there: Option<UnitState>) -> Outlook {
        let mut cluster = Cluster::default();
        let file = UnitFile::default();
        let hash = file.hash();
        let record = UnitRecord { hash, desired };
        cluster.apply(Event::Unit(name(), Some(record)));
        cluster.apply(Event::Target(name(), target.map(machine)));
        cluster.apply(Event::State(
            name(),
            machine(HERE),
            Some(state("active", false)),
        ));
        cluster.apply(Event::State(name(), machine(THERE), there));
        outlook(&cluster, "web.service", &machine(HERE))
    }

    #[test]
    fn the_old_copy_has_served_when_the_new_one_is_up() {
        let moved = |there| fares(DesiredState::Launched, Some(THERE), there);
        assert_eq!(moved(None), Outlook::Coming);
        assert_eq!(moved(Some(state("activating", true))), Outlook::Coming);
        assert_eq!(moved(Some(state("inactive", true))), Outlook::Coming);
        assert_eq!(moved(Some(state("failed", false))), Outlook::Coming);
        assert_eq!(moved(Some(state("active", false))), Outlook::Over);
        // it has done its work
        assert_eq!(moved(Some(state("inactive", false))), Outlook::Over);
        let loaded = UnitState {
            current: DesiredState::Loaded,
            ..state("inactive", false)
        };
        assert_eq!(moved(Some(loaded)), Outlook::Coming);
        let other = UnitFile::parse(b"[Service]\nExecStart=/bin/true\n").unwrap();
        let earlier = UnitState {
            hash: other.hash(),
            ..state("active", false)
        };
        assert_eq!(moved(Some(earlier)), Outlook::Coming);
    }

    #[test]
    fn nothing_keeps_what_is_to_run_nowhere() {
        assert_eq!(fares(DesiredState::Launched, None, None), Outlook::Over);
        assert_eq!(fares(DesiredState::Inactive, None, None), Outlook::Over);
        assert_eq!(
            fares(DesiredState::Loaded, Some(THERE), None),
            Outlook::Over
        );
        let nothing = Cluster::default();
        assert_eq!(
            outlook(&nothing, "web.service", &machine(HERE)),
            Outlook::Over
        );
        let undecided = fares(DesiredState::Launched, Some(HERE), None);
        assert_eq!(undecided, Outlook::Undecided);
    }
}
