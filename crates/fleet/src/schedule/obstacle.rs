//! Everything that keeps a unit from a machine, and what would have to change: for people who ask why.

use super::Refusal;
use crate::MachineId;

/// The machine that would have to change the least to take a unit, the first by id among equals; none if there is no
/// machine.
pub fn nearest(obstacles: &[(MachineId, Vec<Refusal>)]) -> Option<&(MachineId, Vec<Refusal>)> {
    obstacles.iter().min_by_key(|(_, refusals)| {
        let efforts = refusals.iter().map(Refusal::effort);
        efforts.sum::<u32>()
    })
}

impl Refusal {
    /// What would have to change, said of the machine.
    pub fn cure(&self) -> String {
        match self {
            Refusal::OtherMachine(id) => format!("change MachineID={id} in the unit file"),
            Refusal::Metadata(wanted) => {
                let first = wanted.split('|').next().unwrap_or(wanted);
                format!("give it metadata {first}")
            }
            Refusal::Constraint(text) => format!("give it metadata for which {text} holds"),
            Refusal::PeerElsewhere(unit) => format!("bring {unit} there"),
            Refusal::PeerCycle(_) => "let MachineOf= of one of them go".to_owned(),
            Refusal::Conflict(unit) | Refusal::Replaced(unit) => format!("unload {unit}"),
            Refusal::Enough(_) => "stop one of them there".to_owned(),
            Refusal::NoRoom(_) => "stop others there that reserve so much".to_owned(),
            Refusal::Leaving => "let it stay in the cluster".to_owned(),
            Refusal::Ordered => "move it back".to_owned(),
            Refusal::Silent => "bring it back into the network".to_owned(),
            Refusal::Unwritable => {
                "let it write unit files: fleetctl status of its units tells why it does not"
                    .to_owned()
            }
            Refusal::Cordoned(_) => "uncordon it".to_owned(),
            Refusal::Failing(_) => "submit a file with which it does not fail".to_owned(),
            Refusal::NoFile => "submit the unit again".to_owned(),
        }
    }

    /// How much that is, as people see it: what can be set, what must be stopped, what must be written anew.
    fn effort(&self) -> u32 {
        match self {
            Refusal::Metadata(_)
            | Refusal::Constraint(_)
            | Refusal::Cordoned(_)
            | Refusal::Ordered => 1,
            Refusal::Conflict(_) | Refusal::PeerElsewhere(_) | Refusal::Replaced(_) => 2,
            Refusal::Enough(_) | Refusal::NoRoom(_) => 3,
            Refusal::Leaving | Refusal::Silent | Refusal::Unwritable => 4,
            Refusal::OtherMachine(_)
            | Refusal::PeerCycle(_)
            | Refusal::NoFile
            | Refusal::Failing(_) => 8,
        }
    }
}
