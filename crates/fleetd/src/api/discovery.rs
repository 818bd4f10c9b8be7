//! `GET /fleet/v1/discovery`: the document from which Google's tools generate clients.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// Served as it stands; `$ENDPOINT` in it is for the client to replace.
const DOCUMENT: &str = include_str!("discovery.json");

pub(super) async fn get() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}
