//! Units: list, get, put, delete.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use fleet::v1;
use registry::Table;
use unitfile::UnitName;

use super::error::{ApiError, json};
use super::page::Page;
use super::put::Wish;
use super::request::{Parameters, read_body};
use super::{Api, go_json, wire};

type Answer = Result<Response, ApiError>;

/// What a unit's line is made of.
const TABLES: [Table; 4] = [Table::Units, Table::Files, Table::Targets, Table::States];

pub(super) async fn list(State(api): State<Arc<Api>>, query: Parameters) -> Answer {
    let page = Page::asked(&query, api.token_limit).map_err(ApiError::bad_request)?;
    let read = api.look(&TABLES, wire::units);
    let page = api.unit_lists.page(page, String::new(), read).await?;
    let (units, next_page_token) = page;
    Ok(json(&v1::UnitPage {
        next_page_token,
        units,
    }))
}

pub(super) async fn get(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Answer {
    let name = existing(&name)?;
    let cluster = api.units(std::slice::from_ref(&name)).await?.cluster;
    let unit = cluster.units.get(&name).ok_or_else(ApiError::no_unit)?;
    Ok(json(&wire::unit(&cluster, unit)))
}

pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let name = existing(&name)?;
    let existed = api.registry.delete_unit(&name).await;
    match existed.map_err(|error| ApiError::registry("destroying a unit", &error))? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::no_unit()),
    }
}

pub(super) async fn put(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    check_content_type(&headers)?;
    let body = read_body(body).await?;
    let unit = go_json::unit(&body)
        .map_err(|error| ApiError::bad_request(format!("unable to decode body: {error}")))?;
    let wish = Wish::read(Some(&name), unit)?;
    let outcomes = api.store(vec![wish]).await?;
    outcomes
        .into_iter()
        .next()
        .unwrap_or_else(|| Err(ApiError::no_unit()))
}

/// A text that is no unit name belongs to no unit.
fn existing(name: &str) -> Result<UnitName, ApiError> {
    UnitName::parse(name).map_err(|_| ApiError::no_unit())
}

/// Exactly one Content-Type, and that of JSON; parameters after a `;` do not matter.
fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    const STATUS: StatusCode = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    let types: Vec<_> = headers.get_all(header::CONTENT_TYPE).iter().collect();
    let [kind] = types[..] else {
        let message = format!("expected 1 Content-Type, got {}", types.len());
        return Err(ApiError::new(STATUS, message));
    };
    let kind = kind.to_str().unwrap_or_default();
    match kind.split(';').next().map(str::trim) {
        Some("application/json") => Ok(()),
        _ => Err(ApiError::new(
            STATUS,
            "only acceptable Content-Type is application/json",
        )),
    }
}
