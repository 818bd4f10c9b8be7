//! One machine's units, that lines of text change.

use std::collections::BTreeMap;

use fleet::converge::{LocalUnit, Step, steps};
use fleet::{Assignment, DesiredState};
use unitfile::{Hash, UnitName};

use super::cluster::unit;

#[derive(Default)]
pub(crate) struct Agent {
    assigned: BTreeMap<UnitName, Assignment>,
    local: BTreeMap<UnitName, LocalUnit>,
}

impl Agent {
    /// Takes one line; what it decides is the answer.
    pub(crate) fn line(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["assigned", name, file, state] => {
                self.assigned.insert(unit(name), assignment(file, state));
            }
            ["unassigned", name] => {
                self.assigned.remove(*name);
            }
            ["local", name, facts @ ..] => {
                self.local.insert(unit(name), local_unit(facts));
            }
            ["steps"] => return told(&self.assigned, &self.local, true),
            ["steps", "before", "admission"] => return told(&self.assigned, &self.local, false),
            _ => panic!("no such line: {line}"),
        }
        String::new()
    }
}

fn told(
    assigned: &BTreeMap<UnitName, Assignment>,
    local: &BTreeMap<UnitName, LocalUnit>,
    admitted: bool,
) -> String {
    let steps = steps(assigned, local, admitted);
    let lines = steps.iter().map(|(unit, steps)| {
        let steps = steps.iter().map(told_step);
        format!("{unit:<16}{}\n", steps.collect::<String>())
    });
    let lines: String = lines.collect();
    if lines.is_empty() {
        "nothing to do\n".into()
    } else {
        lines
    }
}

fn told_step(step: &Step) -> String {
    match step {
        Step::Stop => " stop".into(),
        Step::Remove => " remove".into(),
        Step::Start => " start".into(),
        Step::Write(hash) => ["v1", "v2"]
            .into_iter()
            .find(|file| Hash::of(file) == *hash)
            .map(|file| format!(" write {file}"))
            .unwrap(),
    }
}

/// Files are named by a word that stands for their content.
fn assignment(file: &str, state: &str) -> Assignment {
    let desired: DesiredState = state.parse().unwrap();
    let hash = Hash::of(file);
    Assignment { hash, desired }
}

fn local_unit(facts: &[&str]) -> LocalUnit {
    let mut local = LocalUnit::default();
    for fact in facts {
        match fact.split_once(':') {
            None if *fact == "launched" => local.launched = true,
            None if *fact == "active" => local.active = true,
            None if *fact == "busy" => local.busy = true,
            None if *fact == "kept" => local.kept = true,
            Some(("failed", state)) => local.failed = Some(assignment("v1", state)),
            None if *fact != "nothing" => local.file = Some(Hash::of(fact)),
            _ => assert_eq!(*fact, "nothing"),
        }
    }
    local
}
