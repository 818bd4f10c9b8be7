//! `/livez` and `/readyz`, named as Kubernetes and etcd name theirs: for whoever restarts fleetd, and for whoever sends it requests.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;

use super::Api;

const OK: &str = "ok\n";

/// It answers. It shall not be restarted because etcd is away: that would help nobody.
pub(super) async fn live() -> &'static str {
    OK
}

/// Whether requests are answered by more than a 503, or why not.
pub(super) async fn ready(State(api): State<Arc<Api>>) -> (StatusCode, String) {
    let ready = match (api.connected)() {
        true => api.reach().await.map(drop).map_err(|error| error.message),
        false => {
            Err("this machine is not a member of the cluster: its fleetd's log says why".to_owned())
        }
    };
    match ready {
        Ok(()) => (StatusCode::OK, OK.to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}
