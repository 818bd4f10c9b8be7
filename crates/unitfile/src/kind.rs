//! The types of units.

use std::fmt;

/// The unit types that systemd loads from files, and `device`, which fleet takes too.
///
/// The original also takes `busname`, `scope` and `snapshot`. systemd cannot load these from files: such a unit
/// would never start, so they are refused at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnitType {
    /// Mounts on first access.
    Automount,
    /// A device that udev knows.
    Device,
    /// A mount point.
    Mount,
    /// Starts a unit when a path changes.
    Path,
    /// Processes.
    Service,
    /// A node of the cgroup tree.
    Slice,
    /// A socket or FIFO that starts a service.
    Socket,
    /// A swap device or file.
    Swap,
    /// A group of units.
    Target,
    /// Starts a unit when the time comes.
    Timer,
}

impl UnitType {
    /// Every type, in order of name.
    pub const ALL: [UnitType; 10] = [
        UnitType::Automount,
        UnitType::Device,
        UnitType::Mount,
        UnitType::Path,
        UnitType::Service,
        UnitType::Slice,
        UnitType::Socket,
        UnitType::Swap,
        UnitType::Target,
        UnitType::Timer,
    ];

    /// The type of names that end in `.suffix`; case matters.
    pub fn from_suffix(suffix: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == suffix)
    }

    /// The suffix, without its dot.
    pub fn as_str(self) -> &'static str {
        match self {
            UnitType::Automount => "automount",
            UnitType::Device => "device",
            UnitType::Mount => "mount",
            UnitType::Path => "path",
            UnitType::Service => "service",
            UnitType::Slice => "slice",
            UnitType::Socket => "socket",
            UnitType::Swap => "swap",
            UnitType::Target => "target",
            UnitType::Timer => "timer",
        }
    }

    /// Whether names of this type may contain `@`.
    pub fn has_templates(self) -> bool {
        matches!(
            self,
            UnitType::Path
                | UnitType::Service
                | UnitType::Socket
                | UnitType::Target
                | UnitType::Timer
        )
    }
}

impl fmt::Display for UnitType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
