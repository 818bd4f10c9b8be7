//! Machines: the members of the cluster.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::Resources;

/// A machine's identity: the content of its `/etc/machine-id`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MachineId(Arc<str>);

impl MachineId {
    /// Takes `id` if it can stand in a key: not empty, only letters, digits, `-`, `_`, `.`.
    pub fn parse(id: &str) -> Result<Self, MachineIdError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if id.is_empty() || !id.chars().all(fits) {
            return Err(MachineIdError(id.to_owned()));
        }
        Ok(MachineId(id.into()))
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first eight characters: the form that `MachineID=` also takes.
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }
}

/// A text that cannot be a machine id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid machine id {0:?}: expected letters, digits, `-`, `_` or `.`")]
pub struct MachineIdError(String);

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Borrow<str> for MachineId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The record `cordon/<id>`: an operator keeps a machine from getting new units. It outlives the machine's absence.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cordon {
    /// Why, as the operator put it; may be empty.
    pub reason: String,
    /// Units leave the machine, so many at a time; none if they stay.
    pub drain: Option<u32>,
    /// How long its units wait for it when it is away, whatever they ask for: it is to be rebooted.
    pub grace: Duration,
}

impl Cordon {
    /// The longest grace that can be ordered: 30 days. A machine that is away for longer is not being rebooted.
    pub const LONGEST_GRACE: Duration = Duration::from_secs(30 * 86_400);
}

/// The record `away/<id>`: a machine's lease has ended, or it has said that it leaves, and the leader has noticed. It goes when the
/// machine is back, or when nothing waits for it and some time has passed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Away {
    /// When that was noticed, since the Unix epoch by the leader's clock.
    pub since: Duration,
    /// It has said that it leaves.
    pub announced: bool,
    /// It went together with so many others that its units wait for it.
    pub massive: bool,
    /// Enough of those others are back: its units wait a little longer, until then (since the Unix epoch).
    pub until: Option<Duration>,
}

impl Away {
    /// What is left of so much `time` since the machine went, by a clock that need not be the leader's.
    pub fn left(&self, time: Duration, now: Duration) -> Duration {
        let end = self.since.saturating_add(time);
        end.saturating_sub(now).min(time)
    }
}

/// The record `machine/<id>`: a member whose lease is alive, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its identity.
    pub id: MachineId,
    /// Its address, empty if unknown.
    pub address: String,
    /// Metadata from its configuration, before what the API set is laid over it.
    pub metadata: BTreeMap<String, String>,
    /// Version of its fleetd.
    pub version: String,
    /// Which boot of the machine registered.
    pub boot_id: String,
    /// Create-revision of the record: tells one membership from the next.
    pub member_since: i64,
    /// It is stopping its units in order to leave: nothing new goes there, and each unit that it has stopped
    /// may run elsewhere at once.
    pub leaving: bool,
    /// What it has for units.
    pub capacity: Resources,
}
