//! The kinds of things that happen.

use std::fmt;
use std::str::FromStr;

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// A unit came to a machine. By the leader, as all that follows up to `Leading`.
    Scheduled,
    /// A unit shall be something else on its machine, or has another file.
    Rescheduled,
    /// A unit went from one machine to another.
    Moved,
    /// A unit left a machine and went to none.
    Unscheduled,
    /// A machine is new, or nobody knew of it any more.
    MachineJoined,
    /// A machine's lease has ended.
    MachineLost,
    /// A machine has said that it leaves.
    MachineLeaves,
    /// A machine that was away is back.
    MachineBack,
    /// An operator has given a machine up.
    MachineForgotten,
    /// So many machines were lost at once that their units wait for them.
    Braked,
    /// Units wait for lost machines no more.
    Released,
    /// The units of a machine that was to be drained have left it.
    Drained,
    /// A machine leads the cluster from now on.
    Leading,
    /// A unit is up. By its machine's agent, as all that follows.
    Started,
    /// A unit has come to its end by itself.
    Ended,
    /// A unit is down, by order.
    Stopped,
    /// A unit has failed, or an order to it.
    Failed,
    /// A unit is to be started, and others must be done with it first; by the leader: no machine may take it.
    Waits,
    /// An agent has begun its work and found units that run.
    Adopted,
    /// A machine gets no new units. By an operator, as all that follows.
    Cordoned,
    /// The units of a machine are to leave it.
    Drains,
    /// A machine may have units again.
    Uncordoned,
}

/// A word that is none of those of [`What`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no event is called {0:?}")]
pub struct WhatError(String);

impl What {
    /// All there are.
    pub const ALL: [What; 22] = [
        What::Scheduled,
        What::Rescheduled,
        What::Moved,
        What::Unscheduled,
        What::MachineJoined,
        What::MachineLost,
        What::MachineLeaves,
        What::MachineBack,
        What::MachineForgotten,
        What::Braked,
        What::Released,
        What::Drained,
        What::Leading,
        What::Started,
        What::Ended,
        What::Stopped,
        What::Failed,
        What::Waits,
        What::Adopted,
        What::Cordoned,
        What::Drains,
        What::Uncordoned,
    ];

    /// The word for it, in records, answers and lists.
    pub fn as_str(self) -> &'static str {
        match self {
            What::Scheduled => "scheduled",
            What::Rescheduled => "rescheduled",
            What::Moved => "moved",
            What::Unscheduled => "unscheduled",
            What::MachineJoined => "machine-joined",
            What::MachineLost => "machine-lost",
            What::MachineLeaves => "machine-leaves",
            What::MachineBack => "machine-back",
            What::MachineForgotten => "machine-forgotten",
            What::Braked => "braked",
            What::Released => "released",
            What::Drained => "drained",
            What::Leading => "leading",
            What::Started => "started",
            What::Ended => "ended",
            What::Stopped => "stopped",
            What::Failed => "failed",
            What::Waits => "waits",
            What::Adopted => "adopted",
            What::Cordoned => "cordoned",
            What::Drains => "drains",
            What::Uncordoned => "uncordoned",
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for What {
    type Err = WhatError;

    fn from_str(text: &str) -> Result<Self, WhatError> {
        let found = What::ALL.into_iter().find(|what| what.as_str() == text);
        found.ok_or_else(|| WhatError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back() {
        for what in What::ALL {
            assert_eq!(what.as_str().parse(), Ok(what));
        }
        assert!("exploded".parse::<What>().is_err());
    }
}
