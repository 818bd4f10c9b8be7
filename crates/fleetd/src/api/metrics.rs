//! `/metrics`, for whatever method.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::Api;
use crate::metrics::{CONTENT_TYPE, Page};

pub(super) async fn get(State(api): State<Arc<Api>>) -> Response {
    let page = Page::new();
    (api.roles)(&page);
    api.requests.write(&page);
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], page.print()).into_response()
}
