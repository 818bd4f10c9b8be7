//! `/fleet/v2/away`: machines that are away, and those that are given up.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use fleet::requirements::print_seconds;
use fleet::schedule::{Hold, hold};
use fleet::v2::{self, AwayMachine};
use fleet::{Away, Cluster, MachineId};
use registry::Table;
use unitfile::UnitName;

use super::error::{ApiError, json};
use super::{Api, terms};

const TABLES: [Table; 8] = [
    Table::Away,
    Table::Cordons,
    Table::Files,
    Table::Forgotten,
    Table::Machines,
    Table::Schedule,
    Table::Targets,
    Table::Units,
];

pub(super) async fn list(State(api): State<Arc<Api>>) -> Result<Response, ApiError> {
    // without any, which is nearly always, nothing else need be read
    let away = api.picture(&[Table::Away]).await?;
    if away.away.is_empty() {
        return Ok(json(&Vec::<AwayMachine>::new()));
    }
    let cluster = api.picture(&TABLES).await?;
    let away = cluster.away.iter();
    let machines = away.map(|(id, away)| told(&cluster, id, away));
    Ok(json(&machines.collect::<Vec<_>>()))
}

fn told(cluster: &Cluster, id: &MachineId, away: &Away) -> AwayMachine {
    let rows = cluster.schedule.get(id).into_iter().flatten();
    let now = terms().now;
    let waits = |unit: &UnitName| {
        let wanted = cluster
            .units
            .get(unit)
            .and_then(|unit| unit.requirements.as_ref());
        // a global unit has its own copy everywhere
        let global = wanted.is_some_and(|wanted| wanted.global);
        !global && hold(cluster, unit.as_str(), id, now).is_some()
    };
    let waiting = rows.filter(|(unit, _)| waits(unit));
    let cordon = cluster.cordons.get(id);
    let grace = cordon.map(|cordon| away.left(cordon.grace, now));
    AwayMachine {
        machine_id: id.to_string(),
        since: away.since.as_secs(),
        announced: away.announced,
        braked: away.massive && !cluster.forgotten.contains(id),
        waiting: waiting.count(),
        cordon: cordon.map(v2::Cordon::from),
        grace_left: grace.map_or(0, |left| left.as_secs()),
    }
}

/// Nothing waits for the machine any more.
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id = MachineId::parse(&id).map_err(ApiError::bad_request)?;
    let cluster = api.picture(&[Table::Away, Table::Machines]).await?;
    if !cluster.away.contains_key(&id) || cluster.machines.contains_key(&id) {
        return Err(ApiError::new(StatusCode::NOT_FOUND, "machine is not away"));
    }
    let written = api.registry.forget(&id).await;
    written.map_err(|error| ApiError::registry("forgetting a machine", &error))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Why a unit waits for a machine that is away; empty if it does not.
pub(super) fn waiting(cluster: &Cluster, unit: &UnitName, machine: &MachineId) -> String {
    let terms = terms();
    let Some(hold) = hold(cluster, unit.as_str(), machine, terms.now) else {
        return String::new();
    };
    let left = |end: Duration| print_seconds(end.saturating_sub(terms.now).as_secs());
    let why = match hold {
        Hold::Until(end) => format!("it is moved in {} (MoveDelaySec=)", left(end)),
        Hold::Grace(end) => {
            let left = left(end);
            format!("it is moved in {left} (its machine's absence was announced)")
        }
        Hold::Sticky => "it waits for it (Sticky=)".to_owned(),
        Hold::Brake(Some(end)) => {
            let left = left(end);
            format!("others that were lost with it are back, and it has {left} more")
        }
        Hold::Brake(None) => {
            "so many machines were lost at once that their units wait for them".to_owned()
        }
    };
    format!(
        "its machine {} is away; {why}; \"fleetctl forget {}\" gives the machine up",
        machine.short(),
        machine.short()
    )
}
