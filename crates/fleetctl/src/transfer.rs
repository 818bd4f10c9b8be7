//! Carrying units from one cluster to another: what is offered, what is here, what to do about each.

pub(crate) mod folder;
mod plan;

use fleet::v1;
use unitfile::{UnitFile, UnitName};

use crate::wire;

pub(crate) use plan::{Row, plan};

/// A unit as another cluster, or an export, has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    /// What it is called there.
    pub(crate) name: String,
    /// What it is there, or why that makes no sense.
    pub(crate) unit: Result<Offered, String>,
}

/// A unit that makes sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offered {
    /// Its name.
    pub(crate) name: UnitName,
    /// Its file.
    pub(crate) file: UnitFile,
    /// Its desired state.
    pub(crate) desired: fleet::DesiredState,
}

impl Offer {
    /// What an API says of a unit.
    pub(crate) fn of(unit: &v1::Unit) -> Self {
        Offer {
            name: unit.name.clone(),
            unit: offered(unit),
        }
    }
}

fn offered(unit: &v1::Unit) -> Result<Offered, String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    Ok(Offered {
        name: UnitName::parse(&unit.name).map_err(|error| text(&error))?,
        file: wire::file(unit).map_err(|error| text(&error))?,
        desired: match unit.desired_state.as_str() {
            // an old server leaves out what is empty
            "" => fleet::DesiredState::Inactive,
            word => word.parse().map_err(|error| text(&error))?,
        },
    })
}
