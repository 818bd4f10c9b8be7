//! What holds for the orders of every machine, whatever it has and whatever it is assigned.

use std::collections::BTreeMap;

use fleet::converge::{LocalUnit, Step, steps};
use fleet::{Assignment, DesiredState};
use proptest::prelude::*;
use unitfile::{Hash, UnitName};

type Assigned = BTreeMap<UnitName, Assignment>;
type Local = BTreeMap<UnitName, LocalUnit>;

fn name() -> impl Strategy<Value = UnitName> {
    r"[ab]\.service".prop_filter_map("a name", |name| UnitName::parse(&name).ok())
}

fn file() -> impl Strategy<Value = Hash> {
    prop_oneof![Just(Hash::of("one")), Just(Hash::of("other"))]
}

fn assignment() -> impl Strategy<Value = Assignment> {
    let desired = prop_oneof![Just(DesiredState::Loaded), Just(DesiredState::Launched)];
    (file(), desired).prop_map(|(hash, desired)| Assignment { hash, desired })
}

fn local_unit() -> impl Strategy<Value = LocalUnit> {
    let failed = prop::option::weighted(0.2, assignment());
    let busy = prop::bool::weighted(0.2);
    (
        prop::option::of(file()),
        any::<bool>(),
        any::<bool>(),
        busy,
        failed,
    )
        .prop_map(|(file, launched, active, busy, failed)| LocalUnit {
            launched: launched && file.is_some(),
            file,
            active,
            busy,
            kept: false,
            failed,
        })
}

fn assigned() -> impl Strategy<Value = Assigned> {
    prop::collection::btree_map(name(), assignment(), 0..3)
}

fn local() -> impl Strategy<Value = Local> {
    prop::collection::btree_map(name(), local_unit(), 0..3)
}

/// What systemd and the disk have after a step.
fn carry_out(local: &mut LocalUnit, step: Step) {
    match step {
        Step::Stop => (local.active, local.launched) = (false, false),
        Step::Remove => *local = LocalUnit::default(),
        Step::Write(hash) => (local.file, local.launched) = (Some(hash), false),
        Step::Start => (local.active, local.launched) = (true, true),
    }
}

proptest! {
    #[test]
    fn what_has_been_carried_out_is_not_ordered_again(assigned in assigned(), mut local in local()) {
        for (unit, orders) in steps(&assigned, &local, true) {
            let here = local.entry(unit).or_default();
            orders.into_iter().for_each(|step| carry_out(here, step));
        }
        prop_assert_eq!(steps(&assigned, &local, true), BTreeMap::new());
    }

    #[test]
    fn a_machine_ends_with_what_it_is_assigned(assigned in assigned(), mut local in local()) {
        local.retain(|_, unit| !unit.busy && unit.failed.is_none());
        for (unit, orders) in steps(&assigned, &local, true) {
            let here = local.entry(unit).or_default();
            orders.into_iter().for_each(|step| carry_out(here, step));
        }
        local.retain(|_, unit| unit.file.is_some());
        prop_assert_eq!(local.keys().collect::<Vec<_>>(), assigned.keys().collect::<Vec<_>>());
        for (unit, assigned) in &assigned {
            prop_assert_eq!(local[unit].file, Some(assigned.hash));
            prop_assert_eq!(local[unit].launched, assigned.desired == DesiredState::Launched);
        }
    }

    #[test]
    fn before_admission_nothing_is_taken_away(assigned in assigned(), local in local()) {
        for (unit, orders) in steps(&assigned, &local, false) {
            let file = local.get(&unit).and_then(|local| local.file);
            for step in orders {
                let takes_away = matches!(step, Step::Stop | Step::Remove);
                let overwrites = matches!(step, Step::Write(_)) && file.is_some();
                prop_assert!(!takes_away && !overwrites);
            }
        }
    }

    #[test]
    fn a_unit_with_an_order_under_way_gets_none(assigned in assigned(), local in local()) {
        let ordered = steps(&assigned, &local, true);
        prop_assert!(ordered.keys().all(|unit| !local.get(unit).is_some_and(|local| local.busy)));
    }
}
