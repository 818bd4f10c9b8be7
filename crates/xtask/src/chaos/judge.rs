//! Whether a fault has touched anything that it should not.

use super::units::{Home, Unit};
use super::witness::{Copy, Picture, Place, Starts};

/// Whose units a fault may touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Victim {
    /// Nobody's.
    None,
    /// This machine was out of touch for longer than its lease: it must stop what runs elsewhere by now, and nothing else.
    Away(String),
    /// This machine was off: whatever it has it has started anew.
    Off(String),
}

impl Victim {
    fn is_off(&self, machine: &str) -> bool {
        matches!(self, Victim::Off(victim) if victim == machine)
    }

    fn is_away(&self, machine: &str) -> bool {
        matches!(self, Victim::Away(victim) if victim == machine)
    }
}

/// Everything that is as it should not be after a fault, a line each; none if it is as promised.
///
/// Both pictures are of converged clusters: that every unit is where it may be need not be looked at here.
pub(super) fn violations(
    units: &[Unit],
    victim: &Victim,
    before: &Picture,
    after: &Picture,
    starts: &Starts,
) -> Vec<String> {
    let mut found = Vec::new();
    for unit in units {
        let case = Case {
            unit,
            victim,
            before,
            after,
        };
        found.extend(case.touched());
        found.extend(case.came());
        found.extend(case.started(starts));
    }
    found
}

/// One unit before and after.
struct Case<'a> {
    unit: &'a Unit,
    victim: &'a Victim,
    before: &'a Picture,
    after: &'a Picture,
}

impl Case<'_> {
    /// Copies that ran before and were stopped, replaced or restarted without a reason.
    fn touched(&self) -> Vec<String> {
        let innocent = self
            .of(self.before)
            .filter(|(place, _)| !self.victim.is_off(&place.1));
        let touched =
            innocent.filter(|(place, copy)| !self.is_same(place, copy) && !self.has_left(place));
        touched
            .map(|((unit, machine), copy)| {
                let now = self.after.get(&(unit.clone(), machine.clone()));
                let now = now.map_or("gone".to_owned(), Copy::to_string);
                format!("{unit} on {machine} was touched: it was {copy}; it is {now}")
            })
            .collect()
    }

    /// Whether a copy that ran before still does, the very same.
    fn is_same(&self, place: &Place, before: &Copy) -> bool {
        let after = self.after.get(place);
        // systemd forgets the run of what is done: the journal tells of it
        after.is_some_and(|after| self.unit.once || after == before)
    }

    /// Whether a copy was stopped because the unit runs elsewhere by now.
    fn has_left(&self, place: &Place) -> bool {
        self.unit.home == Home::One
            && self.victim.is_away(&place.1)
            && !self.after.contains_key(place)
            && self.of(self.after).next().is_some()
    }

    /// Copies where there were none, though nobody has lost one.
    fn came(&self) -> Vec<String> {
        let new = self
            .of(self.after)
            .filter(|(place, _)| !self.before.contains_key(*place));
        let lost = |machine: &str| self.victim.is_off(machine) || self.victim.is_away(machine);
        let has_cause = self.of(self.before).any(|(place, _)| lost(&place.1));
        new.filter(|_| !has_cause)
            .map(|((unit, machine), _)| format!("{unit} came to {machine} for no reason"))
            .collect()
    }

    /// Starts in the journals that the pictures do not account for: of copies that came and went, or ran twice.
    fn started(&self, starts: &Starts) -> Vec<String> {
        let expected = |place: &Place| match (self.before.get(place), self.after.get(place)) {
            (_, None) => 0,
            (None, Some(_)) => 1,
            (Some(_), Some(_)) if self.unit.once => usize::from(self.victim.is_off(&place.1)),
            (Some(before), Some(after)) => usize::from(before.invocation != after.invocation),
        };
        let of_it = starts.iter().filter(|(place, _)| place.0 == self.unit.name);
        of_it
            .filter(|(place, count)| **count != expected(place))
            .map(|(place, count)| {
                let (unit, machine) = place;
                let expected = expected(place);
                format!("{unit} was started {count} times on {machine}, {expected} expected")
            })
            .collect()
    }

    fn of<'b>(
        &self,
        picture: &'b Picture,
    ) -> impl Iterator<Item = (&'b Place, &'b Copy)> + use<'b, '_> {
        let name = self.unit.name.as_str();
        picture.iter().filter(move |(place, _)| place.0 == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit() -> Vec<Unit> {
        vec![Unit {
            name: "a.service".to_owned(),
            home: Home::One,
            once: false,
        }]
    }

    fn picture(machine: &str, invocation: &str) -> Picture {
        let copy = Copy {
            active: "active".to_owned(),
            sub: "running".to_owned(),
            result: "success".to_owned(),
            pid: "7".to_owned(),
            invocation: invocation.to_owned(),
            started: "1".to_owned(),
        };
        Picture::from([(place(machine), copy)])
    }

    fn place(machine: &str) -> Place {
        ("a.service".to_owned(), machine.to_owned())
    }

    fn judge(
        victim: &Victim,
        before: &Picture,
        after: &Picture,
        starts: &[(&str, usize)],
    ) -> Vec<String> {
        let starts = starts
            .iter()
            .map(|(machine, count)| (place(machine), *count));
        violations(&unit(), victim, before, after, &starts.collect())
    }

    #[test]
    fn a_bystander_stays_as_it_is() {
        let before = picture("m1", "x");
        assert!(judge(&Victim::None, &before, &before, &[]).is_empty());
        let restarted = judge(&Victim::None, &before, &picture("m1", "y"), &[("m1", 1)]);
        assert!(
            restarted[0].starts_with("a.service on m1 was touched"),
            "{restarted:?}"
        );
        let moved = judge(&Victim::None, &before, &picture("m2", "y"), &[("m2", 1)]);
        assert_eq!(moved.len(), 2, "{moved:?}");
    }

    #[test]
    fn a_victims_unit_moves_and_starts_once() {
        let (before, after) = (picture("m1", "x"), picture("m2", "y"));
        let (away, off) = (Victim::Away("m1".to_owned()), Victim::Off("m1".to_owned()));
        for victim in [&away, &off] {
            assert!(judge(victim, &before, &after, &[("m2", 1)]).is_empty());
            assert_eq!(judge(victim, &before, &after, &[("m2", 2)]).len(), 1);
            assert_eq!(
                judge(victim, &before, &after, &[("m2", 1), ("m1", 1)]).len(),
                1
            );
        }
        assert!(judge(&off, &before, &picture("m1", "y"), &[("m1", 1)]).is_empty());
        assert_eq!(
            judge(&away, &before, &picture("m1", "y"), &[("m1", 1)]).len(),
            1
        );
    }
}
