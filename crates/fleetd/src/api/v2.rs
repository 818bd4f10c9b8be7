//! What fleet's API never had: many units in one request, and a stream of what becomes of them.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use fleet::v2::{PutResult, PutResults, WatchUnits, WhatIf};
use unitfile::UnitName;

use super::error::{ApiError, json};
use super::put::Wish;
use super::request::read_body;
use super::{Api, go_json, watch, what_if, why};
use crate::mirror::{Ended, Picture};

type Answer = Result<Response, ApiError>;

/// Each unit by the rules of API v1; what is wrong with one does not touch the others.
pub(super) async fn put(State(api): State<Arc<Api>>, body: Body) -> Answer {
    let body = read_body(body).await?;
    let units = go_json::units(&body).map_err(undecodable)?;
    let names: Vec<String> = units.iter().map(|unit| unit.name.clone()).collect();
    let wishes: Vec<_> = units
        .into_iter()
        .map(|unit| Wish::read(None, unit))
        .collect();
    let sound = wishes
        .iter()
        .filter_map(|wish| wish.as_ref().ok())
        .cloned()
        .collect();
    let mut outcomes = api.store(sound).await?.into_iter();
    let outcome = |wish: Result<Wish, ApiError>| match wish {
        Ok(_) => outcomes.next().unwrap_or_else(|| Err(ApiError::no_unit())),
        Err(error) => Err(error),
    };
    let results = wishes.into_iter().map(outcome).zip(names);
    let results = results
        .map(|(outcome, name)| result(name, outcome))
        .collect();
    Ok(json(&PutResults { results }))
}

fn result(name: String, outcome: Result<StatusCode, ApiError>) -> PutResult {
    let (status, message) = match outcome {
        Ok(status) => (status, String::new()),
        Err(error) => (error.status, error.message),
    };
    PutResult {
        name,
        code: status.as_u16(),
        message,
    }
}

pub(super) async fn watch(State(api): State<Arc<Api>>, body: Body) -> Answer {
    let body = read_body(body).await?;
    let wanted: WatchUnits = serde_json::from_slice(&body).map_err(undecodable)?;
    api.reach().await?;
    let lines = watch::body(api.mirror.view(), wanted.units, api.closing.clone());
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response())
}

/// From the picture that every watch is served from, as it is now.
pub(super) async fn why(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Answer {
    let name = UnitName::parse(&name).map_err(|_| ApiError::no_unit())?;
    api.reach().await?;
    let look = move |picture: &mut Picture| why::of(picture, &name);
    let found = api.mirror.view().ask(look).await;
    let found = found.map_err(|Ended| ApiError::not_connected())?;
    Ok(json(&found.ok_or_else(ApiError::no_unit)?))
}

/// On the same picture; nothing is written.
pub(super) async fn what_if(State(api): State<Arc<Api>>, body: Body) -> Answer {
    let body = read_body(body).await?;
    let wanted: WhatIf = serde_json::from_slice(&body).map_err(undecodable)?;
    let suppositions = what_if::suppositions(wanted)?;
    api.reach().await?;
    let look = move |picture: &mut Picture| what_if::answer(picture.cluster(), &suppositions);
    let answer = api.mirror.view().ask(look).await;
    let answer = answer.map_err(|Ended| ApiError::not_connected())?;
    Ok(json(&answer.map_err(ApiError::bad_request)?))
}

fn undecodable(error: impl std::fmt::Display) -> ApiError {
    ApiError::bad_request(format!("unable to decode body: {error}"))
}
