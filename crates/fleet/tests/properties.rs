//! What holds for the plan of every picture, however odd its records are.
#![allow(clippy::unwrap_used)]

#[path = "story/cluster.rs"]
mod cluster;

use std::collections::BTreeSet;

use cluster::Situation;
use fleet::cluster::Touched;
use fleet::history::{Account, What};
use fleet::schedule::{Change, Plan, Planner, Rebalance, Survey, plan, rebalance};
use fleet::{Cluster, DesiredState, Event, MachineId, Requirements, glob};
use proptest::prelude::*;
use unitfile::UnitName;

/// The lines of a story; no two of them about one record.
type Lines = Vec<String>;

fn machines() -> impl Strategy<Value = Lines> {
    let zones = prop::collection::vec(prop::option::of(1..4u8), 4);
    zones.prop_map(|zones| {
        let ids = ["ma", "mb", "mc", "md"];
        let present = zones
            .into_iter()
            .zip(ids)
            .filter_map(|(zone, id)| zone.zip(Some(id)));
        present
            .map(|(zone, id)| format!("machine {id} zone={zone} memory={}G", zone + 2))
            .collect()
    })
}

fn option(replaces: bool) -> impl Strategy<Value = String> {
    let (unit, pattern) = (NAME, r"(a|b|w@1|w@\*|\[a-c\]|\*)\.service");
    let usual = prop_oneof![
        3 => "MachineMetadata=zone=[123]",
        2 => unit.prop_map(|unit| format!("MachineOf={unit}")),
        3 => pattern.prop_map(|pattern| format!("Conflicts={pattern}")),
        1 => "MachineID=m[a-d]",
        2 => Just("Global=true".to_owned()),
        1 => r"MachineOf=(all:)?(w@\*|\[ab\])\.service",
        1 => "Constraint=(zone!=2|zone>1|!zone)",
        1 => "(Prefer|Avoid)=zone=[123]",
        1 => "Spread=zone",
        1 => r"AvoidUnits=(w@\*|b)\.service",
        1 => "MaxPerMachine=[12]",
        1 => "MemoryReservation=[123]G",
        1 => "MoveDelaySec=[1-9]0",
        1 => "RescheduleAfter=[1-3]",
        1 => Just("Sticky=yes".to_owned()),
        1 => Just("MoveOrder=start-first".to_owned()),
    ];
    let pushing = pattern.prop_map(|pattern| format!("Replaces={pattern}"));
    (usual, pushing, 0..4).prop_map(move |(usual, pushing, chance)| {
        if replaces && chance == 0 {
            pushing
        } else {
            usual
        }
    })
}

fn units(replaces: bool) -> impl Strategy<Value = Lines> {
    let options = prop::collection::vec(option(replaces), 0..3);
    let unit = prop::option::of(("(inactive|loaded|launched)", options));
    prop::collection::vec(unit, 6).prop_map(|units| {
        let present = units.into_iter().zip(["a", "b", "c", "w@1", "w@2", "w@3"]);
        let lines = present.filter_map(|(unit, name)| {
            let (state, options) = unit?;
            Some(format!("unit {name}.service {state} {}", options.join(" ")))
        });
        lines.collect()
    })
}

/// A unit: half of them are instances of one template.
const NAME: &str = r"(a|b|c|w@[123])\.service";

/// Rows and targets as nobody would write them.
fn records() -> impl Strategy<Value = Lines> {
    let row = r"row m[a-e] (a|b|c|g|w@[123])\.service (loaded|launched)";
    let target = r"target (a|b|c|g|w@[123])\.service m[a-e]";
    prop::collection::vec(prop_oneof![row, target], 0..12)
}

fn picture(replaces: bool) -> impl Strategy<Value = Situation> {
    (machines(), units(replaces), records()).prop_map(|parts| {
        let mut situation = Situation::default();
        for line in parts.0.iter().chain(&parts.1).chain(&parts.2) {
            situation.line(line);
        }
        situation
    })
}

/// Anything that may happen to a cluster. The story takes a plan to be carried out at once; a `foreign` line is one that no leader
/// would have written.
fn happening() -> impl Strategy<Value = String> {
    let options = prop::collection::vec(option(true), 0..3);
    let unit = (NAME, "(inactive|loaded|launched)", options);
    let unit = unit
        .prop_map(|(name, state, options)| format!("unit {name} {state} {}", options.join(" ")));
    prop_oneof![
        6 => unit,
        2 => "destroy (a|b|c|w@[123])\\.service",
        2 => "set-if-there (a|b|c|w@[123])\\.service (inactive|loaded|launched)",
        2 => "machine m[a-d] zone=[123]",
        2 => "leave m[a-d]",
        1 => "metadata m[a-d] zone=[123]",
        1 => "leaving m[a-d]",
        1 => "cordon m[a-d]",
        1 => "drain m[a-d] [1-9]",
        1 => "grace m[a-d] [1-9]0",
        1 => "uncordon m[a-d]",
        1 => "runs-if-there m[a-d] (a|b|c|w@[123])\\.service",
        1 => "fails-if-there m[a-d] (a|b|c|w@[123])\\.service",
        1 => "unwritable-if-there m[a-d] (a|b|c|w@[123])\\.service",
        1 => "stopped m[a-d] (a|b|c|w@[123])\\.service",
        1 => "lose-file (a|b|c|w@[123])\\.service",
        1 => r"row m[a-e] (a|b|c|g|w@[123])\.service (loaded|launched)",
        1 => r"target (a|b|c|g|w@[123])\.service m[a-e]",
        1 => "capacity m[a-d] [1-6]G",
        2 => "wait [1-9]{1,2}",
        1 => "forget m[a-d]",
        1 => "move (a|b|c|w@[123])\\.service m[a-d]",
        1 => "silent( m[a-d]){0,2}",
    ]
}

/// Anything that may happen to machines and bear upon how many are taken for lost.
fn outage() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "leave m[a-e]",
        2 => "machine m[a-e] zone=1",
        1 => "leaving m[a-e]",
        2 => "grace m[a-e] [1-9]0",
        1 => "uncordon m[a-e]",
        2 => "silent( m[a-e]){0,2}",
        1 => "forget m[a-e]",
        2 => "wait [1-9]{1,2}",
    ]
}

/// Carries out so many changes of the plan, or all, and tells of them; whether units are told to wait for machines that were
/// lost at once, if they were before or not.
fn carry_out(
    situation: &mut Situation,
    changes: usize,
    mut braked: bool,
) -> Result<bool, TestCaseError> {
    let mut planned = plan(&situation.cluster, &situation.terms);
    let account = Account::of(&situation.cluster, &planned);
    let done = planned.changes.len().min(changes);
    let told = (0..done).flat_map(|change| account.with(change));
    for entry in told {
        let now = match entry.what {
            What::Braked => true,
            What::Released => false,
            _ => continue,
        };
        prop_assert_ne!(now, braked, "{} is told twice", entry.what);
        braked = now;
    }
    if done == planned.changes.len() {
        prop_assert_eq!(braked, planned.braked);
    }
    planned.changes.truncate(done);
    situation.commit(&planned);
    Ok(braked)
}

/// Machines that an operator keeps units away from, or has drained, after the cluster has settled.
fn cordoned(replaces: bool) -> impl Strategy<Value = Situation> {
    let order = prop_oneof!["cordon m[a-d]", "drain m[a-d] [1-9]"];
    let orders = prop::collection::vec(order, 1..4);
    (settled(replaces), orders).prop_map(|(mut situation, orders)| {
        for order in orders {
            situation.line(&order);
        }
        situation
    })
}

/// A picture whose plan has been carried out.
fn settled(replaces: bool) -> impl Strategy<Value = Situation> {
    picture(replaces).prop_map(|mut situation| {
        let planned = plan(&situation.cluster, &situation.terms);
        situation.commit(&planned);
        situation
    })
}

fn config() -> ProptestConfig {
    // a failure's story is short: it becomes a scenario
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn planning_the_outcome_again_changes_nothing(situation in settled(true)) {
        prop_assert_eq!(plan(&situation.cluster, &situation.terms).changes, vec![]);
    }

    #[test]
    fn a_planner_that_remembers_plans_like_one_that_does_not(
        mut situation in settled(true),
        happenings in prop::collection::vec(prop::collection::vec(happening(), 1..4), 1..12),
    ) {
        let mut planner = Planner::default();
        planner.plan(&situation.cluster, &Touched::Everything, &situation.terms);
        situation.touched = Touched::default();
        for happening in happenings {
            happening.iter().for_each(|line| drop(situation.line(line)));
            let touched = std::mem::take(&mut situation.touched);
            let planned = planner.plan(&situation.cluster, &touched, &situation.terms);
            prop_assert_eq!(&planned, &plan(&situation.cluster, &situation.terms));
            situation.commit(&planned);
        }
    }

    #[test]
    fn a_survey_that_remembers_answers_like_one_that_does_not(
        mut situation in picture(true),
        happenings in prop::collection::vec((prop::collection::vec(happening(), 1..4), any::<bool>()), 1..12),
    ) {
        let mut survey = Survey::default();
        situation.touched = Touched::Everything;
        for (happening, planned) in happenings {
            happening.iter().for_each(|line| drop(situation.line(line)));
            if planned {
                situation.commit(&plan(&situation.cluster, &situation.terms));
            }
            let touched = std::mem::take(&mut situation.touched);
            survey.update(&situation.cluster, &touched, &situation.terms);
            let anew = situation.survey();
            for unit in situation.cluster.units.keys() {
                prop_assert_eq!(survey.refusals(unit), anew.refusals(unit), "{}", unit);
                prop_assert_eq!(survey.obstacles(unit), anew.obstacles(unit), "{}", unit);
            }
            for machine in situation.cluster.machines.keys() {
                prop_assert_eq!(survey.staying(machine), anew.staying(machine), "{}", machine);
            }
        }
    }

    #[test]
    fn a_drain_costs_nobody_its_place(mut situation in cordoned(false)) {
        let before = situation.cluster.targets.clone();
        for _ in 0..3 {
            let planned = plan(&situation.cluster, &situation.terms);
            situation.commit(&planned);
        }
        for unit in before.keys() {
            prop_assert!(situation.cluster.targets.contains_key(unit), "{unit} is on no machine any more");
        }
    }

    #[test]
    fn a_drained_cluster_keeps_all_rules_and_nothing_comes_to_a_cordoned_machine(mut situation in cordoned(true)) {
        for _ in 0..3 {
            let planned = plan(&situation.cluster, &situation.terms);
            for change in &planned.changes {
                let came = match change {
                    Change::Assign { machine, global: false, unit, .. } => Some((machine, unit)),
                    Change::Move { to, unit, .. } => Some((to, unit)),
                    _ => None,
                };
                let stayed = |(machine, unit): &(&MachineId, &UnitName)| {
                    situation.cluster.schedule.get(*machine).is_some_and(|rows| rows.contains_key(*unit))
                };
                let came = came.filter(|came| !stayed(came));
                prop_assert!(!came.is_some_and(|(machine, _)| situation.cluster.cordons.contains_key(machine)), "{change:?}");
            }
            situation.commit(&planned);
            for (machine, rows) in &situation.cluster.schedule {
                for unit in rows.keys() {
                    check_rules(&situation.cluster, machine, unit)?;
                }
            }
        }
    }

    #[test]
    fn a_rebalance_keeps_all_rules_and_moves_nobody_twice(mut situation in settled(false)) {
        let Rebalance { moves, .. } = rebalance(&situation.cluster, 100, &situation.terms);
        let units: BTreeSet<&UnitName> = moves.iter().map(|(unit, ..)| unit).collect();
        prop_assert_eq!(units.len(), moves.len());
        for (unit, _, to) in moves {
            situation.line(&format!("move {unit} {to}"));
            let planned = plan(&situation.cluster, &situation.terms);
            situation.commit(&planned);
            prop_assert_eq!(&situation.cluster.targets[&unit], &to);
        }
        for (machine, rows) in &situation.cluster.schedule {
            for unit in rows.keys() {
                check_rules(&situation.cluster, machine, unit)?;
            }
        }
    }

    #[test]
    fn every_brake_is_told_once_and_so_is_its_release(
        units in units(false),
        outages in prop::collection::vec((outage(), prop_oneof![Just(usize::MAX), 0..4usize]), 1..24),
    ) {
        let mut situation = Situation::default();
        let everybody: Lines = ["ma", "mb", "mc", "md", "me"].map(|id| format!("machine {id}")).into();
        everybody.iter().chain(&units).for_each(|line| drop(situation.line(line)));
        let mut braked = carry_out(&mut situation, usize::MAX, false)?;
        for (outage, changes) in outages {
            situation.line(&outage);
            braked = carry_out(&mut situation, changes, braked)?;
        }
        situation.line("silent");
        everybody.iter().for_each(|line| drop(situation.line(line)));
        prop_assert!(!carry_out(&mut situation, usize::MAX, braked)?);
    }

    #[test]
    fn obstacles_and_refusals_agree(situation in cordoned(true)) {
        let cluster = &situation.cluster;
        let survey = Survey::of(cluster, &situation.terms);
        for unit in cluster.units.keys() {
            let refused: Vec<MachineId> = survey.refusals(unit).into_iter().map(|(machine, _)| machine).collect();
            for (machine, obstacles) in survey.obstacles(unit) {
                let there = cluster.schedule.get(&machine).is_some_and(|rows| rows.contains_key(unit));
                prop_assert!(there || obstacles.is_empty() != refused.contains(&machine), "{unit} on {machine}");
            }
        }
    }

    #[test]
    fn no_record_is_changed_twice(situation in picture(true)) {
        let changes = plan(&situation.cluster, &situation.terms).changes;
        let events = changes.iter().flat_map(Change::events);
        let mut records: Vec<String> = events.map(record).collect();
        let all = records.len();
        records.sort();
        records.dedup();
        prop_assert_eq!(records.len(), all);
    }

    #[test]
    fn units_are_only_where_they_may_be(situation in settled(true)) {
        let cluster = &situation.cluster;
        for (machine, rows) in &cluster.schedule {
            prop_assert!(cluster.machines.contains_key(machine));
            for unit in rows.keys() {
                check_rules(cluster, machine, unit)?;
            }
        }
    }

    #[test]
    fn a_single_unit_is_on_its_target_and_nowhere_else(situation in settled(true)) {
        let cluster = &situation.cluster;
        for name in cluster.units.keys() {
            let on = cluster.schedule.iter().filter(|(_, rows)| rows.contains_key(name));
            let on: Vec<&MachineId> = on.map(|(machine, _)| machine).collect();
            let target: Vec<&MachineId> = cluster.targets.get(name).into_iter().collect();
            if requirements(cluster, name).global {
                prop_assert!(target.is_empty());
            } else {
                prop_assert_eq!(on, target);
            }
        }
    }

    #[test]
    fn a_machine_that_leaves_moves_only_its_own_units(mut situation in settled(false), leaver in "m[a-d]") {
        situation.line(&format!("leave {leaver}"));
        let elsewhere = |from: &MachineId| from.as_str() != leaver;
        prop_assert!(!departures(&plan(&situation.cluster, &situation.terms)).into_iter().any(elsewhere));
    }

    #[test]
    fn a_machine_that_joins_moves_nothing(mut situation in settled(false), zone in 1..4) {
        situation.line(&format!("machine mz zone={zone}"));
        prop_assert!(departures(&plan(&situation.cluster, &situation.terms)).is_empty());
    }

    #[test]
    fn the_order_of_events_is_irrelevant(
        lines in (machines(), units(true)).prop_map(|(machines, units)| [machines, units].concat()),
        order in any::<prop::sample::Index>(),
    ) {
        let told = |lines: &[String]| {
            let mut situation = Situation::default();
            lines.iter().for_each(|line| drop(situation.line(line)));
            let changes = plan(&situation.cluster, &situation.terms).changes;
            let about_units = changes.into_iter().filter(|change| change.unit().is_some());
            about_units.collect::<Vec<_>>()
        };
        let mut turned: Lines = lines.iter().rev().cloned().collect();
        if !turned.is_empty() {
            turned.rotate_left(order.index(lines.len()));
        }
        prop_assert_eq!(told(&turned), told(&lines));
    }
}

/// The machines that a plan takes units away from.
fn departures(plan: &Plan) -> Vec<&MachineId> {
    let left = plan.changes.iter().filter_map(|change| match change {
        Change::Move { from, .. } => Some(from),
        Change::Unassign { machine, .. } => Some(machine),
        _ => None,
    });
    left.collect()
}

fn record(event: Event) -> String {
    match event {
        Event::Scheduled(machine, unit, _) => format!("schedule/{machine}/{unit}"),
        Event::Target(unit, _) => format!("target/{unit}"),
        other => format!("{other:?}"),
    }
}

fn requirements<'a>(cluster: &'a Cluster, unit: &UnitName) -> &'a Requirements {
    cluster.units[unit].requirements.as_deref().unwrap()
}

/// The rules once more, in another way than the planner's.
fn check_rules(
    cluster: &Cluster,
    machine: &MachineId,
    unit: &UnitName,
) -> Result<(), TestCaseError> {
    let wanted = requirements(cluster, unit);
    let rows = &cluster.schedule[machine];
    let metadata = cluster.metadata_of(&cluster.machines[machine]);
    prop_assert!(wanted.machine_id.iter().all(|id| id == machine.as_str()));
    for (key, values) in &wanted.demand.metadata {
        prop_assert!(
            metadata
                .get(key)
                .is_some_and(|value| values.contains(value))
        );
    }
    prop_assert!(
        wanted
            .demand
            .constraints
            .iter()
            .all(|expression| expression.holds(&metadata))
    );
    for peer in &wanted.peers {
        let is_peer = |name: &&UnitName| *name != unit && glob::matches(&peer.name, name.as_str());
        let here = rows.keys().filter(is_peer).count();
        let all = cluster
            .units
            .values()
            .filter(|unit| unit.desired != DesiredState::Inactive);
        let all = all.map(|unit| &unit.name).filter(is_peer).count();
        prop_assert!(
            here > 0 && (!peer.all || here == all),
            "{unit} on {machine} with {here} of {all}"
        );
    }
    for other in rows.keys().filter(|other| *other != unit) {
        let conflicts = |pattern: &String| glob::matches(pattern, other.as_str());
        prop_assert!(
            !wanted.conflicts.iter().any(conflicts),
            "{unit} and {other} on {machine}"
        );
    }
    Ok(())
}
