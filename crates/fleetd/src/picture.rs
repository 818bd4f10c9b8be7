//! What a fleetd knows, for the log: the answer to SIGUSR1.

use std::sync::atomic::{AtomicU64, Ordering};

use agent::Agent;
use agent::systemd::Systemd;
use fleet::UnitState;
use registry::Membership;
use serde_json::{Value, json};

/// One line of JSON.
pub(crate) fn print<S: Systemd>(
    agent: &Agent<S>,
    membership: Option<&Membership>,
    engine: &engine::Status,
) -> String {
    json!({ "Member": membership.map(member), "Agent": of_agent(agent), "Engine": of_engine(engine) }).to_string()
}

fn member(membership: &Membership) -> Value {
    let machine = &membership.machine;
    json!({
        "ID": machine.id.as_str(),
        "PublicIP": machine.address,
        "Metadata": machine.metadata,
        "Version": machine.version,
        "Lease": format!("{:x}", membership.lease),
        "Since": membership.since,
    })
}

fn of_agent<S: Systemd>(agent: &Agent<S>) -> Value {
    let states = agent.states();
    let states = states
        .iter()
        .map(|(name, state)| (name.to_string(), unit_state(state)));
    let unpublished = agent.unpublished();
    let counters = agent.counters();
    json!({
        "States": states.collect::<serde_json::Map<_, _>>(),
        "ToPublish": unpublished.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "Starts": count(&counters.starts),
        "Stops": count(&counters.stops),
        "Reloads": count(&counters.reloads),
        "Failures": count(&counters.failures),
    })
}

fn of_engine(engine: &engine::Status) -> Value {
    json!({
        "LeadsForSeconds": engine.leader_since.map(|since| since.elapsed().as_secs()),
        "Elections": engine.elections,
        "Plans": engine.plans,
        "Changes": engine.changes,
        "Failures": engine.failures,
        "Waiting": engine.waiting.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn unit_state(state: &UnitState) -> Value {
    json!({
        "LoadState": state.load,
        "ActiveState": state.active,
        "SubState": state.sub,
        "UnitHash": state.hash.to_string(),
        "Current": state.current.as_str(),
        "Starting": state.starting,
        "Problem": state.problem,
    })
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
