//! Every key of the registry, in one table.
//!
//! | key | value | writer |
//! |---|---|---|
//! | `file/<sha1>` | unit file; immutable | the API; collected by the leader |
//! | `unit/<name>` | hash, desired state | the API |
//! | `machine/<id>` | address, metadata, version, boot; on the machine's lease | that machine |
//! | `metadata/<id>/<key>` | value set through the API | the API |
//! | `cordon/<id>` | an operator's order: no new units, or none at all | the API |
//! | `away/<id>` | since when a machine is away, and how it went | the leader |
//! | `forgotten/<id>` | an operator's word that a machine is gone for good | the API; collected by the leader |
//! | `move/<unit>` | the machine that an operator wants a unit on | the API; collected by the leader |
//! | `leader` | machine id; on the leader's lease | candidates |
//! | `commit` | the leader's last transaction: makes a late repetition of an earlier one void | the leader |
//! | `schedule/<machine>` | the membership that the rows below were decided for | the leader |
//! | `schedule/<machine>/<unit>` | hash, desired state | the leader |
//! | `target/<unit>` | machine of a unit that is not global | the leader |
//! | `failed/<unit>` | where a unit kept failing, and with which file: it was moved for that | the leader |
//! | `fence/<unit>` | the machine that may be running a fenced unit | that machine; collected by the leader |
//! | `state/<unit>/<machine>` | what systemd says; on the machine's lease | that machine |
//! | `event/<time>-<machine>-<number>` | what has happened, in the transaction that made it happen | the leader, each machine; the oldest are deleted by the leader |

use fleet::MachineId;
use unitfile::{Hash, UnitName};

/// A kind of record that a picture can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// `away/`: machines whose lease has ended.
    Away,
    /// `cordon/`: machines that get no new units.
    Cordons,
    /// `file/`: unit files. Without them units in the picture have no requirements.
    Files,
    /// `forgotten/`: machines that are gone for good.
    Forgotten,
    /// `leader`
    Leader,
    /// `machine/`: live machines, as they describe themselves.
    Machines,
    /// `metadata/`: what the API laid over the machines' own metadata.
    Metadata,
    /// `schedule/`: what each machine shall run, and for which membership that was decided.
    Schedule,
    /// `state/`: what systemd says.
    States,
    /// `target/`: where units that are not global belong.
    Targets,
    /// `unit/`: units and their desired states.
    Units,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Table::Away => "away",
            Table::Cordons => "cordon",
            Table::Files => "file",
            Table::Forgotten => "forgotten",
            Table::Leader => "leader",
            Table::Machines => "machine",
            Table::Metadata => "metadata",
            Table::Schedule => "schedule",
            Table::States => "state",
            Table::Targets => "target",
            Table::Units => "unit",
        }
    }
}

/// A key, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    File(Hash),
    Unit(UnitName),
    Machine(MachineId),
    Metadata(MachineId, String),
    Cordon(MachineId),
    Away(MachineId),
    Forgotten(MachineId),
    Move(UnitName),
    Leader,
    Commit,
    Admitted(MachineId),
    Scheduled(MachineId, UnitName),
    Target(UnitName),
    Failed(UnitName),
    Fence(UnitName),
    State(UnitName, MachineId),
    Event(EventId),
}

/// Names a record of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventId {
    /// In milliseconds since the Unix epoch, by the writer's clock.
    pub(crate) time: u64,
    /// The writer.
    pub(crate) machine: MachineId,
    /// Tells records of one writer and one millisecond apart.
    pub(crate) number: u32,
}

/// Prints and reads keys under one prefix.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    /// Keys under `prefix`, to which a closing slash is added if it has none.
    pub(crate) fn new(prefix: &str) -> Self {
        let slash = if prefix.ends_with('/') { "" } else { "/" };
        Keys {
            prefix: format!("{prefix}{slash}"),
        }
    }

    pub(crate) fn print(&self, key: &Key) -> String {
        let prefix = &self.prefix;
        match key {
            Key::File(hash) => format!("{prefix}file/{hash}"),
            Key::Unit(unit) => format!("{prefix}unit/{unit}"),
            Key::Machine(id) => format!("{prefix}machine/{id}"),
            Key::Metadata(id, name) => format!("{prefix}metadata/{id}/{name}"),
            Key::Cordon(id) => format!("{prefix}cordon/{id}"),
            Key::Away(id) => format!("{prefix}away/{id}"),
            Key::Forgotten(id) => format!("{prefix}forgotten/{id}"),
            Key::Move(unit) => format!("{prefix}move/{unit}"),
            Key::Leader => format!("{prefix}leader"),
            Key::Commit => format!("{prefix}commit"),
            Key::Admitted(id) => format!("{prefix}schedule/{id}"),
            Key::Scheduled(id, unit) => format!("{prefix}schedule/{id}/{unit}"),
            Key::Target(unit) => format!("{prefix}target/{unit}"),
            Key::Failed(unit) => format!("{prefix}failed/{unit}"),
            Key::Fence(unit) => format!("{prefix}fence/{unit}"),
            Key::State(unit, id) => format!("{prefix}state/{unit}/{id}"),
            Key::Event(EventId {
                time,
                machine,
                number,
            }) => format!("{prefix}event/{time:014}-{machine}-{number:06}"),
        }
    }

    /// None for a key that is not of this table.
    pub(crate) fn parse(&self, key: &[u8]) -> Option<Key> {
        let key = std::str::from_utf8(key).ok()?.strip_prefix(&self.prefix)?;
        let (table, rest) = key.split_once('/').unwrap_or((key, ""));
        match table {
            "file" => rest.parse().ok().map(Key::File),
            "unit" => unit(rest).map(Key::Unit),
            "machine" => machine(rest).map(Key::Machine),
            "metadata" => pair(rest, machine, |name| Some(name.to_owned()))
                .map(|(id, name)| Key::Metadata(id, name)),
            "cordon" => machine(rest).map(Key::Cordon),
            "away" => machine(rest).map(Key::Away),
            "forgotten" => machine(rest).map(Key::Forgotten),
            "move" => unit(rest).map(Key::Move),
            "leader" => rest.is_empty().then_some(Key::Leader),
            "commit" => rest.is_empty().then_some(Key::Commit),
            "schedule" if !rest.contains('/') => machine(rest).map(Key::Admitted),
            "schedule" => pair(rest, machine, unit).map(|(id, unit)| Key::Scheduled(id, unit)),
            "target" => unit(rest).map(Key::Target),
            "failed" => unit(rest).map(Key::Failed),
            "fence" => unit(rest).map(Key::Fence),
            "state" => pair(rest, unit, machine).map(|(unit, id)| Key::State(unit, id)),
            "event" => event(rest).map(Key::Event),
            _ => None,
        }
    }

    /// All keys.
    pub(crate) fn everything(&self) -> Range {
        Range::prefix(&self.prefix)
    }

    /// All keys that the picture is made of, which are those without events.
    pub(crate) fn picture(&self) -> Vec<Range> {
        let (all, events) = (self.everything(), self.events());
        let before = Range {
            start: all.start,
            end: events.start,
        };
        let after = Range {
            start: events.end,
            end: all.end,
        };
        vec![before, after]
    }

    /// Whether a key is among the records of events, be it a sound one or not.
    pub(crate) fn is_event(&self, key: &[u8]) -> bool {
        let rest = key.strip_prefix(self.prefix.as_bytes());
        rest.is_some_and(|rest| rest.starts_with(b"event/"))
    }

    /// All records of events.
    pub(crate) fn events(&self) -> Range {
        Range::prefix(&format!("{}event/", self.prefix))
    }

    /// All keys of one table.
    pub(crate) fn table(&self, table: Table) -> Range {
        match table {
            Table::Leader => Range::key(self.print(&Key::Leader)),
            other => Range::prefix(&format!("{}{}/", self.prefix, other.name())),
        }
    }

    /// A machine's schedule, header and rows. Ids that continue with `-` or `.` fall into the range too:
    /// whoever reads it must look at the parsed key.
    pub(crate) fn schedule_of(&self, id: &MachineId) -> Range {
        let header = self.print(&Key::Admitted(id.clone()));
        let end = prefix_end(format!("{header}/").as_bytes());
        Range {
            start: header.into_bytes(),
            end,
        }
    }

    /// A machine's rows of the schedule, without the header.
    pub(crate) fn schedule_rows(&self, id: &MachineId) -> Range {
        Range::prefix(&format!("{}/", self.print(&Key::Admitted(id.clone()))))
    }

    /// All claims of fenced units.
    pub(crate) fn fences(&self) -> Range {
        Range::prefix(&format!("{}fence/", self.prefix))
    }

    /// A unit's states on all machines.
    pub(crate) fn states_of(&self, unit: &UnitName) -> Range {
        Range::prefix(&format!("{}state/{unit}/", self.prefix))
    }
}

/// A range of keys as etcd has it: from `start` up to but without `end`; only `start` if `end` is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: Vec<u8>,
    pub(crate) end: Vec<u8>,
}

impl Range {
    pub(crate) fn key(key: String) -> Self {
        Range {
            start: key.into_bytes(),
            end: Vec::new(),
        }
    }

    pub(crate) fn prefix(prefix: &str) -> Self {
        Range {
            start: prefix.into(),
            end: prefix_end(prefix.as_bytes()),
        }
    }
}

/// The first key after all that begin with `prefix`, which must not be empty or end in 0xff.
fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

fn unit(text: &str) -> Option<UnitName> {
    UnitName::parse(text).ok()
}

fn machine(text: &str) -> Option<MachineId> {
    MachineId::parse(text).ok()
}

fn event(text: &str) -> Option<EventId> {
    let (time, rest) = text.split_once('-')?;
    let (id, number) = rest.rsplit_once('-')?;
    Some(EventId {
        time: time.parse().ok()?,
        machine: machine(id)?,
        number: number.parse().ok()?,
    })
}

fn pair<A, B>(
    text: &str,
    first: impl Fn(&str) -> Option<A>,
    second: impl Fn(&str) -> Option<B>,
) -> Option<(A, B)> {
    let (a, b) = text.split_once('/')?;
    Some((first(a)?, second(b)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn all_kinds() -> Vec<Key> {
        let unit = UnitName::parse("web@1.service").unwrap();
        let id = MachineId::parse("m1").unwrap();
        vec![
            Key::File(Hash::of("")),
            Key::Unit(unit.clone()),
            Key::Machine(id.clone()),
            Key::Metadata(id.clone(), "rack/row".into()),
            Key::Cordon(id.clone()),
            Key::Away(id.clone()),
            Key::Forgotten(id.clone()),
            Key::Move(unit.clone()),
            Key::Leader,
            Key::Commit,
            Key::Admitted(id.clone()),
            Key::Scheduled(id.clone(), unit.clone()),
            Key::Target(unit.clone()),
            Key::Failed(unit.clone()),
            Key::Fence(unit.clone()),
            Key::State(unit, id),
            Key::Event(EventId {
                time: 1_795_752_503_123,
                machine: MachineId::parse("m-1").unwrap(),
                number: 7,
            }),
        ]
    }

    #[test]
    fn every_kind_of_key_reads_back_as_printed() {
        let keys = Keys::new("/fleet");
        for key in all_kinds() {
            assert_eq!(keys.parse(keys.print(&key).as_bytes()), Some(key));
        }
    }

    #[test]
    fn what_is_not_of_the_table_is_no_key() {
        let keys = Keys::new("/fleet/");
        for text in [
            "/fleet/",
            "/fleet/leader/x",
            "/fleet/file/12",
            "/fleet/state/a.service",
            "/other/leader",
        ] {
            assert_eq!(keys.parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(keys.parse(b"/fleet/unit/\xff.service"), None);
    }

    #[test]
    fn a_machines_schedule_does_not_reach_into_a_longer_ids() {
        let keys = Keys::new("/fleet/");
        let range = keys.schedule_of(&MachineId::parse("m1").unwrap());
        let within = |key: &str| {
            range.start.as_slice() <= key.as_bytes() && key.as_bytes() < range.end.as_slice()
        };
        assert!(within("/fleet/schedule/m1"));
        assert!(within("/fleet/schedule/m1/a.service"));
        assert!(!within("/fleet/schedule/m10/a.service"));
    }
}
