//! What to do about each unit that is offered. Nothing here asks anybody.

use std::collections::BTreeMap;

use fleet::{DesiredState, requirements, v1};
use unitfile::{UnitFile, UnitName};

use super::{Offer, Offered};
use crate::wire;

/// One unit that was offered, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// The unit.
    pub(crate) name: String,
    /// What becomes of it.
    pub(crate) action: Action,
}

/// What becomes of a unit that is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// It is new here.
    Create(UnitFile, DesiredState),
    /// It is here, with another file: it gets this one.
    Replace(UnitFile, DesiredState),
    /// It is here, in another state: it gets this one.
    SetState(DesiredState),
    /// It is here just so.
    Same,
    /// It is here in another state, and stays in that.
    OtherState(DesiredState, String),
    /// It is here with another file, and keeps that.
    OtherFile,
    /// It makes no sense, here or at all.
    Refuse(String),
}

impl Action {
    /// Whether the cluster is to be told something.
    pub(crate) fn is_change(&self) -> bool {
        matches!(
            self,
            Action::Create(..) | Action::Replace(..) | Action::SetState(_)
        )
    }

    /// Whether the unit will not be here as it is there.
    pub(crate) fn is_loss(&self) -> bool {
        matches!(self, Action::OtherFile | Action::Refuse(_))
    }

    /// What is done, in a few words.
    pub(crate) fn told(&self) -> String {
        match self {
            Action::Create(_, desired) => format!("new, {desired}"),
            Action::Replace(_, desired) => format!("its file is replaced, {desired}"),
            Action::SetState(desired) => format!("becomes {desired}"),
            Action::Same => "is here already".to_owned(),
            Action::OtherState(there, here) => {
                format!("stays {here}; it is {there} there (--replace makes it so here)")
            }
            Action::OtherFile => {
                "stays as it is; its file differs (--replace takes the other)".to_owned()
            }
            Action::Refuse(why) => format!("cannot be taken: {why}"),
        }
    }

    /// The unit to send.
    pub(crate) fn body(&self, name: &str) -> Option<v1::Unit> {
        let (options, desired) = match self {
            Action::Create(file, desired) | Action::Replace(file, desired) => {
                (wire::options(file), desired)
            }
            Action::SetState(desired) => (Vec::new(), desired),
            _ => return None,
        };
        Some(v1::Unit {
            name: name.to_owned(),
            desired_state: desired.to_string(),
            options,
            ..v1::Unit::default()
        })
    }
}

/// What to do about each offer, in order of name. `known`: the units that are here. `state`: what the new ones are to
/// be, if not what they are there. Doing what a plan says leaves nothing for the next one to do.
pub(crate) fn plan(
    offers: &[Offer],
    known: &[v1::Unit],
    replace: bool,
    state: Option<DesiredState>,
) -> Vec<Row> {
    let known: BTreeMap<&str, &v1::Unit> = known
        .iter()
        .map(|unit| (unit.name.as_str(), unit))
        .collect();
    let mut rows: Vec<Row> = offers
        .iter()
        .map(|offer| Row {
            name: offer.name.clone(),
            action: match &offer.unit {
                Ok(unit) => action(unit, known.get(unit.name.as_str()).copied(), replace, state),
                Err(why) => Action::Refuse(why.clone()),
            },
        })
        .collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

fn action(
    unit: &Offered,
    known: Option<&v1::Unit>,
    replace: bool,
    state: Option<DesiredState>,
) -> Action {
    let Some(known) = known else {
        return match check(unit) {
            Ok(()) => Action::Create(
                unit.file.clone(),
                possible(&unit.name, state.unwrap_or(unit.desired)),
            ),
            Err(why) => Action::Refuse(why),
        };
    };
    let desired = possible(&unit.name, unit.desired);
    let same_file = Offer::of(known)
        .unit
        .is_ok_and(|here| here.file.hash() == unit.file.hash());
    let same_state = known.desired_state == desired.as_str();
    match (same_file, same_state, replace) {
        (true, true, _) => Action::Same,
        (true, false, true) => Action::SetState(desired),
        (true, false, false) => Action::OtherState(desired, known.desired_state.clone()),
        (false, _, false) => Action::OtherFile,
        (false, _, true) => match check(unit) {
            Ok(()) => Action::Replace(unit.file.clone(), desired),
            Err(why) => Action::Refuse(why),
        },
    }
}

/// The rules of the API, so that a dry run tells what the server would say.
fn check(unit: &Offered) -> Result<(), String> {
    if unit.file.options().is_empty() {
        return Err("its file is empty".to_owned());
    }
    requirements::check(&unit.name, &unit.file).map_err(|error| error.to_string())
}

/// An old server let templates be launched; that never meant anything.
fn possible(name: &UnitName, desired: DesiredState) -> DesiredState {
    if name.is_template() {
        DesiredState::Inactive
    } else {
        desired
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn unit(name: &str, section: &str, value: &str, desired: &str) -> v1::Unit {
        v1::Unit {
            name: name.to_owned(),
            desired_state: desired.to_owned(),
            options: vec![v1::UnitOption {
                section: section.to_owned(),
                name: value.split('=').next().unwrap_or_default().to_owned(),
                value: value
                    .split_once('=')
                    .map(|(_, v)| v.to_owned())
                    .unwrap_or_default(),
            }],
            ..v1::Unit::default()
        }
    }

    fn service(name: &str, desired: &str) -> v1::Unit {
        unit(name, "Service", "ExecStart=/bin/true", desired)
    }

    /// One offer, what is here of that name, and what is said of it without and with `--replace`.
    fn told(there: &v1::Unit, here: Option<v1::Unit>) -> [String; 2] {
        let here: Vec<v1::Unit> = here.into_iter().collect();
        [false, true].map(|replace| {
            plan(&[Offer::of(there)], &here, replace, None)[0]
                .action
                .told()
        })
    }

    #[test]
    fn what_becomes_of_units_that_are_here_and_of_those_that_are_not() {
        let launched = || service("a.service", "launched");
        let both = |text: &str| [text.to_owned(), text.to_owned()];
        assert_eq!(told(&launched(), None), both("new, launched"));
        assert_eq!(told(&launched(), Some(launched())), both("is here already"));
        assert_eq!(
            told(&launched(), Some(service("a.service", "inactive"))),
            [
                "stays inactive; it is launched there (--replace makes it so here)",
                "becomes launched"
            ]
        );
        let other = unit("a.service", "Service", "ExecStart=/bin/false", "launched");
        assert_eq!(
            told(&launched(), Some(other)),
            [
                "stays as it is; its file differs (--replace takes the other)",
                "its file is replaced, launched"
            ]
        );
    }

    #[test]
    fn what_cannot_be_taken() {
        let refused = |unit: v1::Unit| told(&unit, None)[0].clone();
        assert_eq!(
            refused(service(".service", "launched")),
            format!(
                "cannot be taken: {}",
                UnitName::parse(".service").unwrap_err()
            )
        );
        assert_eq!(
            refused(unit("a.service", "X-Fleet", "Bogus=1", "launched")),
            "cannot be taken: unrecognized requirement in [X-Fleet] section: \"Bogus\""
        );
        assert_eq!(
            refused(service("a.service", "bogus")),
            "cannot be taken: invalid value \"bogus\" for JobState"
        );
        let empty = v1::Unit {
            name: "a.service".to_owned(),
            ..v1::Unit::default()
        };
        assert_eq!(refused(empty), "cannot be taken: its file is empty");
        let newline = unit(
            "a.service",
            "Service",
            "ExecStart=/bin/true\n[X-Fleet]\nGlobal=true",
            "launched",
        );
        assert!(refused(newline).starts_with("cannot be taken: "));
    }

    #[test]
    fn a_template_that_was_launched_is_just_known() {
        assert_eq!(
            told(&service("a@.service", "launched"), None)[0],
            "new, inactive"
        );
        let known = service("a@.service", "inactive");
        assert_eq!(
            told(&service("a@.service", "launched"), Some(known))[0],
            "is here already"
        );
    }

    #[test]
    fn a_state_for_new_units_is_for_new_units_only() {
        let offers = [
            Offer::of(&service("a.service", "launched")),
            Offer::of(&service("b.service", "launched")),
        ];
        let here = [service("b.service", "launched")];
        let rows = plan(&offers, &here, false, Some(DesiredState::Inactive));
        let told: Vec<String> = rows.iter().map(|row| row.action.told()).collect();
        assert_eq!(told, ["new, inactive", "is here already"]);
    }
}
