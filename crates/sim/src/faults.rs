//! What goes wrong.

use std::fmt;

use fleet::MachineId;

use crate::Chance;

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// Where; all kinds but those of the store concern a machine.
    pub(crate) machine: MachineId,
}

/// How things go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The machine is cut from the store, both ways.
    Cut,
    /// Its requests do not reach the store.
    CutRequests,
    /// Its requests are carried out, and the answers do not come back.
    CutAnswers,
    /// Its network is slow.
    Slow,
    /// Its connections break every now and then, in the midst of requests.
    Flaky,
    /// All of its connections break, once.
    Reset,
    /// fleetd is killed.
    Kill,
    /// fleetd is stopped in good order.
    Leave,
    /// fleetd is frozen.
    Freeze,
    /// The power fails.
    PowerLoss,
    /// systemd is not to be reached over D-Bus, and its signals are lost.
    SystemdAway,
    /// The machine gets other metadata.
    Metadata,
    /// Nobody reaches the store.
    StoreAway,
    /// The store is killed, and started again on what it has written.
    StoreKilled,
    /// The store forgets the past.
    Compact,
    /// Somebody deletes the leader's record.
    Depose,
    /// Somebody sets the clocks on all walls, an hour forward or back.
    SetClock,
}

const KINDS: [Kind; 17] = [
    Kind::Cut,
    Kind::CutRequests,
    Kind::CutAnswers,
    Kind::Slow,
    Kind::Flaky,
    Kind::Reset,
    Kind::Kill,
    Kind::Leave,
    Kind::Freeze,
    Kind::PowerLoss,
    Kind::SystemdAway,
    Kind::Metadata,
    Kind::StoreAway,
    Kind::StoreKilled,
    Kind::Compact,
    Kind::Depose,
    Kind::SetClock,
];

impl Kind {
    /// Its name in traces and figures.
    pub(crate) fn name(self) -> String {
        format!("{self:?}")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::StoreAway | Kind::StoreKilled | Kind::Compact | Kind::Depose | Kind::SetClock => {
                write!(f, "{:?}", self.kind)
            }
            kind => write!(f, "{kind:?} on {}", self.machine),
        }
    }
}

impl Fault {
    /// One that may happen to one of these machines; one time in three it is the leader.
    pub(crate) fn any(
        chance: &mut Chance,
        machines: &[MachineId],
        leader: Option<&MachineId>,
    ) -> Option<Fault> {
        let kind = *chance.pick(&KINDS)?;
        let machine = match leader.filter(|_| chance.happens(0.33)) {
            Some(leader) => leader.clone(),
            None => chance.pick(machines)?.clone(),
        };
        Some(Fault { kind, machine })
    }

    /// Whether it disturbs a machine.
    pub(crate) fn strikes(&self, machine: &MachineId) -> bool {
        match self.kind {
            Kind::Compact | Kind::Depose | Kind::SetClock | Kind::Metadata => false,
            Kind::StoreAway | Kind::StoreKilled => true,
            _ => self.machine == *machine,
        }
    }
}
