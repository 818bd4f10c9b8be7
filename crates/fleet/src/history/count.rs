//! Many entries told as few: what is alike is counted.

use std::collections::BTreeMap;

use unitfile::UnitName;

use super::{Entry, What};
use crate::MachineId;

/// More entries than so many of one batch are counted instead of told one by one.
pub const MANY: usize = 300;
/// Kinds of things that are told apart; what is beyond is counted by [`What`] alone.
const KINDS: usize = 100;

/// What makes two things alike.
type Kind = (What, Option<MachineId>, String);

/// The entries with those that are alike counted: the same happened, for the same reason, to units of the same machine.
/// There are few of them however many there were.
pub fn counted(entries: Vec<Entry>) -> Vec<Entry> {
    let mut places: BTreeMap<Kind, usize> = BTreeMap::new();
    let mut all: Vec<Entry> = Vec::new();
    for mut entry in entries {
        let mut kind = (entry.what, entry.from.clone(), entry.reason.clone());
        if all.len() >= KINDS && !places.contains_key(&kind) {
            entry.reason = "for several reasons".to_owned();
            kind = (entry.what, None, String::new());
        }
        match places.get(&kind) {
            Some(at) => add(&mut all[*at], &entry),
            None => {
                places.insert(kind, all.len());
                all.push(entry);
            }
        }
    }
    all
}

/// Makes one entry stand for another one too.
fn add(sum: &mut Entry, entry: &Entry) {
    let same = sum.unit.is_some() && sum.unit == entry.unit;
    sum.count += entry.count;
    sum.at = sum.at.max(entry.at);
    keep_common::<UnitName>(&mut sum.unit, same);
    let same = sum.machine == entry.machine;
    keep_common::<MachineId>(&mut sum.machine, same);
    let same = sum.from == entry.from;
    keep_common::<MachineId>(&mut sum.from, same);
}

fn keep_common<T>(value: &mut Option<T>, same: bool) {
    if !same {
        *value = None;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn moved(unit: usize, to: &str, reason: &str) -> Entry {
        let unit = UnitName::parse(&format!("u{unit}.service")).unwrap();
        let to = MachineId::parse(to).unwrap();
        let entry = Entry::of(What::Moved).unit(&unit).on(&to).because(reason);
        Entry {
            from: Some(MachineId::parse("lost").unwrap()),
            ..entry
        }
    }

    #[test]
    fn what_is_alike_is_counted() {
        let mut entries: Vec<Entry> = (0..1_000)
            .map(|n| moved(n, &format!("m{}", n % 9), "gone"))
            .collect();
        entries.push(moved(7, "m7", "not wanted"));
        let few = counted(entries);
        assert_eq!(few.len(), 2);
        assert_eq!(
            (few[0].count, &few[0].unit, &few[0].machine),
            (1_000, &None, &None)
        );
        assert_eq!(few[0].from, Some(MachineId::parse("lost").unwrap()));
        assert_eq!((few[1].count, few[1].reason.as_str()), (1, "not wanted"));
        assert!(few[1].unit.is_some(), "one alone keeps its name");
    }

    #[test]
    fn there_are_few_however_many_reasons_there_were() {
        let entries = (0..5_000).map(|n| moved(n, "m1", &format!("reason {n}")));
        let few = counted(entries.collect());
        assert_eq!(few.len(), KINDS + 1);
        assert_eq!(few.iter().map(|entry| entry.count).sum::<usize>(), 5_000);
        assert_eq!(few[KINDS].reason, "for several reasons");
    }
}
