//! What this machine has to tell of its units, until it has been published.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fleet::UnitState;
use fleet::history::{Entry, MANY, Teller, What, counted};
use registry::{Membership, Telling};
use unitfile::UnitName;

/// Filled as states change, emptied as they are published.
#[derive(Debug, Default)]
pub(crate) struct Story {
    teller: Teller,
    /// What was there at the beginning is known.
    begun: bool,
    untold: Vec<Entry>,
    /// A record that may have been written already, or not.
    taken: Option<Telling>,
}

impl Story {
    /// A unit's state is another one; because of `why`, where that is known.
    pub(crate) fn hear(&mut self, unit: &UnitName, state: Option<&UnitState>, why: Option<&str>) {
        if !self.begun {
            return self.teller.know(unit, state);
        }
        self.untold
            .extend(self.teller.hear(unit, state, why, now()));
        if self.untold.len() > MANY {
            // nobody takes it while etcd is away
            self.untold = counted(std::mem::take(&mut self.untold));
        }
    }

    /// What was there at the beginning is known by now. Once is enough: an agent that is run again has missed nothing.
    pub(crate) fn begin(&mut self) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let found = self.teller.up();
        if found > 0 {
            let entry = Entry {
                count: found,
                at: Some(now()),
                ..Entry::of(What::Adopted).because("they ran when fleetd began")
            };
            self.untold.push(entry);
        }
    }

    /// What is to be written next; none if there is nothing to tell. The same again until it is `written`.
    pub(crate) fn take(&mut self, membership: &Membership) -> Option<Telling> {
        if self.taken.is_none() {
            self.taken = membership.telling(std::mem::take(&mut self.untold));
        }
        self.taken.clone()
    }

    /// What was taken is written.
    pub(crate) fn written(&mut self) {
        self.taken = None;
    }
}

/// Since the Unix epoch, by the clock on the wall.
fn now() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default()
}
