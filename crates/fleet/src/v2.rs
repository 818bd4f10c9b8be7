//! The objects of the HTTP API v2: what fleet's API never had. Old clients do not see it.
//!
//! - `PUT /fleet/v2/units` with [`PutUnits`] answers [`PutResults`]: many units in few transactions.
//! - `GET /fleet/v2/units/NAME/why` answers [`Why`]: where the unit is, or what keeps it from each machine.
//! - `GET /fleet/v2/rebalance?max=N` answers a [`Rebalance`]; `PUT /fleet/v2/units/NAME/machine` with a [`MoveTo`] moves a unit;
//! - `GET /fleet/v2/away` answers every [`AwayMachine`]; `DELETE /fleet/v2/away/ID` says that one is gone for good;
//! - `GET /fleet/v2/cordons` answers the [`Cordon`] of each machine that has one, by id;
//!   `GET /fleet/v2/machines/ID` answers [`MachineStatus`]; `PUT` and `DELETE` of `/fleet/v2/machines/ID/cordon` with a
//!   [`Cordon`] keep new units away from a machine, or drain it, and take that back.
//! - `POST /fleet/v2/what-if` with [`WhatIf`] answers [`WhatThen`]: what the leader would do; nothing is done.
//! - `GET /fleet/v2/events` answers what has happened as newline-delimited [`Event`]s, in the order in which it was told;
//!   with `follow=1` it goes on. `unit=` (a name or a pattern) and `machine=` (an id or its beginning), each as often as wanted:
//!   what is about any of them. `kind=`, as often as wanted: what is of any of these kinds. `lines=N`: the last so many. `since=`, in milliseconds since the Unix epoch; `after=`, a revision.
//! - `POST /fleet/v2/watch` with [`WatchUnits`] answers a stream of newline-delimited [`UnitStatus`]: one line
//!   for each unit at once, then one for each change. An empty line now and then shows that the server lives.

mod event;

use std::collections::BTreeMap;
use std::ops::Not;

use serde::{Deserialize, Serialize};

use crate::v1;

pub use event::Event;

/// Units to create, replace, or bring to a desired state; each as in a `PUT` of API v1.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PutUnits {
    /// The units.
    pub units: Vec<v1::Unit>,
}

/// What became of each unit, in the order of the request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PutResults {
    /// One result a unit.
    pub results: Vec<PutResult>,
}

/// What became of one unit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PutResult {
    /// Unit name.
    pub name: String,
    /// The HTTP status that a `PUT` of API v1 would have answered: 201, 204, or an error.
    pub code: u16,
    /// The error's message; empty on success.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Which units to watch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WatchUnits {
    /// Unit names.
    pub units: Vec<String>,
}

/// Where a unit stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UnitStatus {
    /// Unit name.
    pub name: String,
    /// Whether the cluster knows it.
    pub exists: bool,
    /// Hash of its unit file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hash: String,
    /// Whether it runs on every machine that fits.
    pub global: bool,
    /// `inactive`, `loaded` or `launched`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub desired_state: String,
    /// As in API v1; empty for a global unit.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub current_state: String,
    /// The machine it is scheduled to.
    #[serde(rename = "machineID", skip_serializing_if = "String::is_empty")]
    pub machine_id: String,
    /// That machine's address.
    #[serde(rename = "primaryIP", skip_serializing_if = "String::is_empty")]
    pub primary_ip: String,
    /// Machines that should have it by now: one for a scheduled unit, every fitting one for a global unit.
    pub scheduled: usize,
    /// What systemd says, machine by machine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<MachineUnitState>,
    /// Why it is on no machine though it should be, in a line; empty when it does not wait.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub waiting: String,
}

/// What systemd says of a unit on one machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MachineUnitState {
    /// The machine.
    #[serde(rename = "machineID")]
    pub machine_id: String,
    /// Hash of the unit file that it runs.
    pub hash: String,
    /// systemd's LoadState.
    pub load: String,
    /// systemd's ActiveState.
    pub active: String,
    /// systemd's SubState.
    pub sub: String,
    /// How far the agent has brought it: `loaded`, or `launched` once systemd was asked to start it.
    pub current: String,
    /// A start job is under way and the unit is not active yet: what systemd says is not the outcome.
    #[serde(skip_serializing_if = "Not::not")]
    pub starting: bool,
    /// Why the agent could not do what was asked; empty when all is well.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub problem: String,
}

/// Why a unit is where it is, or why it is on no machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Why {
    /// Where it stands.
    pub status: UnitStatus,
    /// What its `[X-Fleet]` section asks of a machine, line by line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asks: Vec<String>,
    /// Every machine, by id; none if the unit should be nowhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub machines: Vec<MachineVerdict>,
    /// The machine that would have to change the least to take it; empty if it has a machine, or could have one.
    #[serde(rename = "nearestMachineID", skip_serializing_if = "String::is_empty")]
    pub nearest_machine_id: String,
    /// What keeps a fenced unit from being started where it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claimed>,
}

/// A fenced unit that another machine than its own may be running.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Claimed {
    /// That machine.
    #[serde(rename = "machineID")]
    pub machine_id: String,
    /// Whether it is a member now.
    pub live: bool,
    /// How many seconds its claim holds at most: from now if it is away, else from when its lease ends.
    pub seconds: u64,
}

/// What keeps a unit from one machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MachineVerdict {
    /// The machine.
    #[serde(rename = "machineID")]
    pub machine_id: String,
    /// Its address.
    #[serde(rename = "primaryIP", skip_serializing_if = "String::is_empty")]
    pub primary_ip: String,
    /// The unit is scheduled to it.
    #[serde(skip_serializing_if = "Not::not")]
    pub scheduled: bool,
    /// How many units are scheduled to it.
    pub units: usize,
    /// The unit kept failing there, and was moved away for that.
    #[serde(skip_serializing_if = "Not::not")]
    pub failed: bool,
    /// All that keeps the unit from it; nothing if it is there, or could be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub obstacles: Vec<Obstacle>,
}

/// One reason why a machine may not take a unit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Obstacle {
    /// The reason, said of the machine.
    pub reason: String,
    /// What would have to change.
    pub cure: String,
}

// serde hands it a reference
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// An operator's order to keep new units away from a machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cordon {
    /// Why; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The units that are there leave, so many at a time; none if they stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<u32>,
    /// How long units wait for the machine when it is away, in seconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub grace: u64,
}

impl From<&crate::Cordon> for Cordon {
    fn from(cordon: &crate::Cordon) -> Cordon {
        Cordon {
            reason: cordon.reason.clone(),
            drain: cordon.drain,
            grace: cordon.grace.as_secs(),
        }
    }
}

/// A machine that is away, or leaves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AwayMachine {
    /// Its id.
    #[serde(rename = "machineID")]
    pub machine_id: String,
    /// Since when, in seconds since the Unix epoch.
    pub since: u64,
    /// It said that it leaves.
    #[serde(skip_serializing_if = "Not::not")]
    pub announced: bool,
    /// It went together with so many others that all its units wait for it.
    #[serde(skip_serializing_if = "Not::not")]
    pub braked: bool,
    /// How many units wait for it.
    pub waiting: usize,
    /// What an operator has ordered about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cordon: Option<Cordon>,
    /// What is left of the grace that was announced for it, in seconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub grace_left: u64,
}

/// A machine, and the units that a drain would take off it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MachineStatus {
    /// Its id.
    #[serde(rename = "machineID")]
    pub machine_id: String,
    /// Its address.
    #[serde(rename = "primaryIP", skip_serializing_if = "String::is_empty")]
    pub primary_ip: String,
    /// Whether it is a member now.
    pub live: bool,
    /// Whether new units are kept away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cordon: Option<Cordon>,
    /// Units that are scheduled to it, without global ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<String>,
    /// Those of them that no other machine may take, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub staying: BTreeMap<String, String>,
}

/// What is supposed to be otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WhatIf {
    /// Machines that are gone, by id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lose: Vec<String>,
    /// Machines that all leaves that can, by id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drain: Vec<String>,
    /// How many machines there are more.
    pub add: u32,
    /// The machine that those are like, by id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub like: String,
    /// Units that are submitted, or replaced; each as in a `PUT` of API v1.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<v1::Unit>,
}

/// What would come of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WhatThen {
    /// Units that would come to a machine, leave one, or both; by name.
    pub moves: Vec<SupposedMove>,
    /// Units that would be on no machine though they should, and why.
    pub waiting: BTreeMap<String, String>,
    /// Those of them that wait now, too.
    #[serde(rename = "waitingAnyway")]
    pub waiting_anyway: Vec<String>,
    /// Units that would wait for their lost machines before they are moved; by machine and name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<SupposedHold>,
}

/// A unit that would wait for its machine to come back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SupposedHold {
    /// The unit.
    pub unit: String,
    /// Its machine, by id.
    #[serde(rename = "machineID")]
    pub machine_id: String,
    /// How long, in seconds; none if it waits until the machine is back or given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// What makes it wait.
    pub reason: String,
}

/// The machine that an operator wants a unit on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MoveTo {
    /// Its id.
    #[serde(rename = "machineID")]
    pub machine_id: String,
}

/// What would make the cluster even.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rebalance {
    /// The moves, in the order in which to make them.
    pub moves: Vec<SupposedMove>,
    /// The load of the least and of the most loaded machine as it is.
    pub before: (u32, u32),
    /// As it would be.
    pub after: (u32, u32),
}

/// One unit's way.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SupposedMove {
    /// The unit.
    pub unit: String,
    /// Where it leaves, by id; empty if it is new there.
    pub from: String,
    /// Where it comes to, by id; empty if nowhere.
    pub to: String,
    /// Why it leaves.
    pub reason: String,
}
