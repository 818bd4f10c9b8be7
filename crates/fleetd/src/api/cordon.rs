//! `/fleet/v2/machines/ID` and its `cordon`: machines that get no new units, and those that are being drained.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use fleet::v2::{self, MachineStatus};
use fleet::{Cordon, MachineId};
use registry::Table;

use super::error::{ApiError, json};
use super::request::read_body;
use super::{Api, status, terms};
use crate::mirror::{Ended, Picture};

pub(super) async fn get(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = MachineId::parse(&id).map_err(|_| no_machine())?;
    api.reach().await?;
    let found = api
        .mirror
        .view()
        .ask(move |picture: &mut Picture| of(picture, &id))
        .await;
    let found = found.map_err(|Ended| ApiError::not_connected())?;
    Ok(json(&found.ok_or_else(no_machine)?))
}

pub(super) async fn list(State(api): State<Arc<Api>>) -> Result<Response, ApiError> {
    let cluster = api.picture(&[Table::Cordons]).await?;
    let cordons = cluster
        .cordons
        .iter()
        .map(|(id, cordon)| (id.as_str(), v2::Cordon::from(cordon)));
    Ok(json(&cordons.collect::<BTreeMap<_, _>>()))
}

pub(super) async fn put(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let body = read_body(body).await?;
    let undecodable = |error| ApiError::bad_request(format!("unable to decode body: {error}"));
    let asked: v2::Cordon = serde_json::from_slice(&body).map_err(undecodable)?;
    if asked.drain == Some(0) {
        return Err(ApiError::bad_request("drain: must be 1 or more"));
    }
    let longest = Cordon::LONGEST_GRACE.as_secs();
    if asked.grace > longest {
        let message = format!("grace: must be {longest} s or less");
        return Err(ApiError::bad_request(message));
    }
    let cordon = Cordon {
        reason: asked.reason,
        drain: asked.drain,
        grace: Duration::from_secs(asked.grace),
    };
    api.cordon(&id, Some(&cordon)).await
}

pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    api.cordon(&id, None).await
}

impl Api {
    /// The machine need not be there: it may come back.
    async fn cordon(&self, id: &str, cordon: Option<&Cordon>) -> Result<StatusCode, ApiError> {
        let id = MachineId::parse(id).map_err(ApiError::bad_request)?;
        let written = self.registry.cordon(&id, cordon).await;
        written.map_err(|error| ApiError::registry("cordoning a machine", &error))?;
        Ok(StatusCode::NO_CONTENT)
    }
}

fn no_machine() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "machine does not exist")
}

/// None if the machine is neither there nor cordoned.
fn of(picture: &mut Picture, id: &MachineId) -> Option<MachineStatus> {
    let (cluster, survey) = picture.surveyed(&terms());
    let (live, cordon) = (cluster.machines.contains_key(id), cluster.cordons.get(id));
    if !live && cordon.is_none() {
        return None;
    }
    let there = cluster.targets.iter().filter(|(_, machine)| *machine == id);
    let staying = survey.staying(id).into_iter();
    Some(MachineStatus {
        machine_id: id.to_string(),
        primary_ip: status::address(cluster, id),
        live,
        cordon: cordon.map(v2::Cordon::from),
        units: there.map(|(unit, _)| unit.to_string()).collect(),
        staying: staying.map(|(unit, why)| (unit.to_string(), why)).collect(),
    })
}
