//! What goes wrong, in an order that a seed decides.

use std::fmt;
use std::time::Duration;

use super::chance::Chance;

/// One fault. Machines are named, so that a list of faults means the same in every run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The records are out of reach for longer than leases last: their server hangs.
    StoreFrozen(Duration),
    /// Likewise: their server is gone.
    StoreKilled(Duration),
    /// A machine is cut off for less than its lease lasts.
    CutBriefly(String, Duration),
    /// A machine is cut off until its units run elsewhere.
    CutOff(String),
    /// SIGKILL to fleetd.
    Killed(String),
    /// SIGSTOP to fleetd, for less than its lease lasts.
    FrozenBriefly(String, Duration),
    /// SIGSTOP to fleetd until its units run elsewhere.
    Frozen(String),
    /// `systemctl restart fleet.service`
    Restarted(String),
    /// A machine loses its power, and has it back before anyone can know.
    PowerBlink(String),
    /// A machine loses its power until its units run elsewhere.
    PowerLost(String),
    /// A machine is shut down in good order and booted.
    Rebooted(String),
    /// The disk that holds a directory of fleetd's is full when it is given a unit.
    DiskFull(String, Directory),
    /// SIGKILL to the fleetd that leads, whichever that is by then.
    LeaderKilled,
}

/// A directory that fleetd writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Directory {
    /// Where unit files are.
    Units,
    /// Where fleetd notes which of them are its own.
    Records,
}

impl Directory {
    /// Where it is on a machine.
    pub(super) fn path(self) -> &'static str {
        match self {
            Directory::Units => "/etc/systemd/system",
            Directory::Records => "/var/lib/fleet/units",
        }
    }
}

impl Fault {
    /// What it is, without where and how long.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Fault::StoreFrozen(_) => "store frozen",
            Fault::StoreKilled(_) => "store killed",
            Fault::CutBriefly(..) => "cut briefly",
            Fault::CutOff(_) => "cut off",
            Fault::Killed(_) => "fleetd killed",
            Fault::FrozenBriefly(..) => "fleetd frozen briefly",
            Fault::Frozen(_) => "fleetd frozen",
            Fault::Restarted(_) => "fleet.service restarted",
            Fault::PowerBlink(_) => "power blink",
            Fault::PowerLost(_) => "power loss",
            Fault::Rebooted(_) => "reboot",
            Fault::DiskFull(..) => "disk full",
            Fault::LeaderKilled => "leader killed",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Fault::StoreFrozen(time) | Fault::StoreKilled(time) => write!(f, "{kind} for {time:?}"),
            Fault::CutBriefly(machine, time) | Fault::FrozenBriefly(machine, time) => {
                write!(f, "{kind} on {machine} for {time:?}")
            }
            Fault::DiskFull(machine, directory) => {
                write!(f, "{kind} on {machine}: {}", directory.path())
            }
            Fault::LeaderKilled => f.write_str(kind),
            Fault::CutOff(machine)
            | Fault::Killed(machine)
            | Fault::Frozen(machine)
            | Fault::Restarted(machine)
            | Fault::PowerBlink(machine)
            | Fault::PowerLost(machine)
            | Fault::Rebooted(machine) => write!(f, "{kind} on {machine}"),
        }
    }
}

/// Faults without end. They come as from a pack of cards: each kind once in any order, then anew.
pub(super) struct Faults {
    chance: Chance,
    machines: u64,
    pack: Vec<Fault>,
}

impl Faults {
    /// The faults of a seed, on machines `m1` and up.
    pub(super) fn new(seed: u64, machines: usize) -> Faults {
        Faults {
            chance: Chance::new(seed),
            machines: machines as u64,
            pack: Vec::new(),
        }
    }

    fn new_pack(&mut self) -> Vec<Fault> {
        let directory = match self.chance.coin() {
            true => Directory::Units,
            false => Directory::Records,
        };
        let mut pack = vec![
            Fault::StoreFrozen(self.long()),
            Fault::StoreKilled(self.long()),
            Fault::CutBriefly(self.machine(), self.brief()),
            Fault::CutOff(self.machine()),
            Fault::Killed(self.machine()),
            Fault::FrozenBriefly(self.machine(), self.brief()),
            Fault::Frozen(self.machine()),
            Fault::Restarted(self.machine()),
            Fault::PowerBlink(self.machine()),
            Fault::PowerLost(self.machine()),
            Fault::Rebooted(self.machine()),
            Fault::DiskFull(self.machine(), directory),
            Fault::LeaderKilled,
        ];
        self.chance.shuffle(&mut pack);
        pack
    }

    fn machine(&mut self) -> String {
        format!("m{}", self.chance.within(1, self.machines))
    }

    /// Longer than a lease lasts.
    fn long(&mut self) -> Duration {
        super::TTL + Duration::from_millis(self.chance.within(1_500, 5_000))
    }

    /// Shorter than what is left of a lease that was renewed when it should have been.
    fn brief(&mut self) -> Duration {
        Duration::from_millis(self.chance.within(300, 2_000))
    }
}

impl Iterator for Faults {
    type Item = Fault;

    fn next(&mut self) -> Option<Fault> {
        if self.pack.is_empty() {
            self.pack = self.new_pack();
        }
        self.pack.pop()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Faults;

    #[test]
    fn a_seed_is_a_list_and_every_kind_is_in_it() {
        let list = |seed| Faults::new(seed, 4).take(13).collect::<Vec<_>>();
        assert_eq!(list(7), list(7));
        assert_ne!(list(7), list(8));
        let kinds: BTreeSet<_> = list(7).iter().map(super::Fault::kind).collect();
        assert_eq!(kinds.len(), 13);
    }
}
