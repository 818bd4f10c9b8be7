//! What the API was asked, and how it answered.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{Method, StatusCode};

use super::Page;

/// Method, route, status.
type Kind = (&'static str, String, u16);

/// Requests answered so far, by kind.
#[derive(Debug, Default)]
pub(crate) struct Requests(Mutex<BTreeMap<Kind, (u64, Duration)>>);

impl Requests {
    /// Counts one answer. `route` is the path as the program knows it, such as `/fleet/v1/units/{name}`.
    pub(crate) fn count(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        let mut requests = self.lock();
        let kind = (name(method), route.to_owned(), status.as_u16());
        let (count, time) = requests.entry(kind).or_default();
        *count += 1;
        *time += took;
    }

    /// Writes down what was counted.
    pub(crate) fn write(&self, page: &Page) {
        let requests = self.lock();
        let rows = |value: fn(&(u64, Duration)) -> f64| {
            let rows = requests.iter();
            rows.map(move |((method, route, status), counted)| {
                let labels = [(*method).to_owned(), route.clone(), status.to_string()];
                (labels, value(counted))
            })
        };
        page.counters(
            "fleet_api_requests_total",
            "Requests to the API, by method, route and status",
            &["method", "route", "status"],
            rows(|(count, _)| *count as f64),
        );
        page.counters(
            "fleet_api_request_duration_seconds_total",
            "How long it took until the answers began",
            &["method", "route", "status"],
            rows(|(_, time)| time.as_secs_f64()),
        );
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Kind, (u64, Duration)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names of the methods that mean something; there may be any number of others.
fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
