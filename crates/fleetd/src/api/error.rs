//! The API's errors, as the original words them: `{"error":{"code":404,"message":"…"}}`.

use std::error::Error;
use std::fmt::Display;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fleet::v1::{ErrorBody, ErrorDetail};

use super::go_json;

/// An answer that is not the one hoped for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Display) -> Self {
        let message = message.to_string();
        ApiError { status, message }
    }

    pub(super) fn bad_request(message: impl Display) -> Self {
        ApiError::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn conflict(message: impl Display) -> Self {
        ApiError::new(StatusCode::CONFLICT, message)
    }

    pub(super) fn no_unit() -> Self {
        ApiError::new(StatusCode::NOT_FOUND, "unit does not exist")
    }

    /// A registry that cannot be reached is a 503. Anything else is a 500 without a text, as the original's
    /// clients know it; the log has the text.
    pub(super) fn registry(doing: &str, error: &registry::Error) -> Self {
        tracing::error!(error = error as &dyn Error, "API: {doing} failed");
        if error.is_unreachable() {
            return ApiError::not_connected();
        }
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "")
    }

    /// The registry is not to be reached, or this machine is no member yet.
    pub(super) fn not_connected() -> Self {
        let message = "fleet server unable to communicate with etcd";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let detail = ErrorDetail {
            code: self.status.as_u16(),
            message: self.message,
        };
        let mut response = json(&ErrorBody { error: detail });
        *response.status_mut() = self.status;
        response
    }
}

/// A 200 with a JSON body.
pub(super) fn json<T: serde::Serialize>(value: &T) -> Response {
    match go_json::print(value) {
        Ok(body) => {
            let kind = HeaderValue::from_static("application/json");
            ([(header::CONTENT_TYPE, kind)], body).into_response()
        }
        Err(error) => {
            tracing::error!(
                error = &error as &dyn Error,
                "API: printing an answer failed"
            );
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
