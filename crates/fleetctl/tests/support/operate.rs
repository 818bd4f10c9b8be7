//! What an operator asks and orders, as API v2 has it.

use std::collections::BTreeMap;

use fleet::v2::{AwayMachine, Cordon, MachineStatus};
use hyper::Method;

use super::server::{Answer, Shared, error, json, plain};

/// What stands there besides the cluster.
#[derive(Default)]
pub(crate) struct Operated {
    /// Machines that are away.
    pub(crate) away: Vec<AwayMachine>,
    /// What is answered to questions, word for word, by their paths.
    pub(crate) answers: BTreeMap<String, String>,
}

/// None if there is no such route.
pub(super) fn answer(method: &Method, path: &str, body: &[u8], shared: &Shared) -> Option<Answer> {
    let parts: Vec<&str> = path.split('/').collect();
    match (method.as_str(), parts.as_slice()) {
        ("GET", ["away"]) => Some(json(&shared.operated.lock().unwrap().away)),
        ("GET", ["cordons"]) => Some(json(&shared.cluster.lock().unwrap().cordons)),
        ("GET", ["machines", id]) => Some(machine(id, shared)),
        (_, ["machines", id, "cordon"]) => Some(cordon(method, id, body, shared)),
        _ => {
            let operated = shared.operated.lock().unwrap();
            operated.answers.get(path).map(|text| plain(200, text))
        }
    }
}

fn machine(id: &str, shared: &Shared) -> Answer {
    let cluster = shared.cluster.lock().unwrap();
    let (there, cordon) = (cluster.machines.get(id), cluster.cordons.get(id));
    if there.is_none() && cordon.is_none() {
        return error(404, "machine does not exist");
    }
    json(&MachineStatus {
        machine_id: id.to_owned(),
        live: there.is_some(),
        cordon: cordon.cloned(),
        units: cluster.units_on(id),
        staying: cluster.staying(id),
        ..MachineStatus::default()
    })
}

fn cordon(method: &Method, id: &str, body: &[u8], shared: &Shared) -> Answer {
    let mut cluster = shared.cluster.lock().unwrap();
    let cordon: Option<Cordon> =
        (method == Method::PUT).then(|| serde_json::from_slice(body).unwrap());
    cluster.cordon(id, cordon);
    plain(204, "")
}
