//! Records as JSON: what stands in a value, and what it means.
//!
//! Each record has a private twin here that serde knows; the types of `fleet` know nothing of JSON.
//! Unknown fields are ignored, so that a newer version may add some.

use std::collections::BTreeMap;
use std::ops::Not;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::KeyValue;
use fleet::cluster::FileRecord;
use fleet::fence::Claim;
use fleet::{
    Assignment, Away, Cordon, DesiredState, Event, FailedOn, Machine, MachineId, Resources,
    UnitRecord, UnitState,
};
use serde::{Deserialize, Serialize};
use unitfile::{Hash, UnitFile};

use crate::keys::Key;

/// Why a value makes no sense.
pub(crate) type Garbage = Box<dyn std::error::Error + Send + Sync>;

/// Unit files, by their hashes.
pub(crate) type Files = BTreeMap<Hash, FileRecord>;

/// The event that a record under `key` stands for; none for records that are no part of the picture. A unit file that is among
/// `known` is not taken apart again.
pub(crate) fn decode(key: Key, kv: &KeyValue, known: &Files) -> Result<Option<Event>, Garbage> {
    Ok(Some(match key {
        Key::File(hash) => Event::File(hash, Some(file(hash, kv, known.get(&hash))?)),
        Key::Unit(unit) => Event::Unit(unit, Some(json::<UnitRow>(kv)?.try_into()?)),
        Key::Machine(id) => Event::Machine(id.clone(), Some(machine(id, kv)?)),
        Key::Metadata(id, name) => Event::Metadata(id, name, Some(json::<MetadataRow>(kv)?.value)),
        Key::Cordon(id) => Event::Cordon(id, Some(json::<CordonRow>(kv)?.into())),
        Key::Away(id) => Event::Away(id, Some(json::<AwayRow>(kv)?.into())),
        Key::Forgotten(id) => Event::Forgotten(id, true),
        Key::Move(unit) => Event::Move(unit, Some(json::<MachineRef>(kv)?.machine()?)),
        Key::Leader => Event::Leader(Some(json::<MachineRef>(kv)?.machine()?)),
        Key::Commit | Key::Event(_) => return Ok(None),
        Key::Admitted(id) => Event::Admitted(id, Some(json::<AdmittedRow>(kv)?.member_since)),
        Key::Scheduled(id, unit) => Event::Scheduled(id, unit, Some(assignment(kv)?)),
        Key::Target(unit) => Event::Target(unit, Some(json::<MachineRef>(kv)?.machine()?)),
        Key::Failed(unit) => Event::Failed(unit, Some(json::<FailedRow>(kv)?.try_into()?)),
        Key::Fence(unit) => Event::Claim(unit, Some(claim(kv)?)),
        Key::State(unit, id) => Event::State(unit, id, Some(json::<StateRow>(kv)?.try_into()?)),
    }))
}

/// The event of a record that went away.
pub(crate) fn gone(key: Key) -> Option<Event> {
    Some(match key {
        Key::File(hash) => Event::File(hash, None),
        Key::Unit(unit) => Event::Unit(unit, None),
        Key::Machine(id) => Event::Machine(id, None),
        Key::Metadata(id, name) => Event::Metadata(id, name, None),
        Key::Cordon(id) => Event::Cordon(id, None),
        Key::Away(id) => Event::Away(id, None),
        Key::Forgotten(id) => Event::Forgotten(id, false),
        Key::Move(unit) => Event::Move(unit, None),
        Key::Leader => Event::Leader(None),
        Key::Commit | Key::Event(_) => return None,
        Key::Admitted(id) => Event::Admitted(id, None),
        Key::Scheduled(id, unit) => Event::Scheduled(id, unit, None),
        Key::Target(unit) => Event::Target(unit, None),
        Key::Failed(unit) => Event::Failed(unit, None),
        Key::Fence(unit) => Event::Claim(unit, None),
        Key::State(unit, id) => Event::State(unit, id, None),
    })
}

/// Reads `machine/<id>`.
pub(crate) fn machine(id: MachineId, kv: &KeyValue) -> Result<Machine, Garbage> {
    let row: MachineRow = json(kv)?;
    Ok(Machine {
        id,
        address: row.address,
        metadata: row.metadata,
        version: row.version,
        boot_id: row.boot_id,
        member_since: kv.create_revision(),
        leaving: row.leaving,
        capacity: Resources {
            memory: row.memory,
            cpu: row.cpu,
        },
    })
}

/// Reads `fence/<unit>`.
pub(crate) fn claim(kv: &KeyValue) -> Result<Claim, Garbage> {
    let row: ClaimRow = json(kv)?;
    Ok(Claim {
        machine: MachineId::parse(&row.machine)?,
        boot_id: row.boot_id,
        stop: Duration::from_secs(row.stop),
        revision: kv.mod_revision(),
    })
}

/// Reads `commit`.
pub(crate) fn commit(kv: &KeyValue) -> Result<CommitRow, Garbage> {
    json(kv)
}

/// Prints `file/<hash>`.
pub(crate) fn print_file(file: &UnitFile) -> Vec<u8> {
    print(&FileRow {
        text: file.to_string(),
    })
}

/// Prints `unit/<name>` and `schedule/<machine>/<unit>`.
pub(crate) fn print_unit(hash: Hash, desired: DesiredState) -> Vec<u8> {
    print(&UnitRow {
        hash: hash.to_string(),
        desired: desired.to_string(),
    })
}

/// Prints `machine/<id>`.
pub(crate) fn print_machine(machine: &Machine) -> Vec<u8> {
    print(&MachineRow {
        address: machine.address.clone(),
        metadata: machine.metadata.clone(),
        version: machine.version.clone(),
        boot_id: machine.boot_id.clone(),
        leaving: machine.leaving,
        memory: machine.capacity.memory,
        cpu: machine.capacity.cpu,
    })
}

/// Prints `metadata/<id>/<key>`.
pub(crate) fn print_metadata(value: &str) -> Vec<u8> {
    print(&MetadataRow {
        value: value.to_owned(),
    })
}

/// Prints `cordon/<id>`.
pub(crate) fn print_cordon(cordon: &Cordon) -> Vec<u8> {
    print(&CordonRow {
        reason: cordon.reason.clone(),
        drain: cordon.drain,
        grace: cordon.grace.as_secs(),
    })
}

/// Prints `away/<id>`.
pub(crate) fn print_away(away: &Away) -> Vec<u8> {
    print(&AwayRow {
        since: u64::try_from(away.since.as_millis()).unwrap_or(u64::MAX),
        announced: away.announced,
        massive: away.massive,
        until: away
            .until
            .map(|until| u64::try_from(until.as_millis()).unwrap_or(u64::MAX)),
    })
}

/// Prints `leader`, `target/<unit>` and `move/<unit>`.
pub(crate) fn print_machine_ref(id: &MachineId) -> Vec<u8> {
    print(&MachineRef {
        machine: id.to_string(),
    })
}

/// Prints `schedule/<machine>`.
pub(crate) fn print_admitted(member_since: i64) -> Vec<u8> {
    print(&AdmittedRow { member_since })
}

/// Prints `commit`.
pub(crate) fn print_commit(row: &CommitRow) -> Vec<u8> {
    print(row)
}

/// Prints `failed/<unit>`.
pub(crate) fn print_failed(failed: &FailedOn) -> Vec<u8> {
    print(&FailedRow {
        machine: failed.machine.to_string(),
        hash: failed.hash.to_string(),
    })
}

/// Prints `fence/<unit>`; the time is rounded up to seconds.
pub(crate) fn print_claim(machine: &Machine, stop: Duration) -> Vec<u8> {
    print(&ClaimRow {
        machine: machine.id.to_string(),
        boot_id: machine.boot_id.clone(),
        stop: stop
            .as_secs()
            .saturating_add(u64::from(stop.subsec_nanos() > 0)),
    })
}

/// Prints `state/<unit>/<machine>`.
pub(crate) fn print_state(state: &UnitState) -> Vec<u8> {
    print(&StateRow {
        load: state.load.clone(),
        active: state.active.clone(),
        sub: state.sub.clone(),
        hash: state.hash.to_string(),
        current: state.current.to_string(),
        starting: state.starting,
        problem: state.problem.clone(),
        failures: state.failures,
        unwritable: state.unwritable,
    })
}

#[derive(Serialize, Deserialize)]
struct FileRow {
    text: String,
}

#[derive(Serialize, Deserialize)]
struct UnitRow {
    hash: String,
    desired: String,
}

#[derive(Serialize, Deserialize)]
struct MachineRow {
    address: String,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    version: String,
    boot_id: String,
    #[serde(default, skip_serializing_if = "Not::not")]
    leaving: bool,
    /// In bytes; 0 if the machine does not say.
    #[serde(default, skip_serializing_if = "is_zero")]
    memory: u64,
    /// In thousandths of a processor; 0 if the machine does not say.
    #[serde(default, skip_serializing_if = "is_zero")]
    cpu: u64,
}

// serde hands it a reference
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(amount: &u64) -> bool {
    *amount == 0
}

#[derive(Serialize, Deserialize)]
struct MetadataRow {
    value: String,
}

#[derive(Serialize, Deserialize)]
struct CordonRow {
    #[serde(default)]
    reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drain: Option<u32>,
    /// In seconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    grace: u64,
}

impl From<CordonRow> for Cordon {
    fn from(row: CordonRow) -> Self {
        Cordon {
            reason: row.reason,
            drain: row.drain,
            grace: Duration::from_secs(row.grace),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct AwayRow {
    /// In milliseconds since the Unix epoch.
    since: u64,
    #[serde(default, skip_serializing_if = "Not::not")]
    announced: bool,
    #[serde(default, skip_serializing_if = "Not::not")]
    massive: bool,
    /// In milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
}

impl From<AwayRow> for Away {
    fn from(row: AwayRow) -> Self {
        Away {
            since: Duration::from_millis(row.since),
            announced: row.announced,
            massive: row.massive,
            until: row.until.map(Duration::from_millis),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct MachineRef {
    machine: String,
}

#[derive(Serialize, Deserialize)]
struct FailedRow {
    machine: String,
    hash: String,
}

impl TryFrom<FailedRow> for FailedOn {
    type Error = Garbage;

    fn try_from(row: FailedRow) -> Result<Self, Garbage> {
        Ok(FailedOn {
            machine: MachineId::parse(&row.machine)?,
            hash: row.hash.parse()?,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct ClaimRow {
    machine: String,
    boot_id: String,
    /// In seconds after the end of the machine's lease.
    stop: u64,
}

#[derive(Serialize, Deserialize)]
struct AdmittedRow {
    member_since: i64,
}

/// The record `commit`: names one transaction of one leadership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CommitRow {
    /// Create-revision of the `leader` record that the writer held.
    pub(crate) leader: i64,
    /// A number of this transaction alone.
    pub(crate) nonce: u64,
}

#[derive(Serialize, Deserialize)]
struct StateRow {
    load: String,
    active: String,
    sub: String,
    hash: String,
    #[serde(default)]
    current: String,
    #[serde(default, skip_serializing_if = "Not::not")]
    starting: bool,
    #[serde(default)]
    problem: String,
    #[serde(default, skip_serializing_if = "is_none")]
    failures: u32,
    #[serde(default, skip_serializing_if = "Not::not")]
    unwritable: bool,
}

// serde hands it a reference
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_none(count: &u32) -> bool {
    *count == 0
}

impl MachineRef {
    fn machine(&self) -> Result<MachineId, Garbage> {
        Ok(MachineId::parse(&self.machine)?)
    }
}

impl TryFrom<UnitRow> for UnitRecord {
    type Error = Garbage;

    fn try_from(row: UnitRow) -> Result<Self, Garbage> {
        Ok(UnitRecord {
            hash: row.hash.parse()?,
            desired: row.desired.parse()?,
        })
    }
}

impl TryFrom<StateRow> for UnitState {
    type Error = Garbage;

    fn try_from(row: StateRow) -> Result<Self, Garbage> {
        Ok(UnitState {
            hash: row.hash.parse()?,
            // an agent that does not say how far it is has nothing to say
            current: row.current.parse().unwrap_or_default(),
            load: row.load,
            active: row.active,
            sub: row.sub,
            starting: row.starting,
            problem: row.problem,
            failures: row.failures,
            unwritable: row.unwritable,
        })
    }
}

fn file(hash: Hash, kv: &KeyValue, known: Option<&FileRecord>) -> Result<FileRecord, Garbage> {
    let text = json::<FileRow>(kv)?.text;
    let file = match known.filter(|_| Hash::of(&text) == hash) {
        Some(known) => Arc::clone(&known.file),
        None => Arc::new(parsed(hash, &text)?),
    };
    Ok(FileRecord {
        file,
        revision: kv.mod_revision(),
    })
}

fn parsed(hash: Hash, text: &str) -> Result<UnitFile, Garbage> {
    let file = UnitFile::parse(text.as_bytes())?;
    if file.hash() != hash {
        return Err(format!("the text's hash is {}", file.hash()).into());
    }
    Ok(file)
}

fn assignment(kv: &KeyValue) -> Result<Assignment, Garbage> {
    let UnitRecord { hash, desired } = json::<UnitRow>(kv)?.try_into()?;
    if desired == DesiredState::Inactive {
        return Err("an assignment cannot be inactive".into());
    }
    Ok(Assignment { hash, desired })
}

pub(crate) fn json<'a, T: Deserialize<'a>>(kv: &'a KeyValue) -> Result<T, Garbage> {
    Ok(serde_json::from_slice(kv.value())?)
}

pub(crate) fn print<T: Serialize>(row: &T) -> Vec<u8> {
    // rows are structs, or lists of them, of strings, numbers and maps with string keys: printing them cannot fail
    serde_json::to_vec(row).unwrap_or_default()
}
