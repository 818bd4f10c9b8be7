//! Machines, units and files to tell stories with.

use std::collections::BTreeMap;
use std::time::Duration;

use fleet::schedule::Change;
use fleet::{Assignment, DesiredState, Machine, MachineId, UnitState};
use registry::{Expected, Leadership, Membership, Registry, UnitWrite};
use unitfile::{Hash, UnitFile, UnitName};

/// Long enough that no lease ends in the middle of a story that is not about that.
pub(crate) const TTL: Duration = Duration::from_secs(60);

pub(crate) fn id(id: &str) -> MachineId {
    MachineId::parse(id).unwrap()
}

pub(crate) fn unit(name: &str) -> UnitName {
    UnitName::parse(name).unwrap()
}

pub(crate) fn machine(name: &str, boot: &str) -> Machine {
    Machine {
        id: id(name),
        address: format!("{name}.example"),
        metadata: BTreeMap::from([("disk".to_owned(), "ssd".to_owned())]),
        version: "1.0.0".to_owned(),
        boot_id: boot.to_owned(),
        member_since: 0,
        leaving: false,
        capacity: fleet::Resources::default(),
    }
}

pub(crate) fn file(description: &str) -> UnitFile {
    UnitFile::parse(format!("[Unit]\nDescription={description}\n").as_bytes()).unwrap()
}

pub(crate) fn write<'a>(name: &str, file: &'a UnitFile, expected: Expected) -> UnitWrite<'a> {
    let (name, hash) = (unit(name), file.hash());
    UnitWrite {
        name,
        hash,
        file: Some(file),
        desired: DesiredState::Launched,
        expected,
    }
}

pub(crate) fn running(hash: Hash) -> UnitState {
    UnitState {
        load: "loaded".to_owned(),
        active: "active".to_owned(),
        sub: "running".to_owned(),
        hash,
        current: DesiredState::Launched,
        starting: false,
        problem: String::new(),
        failures: 0,
        unwritable: false,
    }
}

pub(crate) fn launched(hash: Hash) -> Assignment {
    Assignment {
        hash,
        desired: DesiredState::Launched,
    }
}

pub(crate) fn assign(name: &str, to: &str, hash: Hash) -> Change {
    Change::Assign {
        unit: unit(name),
        machine: id(to),
        assignment: launched(hash),
        global: false,
    }
}

pub(crate) async fn join(registry: &Registry, name: &str) -> Membership {
    registry.join(&machine(name, "boot-1"), TTL).await.unwrap()
}

pub(crate) async fn lead(member: &Membership) -> Leadership {
    member.campaign().await.unwrap().expect("nobody else leads")
}

/// Waits for something that must come, and says what was waited for if it does not.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(20), future).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain for {what}"),
    }
}
