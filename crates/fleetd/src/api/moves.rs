//! `/fleet/v2/rebalance`, and `/fleet/v2/units/NAME/machine`: units that operators move.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use fleet::MachineId;
use fleet::schedule::{self, Rebalance};
use fleet::v2::{self, MoveTo, SupposedMove};
use serde::Deserialize;
use unitfile::UnitName;

use super::error::{ApiError, json};
use super::request::read_body;
use super::{Api, terms};
use crate::mirror::{Ended, Picture};

/// What may be asked of a rebalance.
#[derive(Deserialize)]
pub(super) struct Limit {
    /// How many units may be moved.
    max: Option<usize>,
}

pub(super) async fn rebalance(
    State(api): State<Arc<Api>>,
    Query(limit): Query<Limit>,
) -> Result<Response, ApiError> {
    api.reach().await?;
    let max = limit.max.unwrap_or(usize::MAX);
    let look = move |picture: &mut Picture| schedule::rebalance(picture.cluster(), max, &terms());
    let found = api.mirror.view().ask(look).await;
    Ok(json(&told(
        found.map_err(|Ended| ApiError::not_connected())?,
    )))
}

fn told(found: Rebalance) -> v2::Rebalance {
    let moves = found.moves.into_iter();
    let moves = moves.map(|(unit, from, to)| SupposedMove {
        unit: unit.to_string(),
        from: from.to_string(),
        to: to.to_string(),
        reason: String::new(),
    });
    v2::Rebalance {
        moves: moves.collect(),
        before: found.before,
        after: found.after,
    }
}

pub(super) async fn put(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let body = read_body(body).await?;
    let undecodable = |error| ApiError::bad_request(format!("unable to decode body: {error}"));
    let MoveTo { machine_id } = serde_json::from_slice(&body).map_err(undecodable)?;
    let to = MachineId::parse(&machine_id).map_err(ApiError::bad_request)?;
    let name = UnitName::parse(&name).map_err(|_| ApiError::no_unit())?;
    api.reach().await?;
    let (unit, machine) = (name.clone(), to.clone());
    let look = move |picture: &mut Picture| check(picture, &unit, &machine);
    let checked = api.mirror.view().ask(look).await;
    checked.map_err(|Ended| ApiError::not_connected())??;
    let written = api.registry.order_move(&name, &to).await;
    written.map_err(|error| ApiError::registry("moving a unit", &error))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether the leader would obey, as far as can be seen.
fn check(picture: &mut Picture, unit: &UnitName, to: &MachineId) -> Result<(), ApiError> {
    let (cluster, survey) = picture.surveyed(&terms());
    if !cluster.units.contains_key(unit) {
        return Err(ApiError::no_unit());
    }
    let conflict = |why: String| Err(ApiError::new(StatusCode::CONFLICT, why));
    if !cluster.targets.contains_key(unit) {
        return conflict("only a unit that is on one machine can be moved".to_owned());
    }
    let obstacles = survey.obstacles(unit).into_iter();
    let mut obstacles = obstacles.filter(|(id, _)| id == to);
    let Some((_, refusals)) = obstacles.next() else {
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "machine does not exist",
        ));
    };
    // whom it follows may come along
    let alone =
        |refusal: &&schedule::Refusal| !matches!(refusal, schedule::Refusal::PeerElsewhere(_));
    match refusals.iter().find(alone) {
        Some(refusal) => conflict(format!("the machine may not take it: {refusal}")),
        None => Ok(()),
    }
}
