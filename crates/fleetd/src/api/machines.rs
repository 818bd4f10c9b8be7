//! Machines: list, and their metadata.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use fleet::{MachineId, v1};
use registry::{MetadataChange, Table};

use super::error::{ApiError, json};
use super::go_json::MetadataOp;
use super::page::Page;
use super::request::{Parameters, read_body};
use super::{Api, go_json, wire};

type Answer = Result<Response, ApiError>;

pub(super) async fn list(State(api): State<Arc<Api>>, query: Parameters) -> Answer {
    let page = Page::asked(&query, api.token_limit).map_err(ApiError::bad_request)?;
    let read = api.look(&[Table::Machines, Table::Metadata], wire::machines);
    let page = api.machine_lists.page(page, String::new(), read).await?;
    let (machines, next_page_token) = page;
    Ok(json(&v1::MachinePage {
        machines,
        next_page_token,
    }))
}

/// Sets and removes metadata. All operations are checked before the first is carried out.
pub(super) async fn patch(State(api): State<Arc<Api>>, body: Body) -> Answer {
    let body = read_body(body).await?;
    let ops = go_json::metadata_ops(&body).map_err(ApiError::bad_request)?;
    let changes = ops.iter().map(change).collect::<Result<Vec<_>, _>>()?;
    api.registry
        .change_metadata(&changes)
        .await
        .map_err(|error| ApiError::registry("setting metadata", &error))?;
    Ok((
        StatusCode::NO_CONTENT,
        [(header::CONTENT_TYPE, "application/json")],
    )
        .into_response())
}

fn change(op: &MetadataOp) -> Result<MetadataChange, ApiError> {
    let removes = match op.op.as_str() {
        "add" | "replace" => false,
        "remove" => true,
        _ => {
            return Err(ApiError::bad_request(
                "invalid op: expect add, remove, or replace",
            ));
        }
    };
    let (machine, key) =
        target(&op.path).ok_or_else(|| ApiError::bad_request("machine metadata path invalid"))?;
    if !removes && op.value.is_empty() {
        return Err(ApiError::bad_request(
            "invalid value: add and replace require a value",
        ));
    }
    // an empty value hides what the machine's own configuration says
    let value = if removes {
        String::new()
    } else {
        op.value.clone()
    };
    Ok(MetadataChange {
        machine,
        key: key.to_owned(),
        value: Some(value),
    })
}

/// Reads `/<machine>/metadata/<key>`.
fn target(path: &str) -> Option<(MachineId, &str)> {
    let (machine, key) = path.strip_prefix('/')?.split_once("/metadata/")?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if key.is_empty() || !key.chars().all(fits) {
        return None;
    }
    Some((MachineId::parse(machine).ok()?, key))
}
