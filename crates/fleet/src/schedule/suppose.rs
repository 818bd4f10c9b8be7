//! What if: the same planner on a picture that somebody has thought up.

use std::sync::Arc;

use unitfile::{UnitFile, UnitName};

use super::{Plan, Terms, plan};
use crate::cluster::FileRecord;
use crate::{Cluster, Cordon, DesiredState, Event, Machine, MachineId, UnitRecord};

/// One thing that is supposed to be otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Supposition {
    /// A machine is gone for good.
    Lost(MachineId),
    /// All that can leave a machine has left it.
    Drained(MachineId),
    /// There is one machine more, of this id, that is like another one in all that placement sees.
    Added(MachineId, MachineId),
    /// A unit is submitted, or replaced.
    Submitted(UnitName, UnitFile, DesiredState),
}

/// The picture as supposed, and what the leader would do about it.
pub fn suppose(cluster: &Cluster, suppositions: &[Supposition], terms: &Terms) -> (Cluster, Plan) {
    let mut supposed = cluster.clone();
    for supposition in suppositions {
        for event in events(&supposed, supposition) {
            supposed.apply(event);
        }
    }
    let planned = plan(&supposed, terms);
    (supposed, planned)
}

fn events(cluster: &Cluster, supposition: &Supposition) -> Vec<Event> {
    match supposition {
        Supposition::Lost(id) => vec![
            Event::Machine(id.clone(), None),
            Event::Forgotten(id.clone(), true),
        ],
        Supposition::Drained(id) => {
            let cordon = Cordon {
                drain: Some(u32::MAX),
                ..Cordon::default()
            };
            vec![Event::Cordon(id.clone(), Some(cordon))]
        }
        Supposition::Added(id, like) => added(cluster, id, like),
        Supposition::Submitted(name, file, desired) => {
            let (hash, desired) = (file.hash(), *desired);
            let file = FileRecord {
                file: Arc::new(file.clone()),
                revision: cluster.revision,
            };
            let unit = UnitRecord { hash, desired };
            vec![
                Event::File(hash, Some(file)),
                Event::Unit(name.clone(), Some(unit)),
            ]
        }
    }
}

/// Nothing for a machine that nobody knows.
fn added(cluster: &Cluster, id: &MachineId, like: &MachineId) -> Vec<Event> {
    let Some(model) = cluster.machines.get(like) else {
        return Vec::new();
    };
    let machine = Machine {
        id: id.clone(),
        address: String::new(),
        metadata: cluster.metadata_of(model),
        leaving: false,
        ..model.clone()
    };
    vec![Event::Machine(id.clone(), Some(machine))]
}
