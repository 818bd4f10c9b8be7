//! Where units stand, put together from API v1: for servers that have nothing better.

use std::collections::HashMap;

use fleet::v2::{MachineUnitState, UnitStatus};
use fleet::{Requirements, v1};
use unitfile::{UnitFile, UnitName};

use crate::client::{Client, ClientError};
use crate::wire;

/// Up to so many units are asked for one by one; beyond that the whole lists are cheaper.
const SINGLY: usize = 8;

/// One status for each name.
///
/// # Errors
/// When the server does not answer.
pub(crate) async fn statuses(
    client: &Client,
    names: &[String],
) -> Result<Vec<UnitStatus>, ClientError> {
    let picture = Picture::get(client, names).await?;
    Ok(names.iter().map(|name| picture.status(name)).collect())
}

/// What API v1 tells, by name.
struct Picture {
    units: HashMap<String, v1::Unit>,
    states: HashMap<String, Vec<v1::UnitState>>,
    machines: HashMap<String, v1::Machine>,
}

impl Picture {
    async fn get(client: &Client, names: &[String]) -> Result<Picture, ClientError> {
        let (units, states) = match names.len() <= SINGLY {
            true => singly(client, names).await?,
            false => (client.units().await?, client.states(None).await?),
        };
        let machines = client.machines().await?;
        Ok(Picture::of(units, states, machines))
    }

    fn of(units: Vec<v1::Unit>, states: Vec<v1::UnitState>, machines: Vec<v1::Machine>) -> Picture {
        let mut by_unit: HashMap<String, Vec<v1::UnitState>> = HashMap::new();
        for state in states {
            by_unit.entry(state.name.clone()).or_default().push(state);
        }
        Picture {
            units: units
                .into_iter()
                .map(|unit| (unit.name.clone(), unit))
                .collect(),
            states: by_unit,
            machines: machines
                .into_iter()
                .map(|machine| (machine.id.clone(), machine))
                .collect(),
        }
    }

    fn status(&self, name: &str) -> UnitStatus {
        let Some(unit) = self.units.get(name) else {
            return UnitStatus {
                name: name.to_owned(),
                ..UnitStatus::default()
            };
        };
        let file = file(unit);
        UnitStatus {
            name: name.to_owned(),
            exists: true,
            hash: file
                .as_ref()
                .map(|file| file.hash().to_string())
                .unwrap_or_default(),
            global: is_global(name, file.as_ref()),
            desired_state: unit.desired_state.clone(),
            current_state: unit.current_state.clone(),
            machine_id: unit.machine_id.clone(),
            primary_ip: self
                .machines
                .get(&unit.machine_id)
                .map(|m| m.primary_ip.clone())
                .unwrap_or_default(),
            scheduled: usize::from(!unit.machine_id.is_empty()),
            states: self
                .states
                .get(name)
                .into_iter()
                .flatten()
                .map(|s| machine_state(s, unit))
                .collect(),
            waiting: self.waiting(unit),
        }
    }

    /// The one reason that API v1 lets us see.
    fn waiting(&self, unit: &v1::Unit) -> String {
        let wanted = !matches!(unit.desired_state.as_str(), "" | "inactive");
        let nowhere = wanted && unit.machine_id.is_empty() && self.machines.is_empty();
        if nowhere {
            "there are no machines".to_owned()
        } else {
            String::new()
        }
    }
}

async fn singly(
    client: &Client,
    names: &[String],
) -> Result<(Vec<v1::Unit>, Vec<v1::UnitState>), ClientError> {
    let (mut units, mut states) = (Vec::new(), Vec::new());
    for name in names {
        if let Some(unit) = client.unit(name).await? {
            units.push(unit);
            states.extend(client.states(Some(name)).await?);
        }
    }
    Ok((units, states))
}

fn machine_state(state: &v1::UnitState, unit: &v1::Unit) -> MachineUnitState {
    MachineUnitState {
        machine_id: state.machine_id.clone(),
        hash: state.hash.clone(),
        load: state.systemd_load_state.clone(),
        active: state.systemd_active_state.clone(),
        sub: state.systemd_sub_state.clone(),
        current: unit.current_state.clone(),
        // API v1 does not tell
        starting: false,
        problem: String::new(),
    }
}

/// The unit file of a unit; none if what the server has is no unit file.
pub(crate) fn file(unit: &v1::Unit) -> Option<UnitFile> {
    wire::file(unit).ok()
}

/// Whether the unit is to run on every machine that fits.
pub(crate) fn is_global(name: &str, file: Option<&UnitFile>) -> bool {
    let requirements = UnitName::parse(name)
        .ok()
        .zip(file)
        .map(|(name, file)| Requirements::of(&name, file));
    requirements.is_some_and(|requirements| requirements.global)
}
