//! Whose turn it is to get a place.

use std::collections::{BTreeSet, VecDeque};

use unitfile::UnitName;

/// The order in which units get their places: those that belong everywhere, then by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    pub(super) single: bool,
    pub(super) name: UnitName,
    /// The unit's index, unless it has been forgotten since.
    pub(super) unit: usize,
}

/// Who is to be tried, in order, each once a round.
#[derive(Default)]
pub(super) struct Queue {
    /// In order: those whose round it is.
    round: VecDeque<Turn>,
    /// Those who have come to it.
    joined: BTreeSet<Turn>,
    /// Those of the next round, in no order.
    later: Vec<Turn>,
    /// Whose turn it is.
    current: Option<Turn>,
}

impl Queue {
    /// In this round if it has not been this unit's turn yet, else in the next.
    pub(super) fn push(&mut self, turn: Turn) {
        match &self.current {
            Some(current) if turn > *current => drop(self.joined.insert(turn)),
            _ => self.later.push(turn),
        }
    }

    /// The next one of this round.
    pub(super) fn pop(&mut self) -> Option<Turn> {
        let joined = self.joined.first();
        let next = match (self.round.front(), joined) {
            (Some(next), Some(joined)) if joined < next => self.joined.pop_first(),
            (Some(next), Some(joined)) if joined == next => {
                self.joined.pop_first();
                self.round.pop_front()
            }
            (Some(_), _) => self.round.pop_front(),
            (None, _) => self.joined.pop_first(),
        };
        self.current = next;
        self.current.clone()
    }

    /// Begins another round, if there is somebody for it.
    pub(super) fn next_round(&mut self) -> bool {
        let mut round = std::mem::take(&mut self.later);
        round.sort();
        round.dedup();
        self.round = round.into();
        !self.round.is_empty()
    }
}
