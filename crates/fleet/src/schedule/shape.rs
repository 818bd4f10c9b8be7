//! Units that no machine can tell apart: if one of them fits nowhere, so do the others.

use smallvec::SmallVec;

use super::patterns::Patterns;
use super::units::Wanted;
use crate::Resources;

/// All of a unit that decides whether a machine may take it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shape {
    pool: usize,
    conflicts: Box<[usize]>,
    matched_by: SmallVec<[usize; 2]>,
    siblings: Option<(usize, u32)>,
    reservation: Resources,
}

impl Shape {
    /// None for a unit whose very name counts: it follows others, or is replaced by some.
    pub(super) fn of(wanted: &Wanted, patterns: &Patterns) -> Option<Shape> {
        let requirements = wanted.requirements.as_ref()?;
        let mut matched = wanted.matched_by.iter();
        let by_name = requirements.machine_id.is_some()
            || !wanted.peers.is_empty()
            || !wanted.replaces.is_empty()
            || matched.any(|&pattern| !patterns.get(pattern).replacers.is_empty());
        if by_name {
            return None;
        }
        Some(Shape {
            pool: wanted.pool?,
            conflicts: wanted.conflicts.clone(),
            matched_by: wanted.matched_by.clone(),
            siblings: wanted.siblings.zip(requirements.max_per_machine),
            reservation: requirements.reservation,
        })
    }
}
