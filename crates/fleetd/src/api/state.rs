//! Unit states: list, get.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use fleet::v1;
use registry::Table;
use unitfile::UnitName;

use super::error::{ApiError, json};
use super::page::Page;
use super::request::Parameters;
use super::{Api, wire};

type Answer = Result<Response, ApiError>;

pub(super) async fn list(State(api): State<Arc<Api>>, query: Parameters) -> Answer {
    let page = Page::asked(&query, api.token_limit).map_err(ApiError::bad_request)?;
    let (machine, unit) = (query.filter("machineID"), query.filter("unitName"));
    let filter = format!("{machine:?} {unit:?}");
    let read = read(&api, machine, unit);
    let (states, next_page_token) = api.state_lists.page(page, filter, read).await?;
    Ok(json(&v1::UnitStatePage {
        next_page_token,
        states,
    }))
}

async fn read(
    api: &Api,
    machine: Option<&str>,
    unit: Option<&str>,
) -> Result<Vec<v1::UnitState>, ApiError> {
    let mut states = api.look(&[Table::States], wire::states).await?;
    states.retain(|state| machine.is_none_or(|machine| state.machine_id == machine));
    states.retain(|state| unit.is_none_or(|unit| state.name == unit));
    Ok(states)
}

/// A unit's state on its machine, or on any machine that has one. Old clients take a 404 for a unit that is
/// known but has no state yet badly (they crash), so it gets a state that says nothing.
pub(super) async fn get(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Answer {
    let unknown = || {
        ApiError::new(
            axum::http::StatusCode::NOT_FOUND,
            "unit state does not exist",
        )
    };
    let name = UnitName::parse(&name).map_err(|_| unknown())?;
    let cluster = api.units(std::slice::from_ref(&name)).await?.cluster;
    let states = cluster.states.get(&name);
    let target = cluster.targets.get(&name);
    let on_target = states
        .zip(target)
        .and_then(|(states, target)| states.get_key_value(target));
    if let Some((machine, state)) = on_target.or_else(|| states?.first_key_value()) {
        return Ok(json(&wire::state(&name, machine, state)));
    }
    if !cluster.units.contains_key(&name) {
        return Err(unknown());
    }
    Ok(json(&v1::UnitState {
        name: name.to_string(),
        ..v1::UnitState::default()
    }))
}
