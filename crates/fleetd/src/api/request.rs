//! What requests bring: query parameters and bodies.

use std::ops::Deref;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::error::ApiError;

/// Larger bodies are refused; a unit of etcd's largest request is well below.
const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// A request's query parameters in order; repeated ones are all there.
pub(super) struct Parameters(Vec<(String, String)>);

impl Deref for Parameters {
    type Target = [(String, String)];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Parameters {
    /// The first value of a parameter, unless that is empty.
    pub(super) fn filter(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(found, _)| found == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }
}

impl<S: Sync> FromRequestParts<S> for Parameters {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = Query::try_from_uri(&parts.uri).map_err(ApiError::bad_request)?;
        Ok(Parameters(query.0))
    }
}

/// The whole body.
pub(super) async fn read_body(body: Body) -> Result<Bytes, ApiError> {
    match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("the body is larger than {BODY_LIMIT} bytes");
            Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message))
        }
        Err(error) => Err(ApiError::bad_request(format!(
            "unable to read body: {error}"
        ))),
    }
}
