//! The API as the commands use it: v2 where the server has it, v1 where not.

mod events;
mod operate;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fleet::v1;
use fleet::v2::{PutResult, PutResults, PutUnits, WatchUnits, Why};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Response, StatusCode};
use serde::de::DeserializeOwned;

use crate::http::{Http, HttpError};

/// Units in one batch of API v2.
const BATCH: usize = 500;
/// Items in one page of a list. The original has its own idea of that.
const PAGE: usize = 1000;
/// What each unit of a batch adds to the time allowed for the answer.
const PATIENCE_PER_UNIT: Duration = Duration::from_millis(20);
/// Requests under way at once where API v1 wants one for each unit.
pub(crate) const AT_ONCE: usize = 8;

/// A cluster's API. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    http: Arc<Http>,
    v1_only: Arc<AtomicBool>,
}

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// An error that fleetd explains. The words around it are those of the original.
    #[error("googleapi: Error {code}: {message}")]
    Refused {
        /// HTTP status.
        code: u16,
        /// fleetd's explanation.
        message: String,
    },
    /// Any other error answer.
    #[error("googleapi: got HTTP response code {code} with body: {body}")]
    Unexplained {
        /// HTTP status.
        code: u16,
        /// What came with it.
        body: String,
    },
    /// An answer that cannot be read.
    #[error("the answer to {path} is not the API's")]
    Answer {
        /// What was asked.
        path: String,
        /// Why it cannot be read.
        source: serde_json::Error,
    },
    /// A server of fleet's time.
    #[error("this fleetd does not answer that: it has no API v2")]
    Old,
    /// A watch that ended and could not be opened again.
    #[error("the server keeps closing the watch")]
    WatchClosed,
}

impl ClientError {
    /// What to do about a server that cannot be reached; none for other errors.
    pub(crate) fn cure(&self) -> Option<&'static str> {
        if let ClientError::Http(error) = self {
            error.cure()
        } else {
            None
        }
    }
}

impl Client {
    /// A client that speaks over `http`.
    pub(crate) fn new(http: Http) -> Self {
        Client {
            http: Arc::new(http),
            v1_only: Arc::default(),
        }
    }

    /// Brings units where they are wanted: creates them, replaces their files, sets their desired state.
    /// One result a unit, in order.
    ///
    /// # Errors
    /// When a request as a whole fails; what single units met stands in the results.
    pub(crate) async fn put(&self, units: &[v1::Unit]) -> Result<Vec<PutResult>, ClientError> {
        let mut results = Vec::with_capacity(units.len());
        for batch in units.chunks(BATCH) {
            match self.put_batch(batch).await? {
                Some(answer) => results.extend(answer),
                None => results.extend(self.put_singly(batch).await?),
            }
        }
        Ok(results)
    }

    /// The stream of where these units stand: a line for each, and then one for each change; none if the
    /// server has no API v2.
    pub(crate) async fn watch_stream(
        &self,
        names: &[String],
    ) -> Result<Option<Response<Incoming>>, ClientError> {
        if self.is_v1_only() {
            return Ok(None);
        }
        let body = serde_json::to_vec(&WatchUnits {
            units: names.to_vec(),
        })
        .unwrap_or_default();
        let answer = self
            .http
            .stream(Method::POST, "/fleet/v2/watch", Some(body))
            .await?;
        match answer.status() {
            StatusCode::OK => Ok(Some(answer)),
            StatusCode::NOT_FOUND => Ok(self.remember_v1_only()),
            status => Err(refusal(status, &collected(answer).await)),
        }
    }

    /// Every unit.
    ///
    /// # Errors
    /// When a page does not come.
    pub(crate) async fn units(&self) -> Result<Vec<v1::Unit>, ClientError> {
        self.pages("units", |page: v1::UnitPage| {
            (page.units, page.next_page_token)
        })
        .await
    }

    /// Every state of every unit; of one unit, if it is named.
    ///
    /// # Errors
    /// When a page does not come.
    pub(crate) async fn states(
        &self,
        unit: Option<&str>,
    ) -> Result<Vec<v1::UnitState>, ClientError> {
        let resource = unit.map_or("state".to_owned(), |name| {
            format!("state?unitName={}", encode(name))
        });
        self.pages(&resource, |page: v1::UnitStatePage| {
            (page.states, page.next_page_token)
        })
        .await
    }

    /// Every machine.
    ///
    /// # Errors
    /// When a page does not come.
    pub(crate) async fn machines(&self) -> Result<Vec<v1::Machine>, ClientError> {
        self.pages("machines", |page: v1::MachinePage| {
            (page.machines, page.next_page_token)
        })
        .await
    }

    /// One unit; none if there is no such unit.
    ///
    /// # Errors
    /// When the answer does not come.
    pub(crate) async fn unit(&self, name: &str) -> Result<Option<v1::Unit>, ClientError> {
        let path = unit_path(name);
        match self.call(Method::GET, &path, None).await? {
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (status, bytes) => decoded(&path, &accepted(status, bytes)?).map(Some),
        }
    }

    /// Why a unit is where it is; none if there is no such unit.
    ///
    /// # Errors
    /// When the answer does not come, or the server has no API v2.
    pub(crate) async fn why(&self, name: &str) -> Result<Option<Why>, ClientError> {
        let path = format!("/fleet/v2/units/{}/why", encode(name));
        match self.call(Method::GET, &path, None).await? {
            // a route that is not known is a 404 without words
            (StatusCode::NOT_FOUND, bytes) if !message(&bytes).is_empty() => Ok(None),
            (StatusCode::NOT_FOUND, _) => Err(ClientError::Old),
            (status, bytes) => decoded(&path, &accepted(status, bytes)?).map(Some),
        }
    }

    /// Forgets a unit. Whether there was one.
    ///
    /// # Errors
    /// When the answer does not come, or is a refusal.
    pub(crate) async fn delete(&self, name: &str) -> Result<bool, ClientError> {
        match self.call(Method::DELETE, &unit_path(name), None).await? {
            (StatusCode::NOT_FOUND, _) => Ok(false),
            (status, bytes) => accepted(status, bytes).map(|_| true),
        }
    }

    async fn put_batch(&self, units: &[v1::Unit]) -> Result<Option<Vec<PutResult>>, ClientError> {
        if self.is_v1_only() {
            return Ok(None);
        }
        let path = "/fleet/v2/units";
        let body = serde_json::to_vec(&PutUnits {
            units: units.to_vec(),
        })
        .unwrap_or_default();
        let patience = PATIENCE_PER_UNIT * u32::try_from(units.len()).unwrap_or(u32::MAX);
        match self
            .http
            .call(Method::PUT, path, Some(body), patience)
            .await?
        {
            (StatusCode::NOT_FOUND, _) => Ok(self.remember_v1_only()),
            (status, bytes) => decoded(path, &accepted(status, bytes)?)
                .map(|answer: PutResults| Some(answer.results)),
        }
    }

    async fn put_singly(&self, units: &[v1::Unit]) -> Result<Vec<PutResult>, ClientError> {
        let mut results = Vec::with_capacity(units.len());
        for unit in units {
            results.push(self.put_one(unit).await?);
        }
        Ok(results)
    }

    /// As the original client does: a unit is created first, and gets its desired state by a second request.
    async fn put_one(&self, unit: &v1::Unit) -> Result<PutResult, ClientError> {
        let created = v1::Unit {
            desired_state: String::new(),
            ..unit.clone()
        };
        let target = v1::Unit {
            options: Vec::new(),
            ..unit.clone()
        };
        let mut result = PutResult {
            name: unit.name.clone(),
            code: 204,
            message: String::new(),
        };
        for (body, wanted) in [
            (&created, !unit.options.is_empty()),
            (&target, !unit.desired_state.is_empty()),
        ] {
            if wanted && result.code < 300 {
                result = self.put_v1(body).await?;
            }
        }
        Ok(result)
    }

    async fn put_v1(&self, unit: &v1::Unit) -> Result<PutResult, ClientError> {
        let body = serde_json::to_vec(unit).unwrap_or_default();
        let (status, bytes) = self
            .call(Method::PUT, &unit_path(&unit.name), Some(body))
            .await?;
        Ok(PutResult {
            name: unit.name.clone(),
            code: status.as_u16(),
            message: message(&bytes),
        })
    }

    async fn pages<P: DeserializeOwned, T>(
        &self,
        resource: &str,
        take: fn(P) -> (Vec<T>, String),
    ) -> Result<Vec<T>, ClientError> {
        let mark = if resource.contains('?') { '&' } else { '?' };
        let first = format!("/fleet/v1/{resource}{mark}limit={PAGE}");
        let (mut all, mut path) = (Vec::new(), first.clone());
        loop {
            let (status, bytes) = self.call(Method::GET, &path, None).await?;
            let (items, token) = take(decoded(&path, &accepted(status, bytes)?)?);
            all.extend(items);
            if token.is_empty() {
                return Ok(all);
            }
            path = format!("{first}&nextPageToken={}", encode(&token));
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        Ok(self.http.call(method, path, body, Duration::ZERO).await?)
    }

    fn is_v1_only(&self) -> bool {
        self.v1_only.load(Ordering::Relaxed)
    }

    fn remember_v1_only<T>(&self) -> Option<T> {
        self.v1_only.store(true, Ordering::Relaxed);
        None
    }
}

/// The result of a `PUT` as an error, if it is one.
pub(crate) fn failure(result: &PutResult) -> Option<ClientError> {
    let PutResult { code, message, .. } = result;
    match (code, message.is_empty()) {
        (200..300, _) => None,
        (&code, true) => Some(ClientError::Unexplained {
            code,
            body: String::new(),
        }),
        (&code, false) => Some(ClientError::Refused {
            code,
            message: message.clone(),
        }),
    }
}

fn unit_path(name: &str) -> String {
    format!("/fleet/v1/units/{}", encode(name))
}

fn accepted(status: StatusCode, bytes: Bytes) -> Result<Bytes, ClientError> {
    if status.is_success() {
        Ok(bytes)
    } else {
        Err(refusal(status, &bytes))
    }
}

/// A route that is not known is a 404 without words.
fn accepted_v2(status: StatusCode, bytes: Bytes) -> Result<Bytes, ClientError> {
    if status == StatusCode::NOT_FOUND && message(&bytes).is_empty() {
        return Err(ClientError::Old);
    }
    accepted(status, bytes)
}

fn refusal(status: StatusCode, bytes: &[u8]) -> ClientError {
    let (code, message) = (status.as_u16(), message(bytes));
    if message.is_empty() {
        let body = String::from_utf8_lossy(bytes).trim_end().to_owned();
        return ClientError::Unexplained { code, body };
    }
    ClientError::Refused { code, message }
}

/// The explanation in an error's body; empty if there is none.
fn message(bytes: &[u8]) -> String {
    serde_json::from_slice::<v1::ErrorBody>(bytes)
        .map(|body| body.error.message)
        .unwrap_or_default()
}

fn decoded<T: DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(bytes).map_err(|source| ClientError::Answer {
        path: path.to_owned(),
        source,
    })
}

async fn collected(answer: Response<Incoming>) -> Bytes {
    use http_body_util::BodyExt;
    answer
        .into_body()
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default()
}

/// Percent-encodes all but the characters that RFC 3986 calls unreserved.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn names_are_encoded_strictly() {
        assert_eq!(encode("tmpl@1.service"), "tmpl%401.service");
        assert_eq!(encode("a\\x2db%.service"), "a%5Cx2db%25.service");
        assert_eq!(encode("é"), "%C3%A9");
    }
}
