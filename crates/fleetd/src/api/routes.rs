//! Which path and method leads where, and what holds for every answer.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{MethodRouter, any, get};

use super::error::ApiError;
use super::{
    Api, away, cordon, discovery, events, health, machines, metrics, moves, state, units, v2,
};

/// What answers say of their server.
const SERVER: HeaderValue = HeaderValue::from_static(concat!("fleetd/", env!("CARGO_PKG_VERSION")));

type Routes = Router<Arc<Api>>;

/// The whole API.
pub(super) fn router(api: Arc<Api>) -> Router {
    let routes = routes(api);
    // one router around the other, since axum adds the header outside of a router's own layers
    Router::new()
        .fallback_service(routes)
        .layer(middleware::map_response(without_allow))
}

/// The routes do not know all of their methods: what they would say of them is wrong.
async fn without_allow(mut response: Response) -> Response {
    response.headers_mut().remove(header::ALLOW);
    response
}

fn routes(api: Arc<Api>) -> Router {
    Router::new()
        .merge(version_1("/fleet/v1"))
        .merge(version_1("/v1-alpha"))
        .merge(version_2("/fleet/v2"))
        .route(METRICS, any(metrics::get))
        .route(LIVE, get(health::live))
        .route(READY, get(health::ready))
        .route("/", refuse(StatusCode::METHOD_NOT_ALLOWED, ""))
        .fallback(|| async { ApiError::new(StatusCode::NOT_FOUND, "") })
        .layer(middleware::from_fn_with_state(api.clone(), every_answer))
        .with_state(api)
}

fn version_1(prefix: &str) -> Routes {
    const NOT: StatusCode = StatusCode::METHOD_NOT_ALLOWED;
    let at = |path: &str| format!("{prefix}{path}");
    let only_get = || refuse(NOT, "only GET supported against this resource");
    let discovery = refuse(
        StatusCode::BAD_REQUEST,
        "only HTTP GET supported against this resource",
    );
    let machines = refuse(NOT, "only GET and PATCH supported against this resource");
    let unit = refuse(
        NOT,
        "only GET, PUT and DELETE supported against this resource",
    );
    Router::new()
        .route(prefix, refuse(NOT, ""))
        .route(&at("/discovery"), discovery.get(discovery::get))
        .route(
            &at("/machines"),
            machines.get(machines::list).patch(machines::patch),
        )
        .route(&at("/units"), only_get().get(units::list))
        .route(
            &at("/units/{name}"),
            unit.get(units::get).put(units::put).delete(units::delete),
        )
        .route(&at("/state"), only_get().get(state::list))
        .route(&at("/state/{name}"), only_get().get(state::get))
}

fn version_2(prefix: &str) -> Routes {
    const NOT: StatusCode = StatusCode::METHOD_NOT_ALLOWED;
    let only = |method| {
        refuse(
            NOT,
            &format!("only {method} supported against this resource"),
        )
    };
    Router::new()
        .route(&format!("{prefix}/units"), only("PUT").put(v2::put))
        .route(
            &format!("{prefix}/units/{{name}}/why"),
            only("GET").get(v2::why),
        )
        .route(
            &format!("{prefix}/units/{{name}}/machine"),
            only("PUT").put(moves::put),
        )
        .route(
            &format!("{prefix}/rebalance"),
            only("GET").get(moves::rebalance),
        )
        .route(&format!("{prefix}/away"), only("GET").get(away::list))
        .route(
            &format!("{prefix}/away/{{id}}"),
            only("DELETE").delete(away::delete),
        )
        .route(&format!("{prefix}/cordons"), only("GET").get(cordon::list))
        .route(
            &format!("{prefix}/machines/{{id}}"),
            only("GET").get(cordon::get),
        )
        .route(
            &format!("{prefix}/machines/{{id}}/cordon"),
            only("PUT and DELETE")
                .put(cordon::put)
                .delete(cordon::delete),
        )
        .route(&format!("{prefix}/what-if"), only("POST").post(v2::what_if))
        .route(&format!("{prefix}/events"), only("GET").get(events::list))
        .route(&format!("{prefix}/watch"), only("POST").post(v2::watch))
}

/// Methods that a resource does not have, HEAD among them, get this answer.
fn refuse(status: StatusCode, message: &str) -> MethodRouter<Arc<Api>> {
    let error = ApiError::new(status, message);
    let answer = move || async move { error };
    MethodRouter::new().head(answer.clone()).fallback(answer)
}

/// Where the metrics are.
const METRICS: &str = "/metrics";

/// Whether fleetd is alive.
const LIVE: &str = "/livez";

/// Whether it can answer.
const READY: &str = "/readyz";

/// What is answered without a registry: it tells just that.
const ALWAYS: [&str; 3] = [METRICS, LIVE, READY];

/// No answer but 503 while there is no registry behind us, except for those about this fleetd; unclean
/// paths lead to clean ones.
async fn every_answer(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    if !(api.connected)() && !ALWAYS.contains(&request.uri().path()) {
        return ApiError::not_connected().into_response();
    }
    let (begun, method) = (Instant::now(), request.method().clone());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = match clean_path(&request) {
        Some(clean) => moved(&clean),
        None if has_hidden_slash(&request) => {
            ApiError::new(StatusCode::NOT_FOUND, "").into_response()
        }
        None => next.run(request).await,
    };
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    let status = response.status();
    api.requests.count(&method, route, status, begun.elapsed());
    response.headers_mut().insert(header::SERVER, SERVER);
    response
}

/// An escaped slash parts a path as any other does, and no resource has so many parts.
fn has_hidden_slash(request: &Request) -> bool {
    request.uri().path().to_ascii_lowercase().contains("%2f")
}

/// The clean form of the request's path if it is another one: no `//`, `.` or `..`.
fn clean_path(request: &Request) -> Option<String> {
    let path = request.uri().path();
    if request.method() == Method::CONNECT || !path.starts_with('/') {
        return None;
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    let slash = if path.ends_with('/') && !segments.is_empty() {
        "/"
    } else {
        ""
    };
    let clean = format!("/{}{slash}", segments.join("/"));
    (clean != path).then(|| match request.uri().query() {
        Some(query) => format!("{clean}?{query}"),
        None => clean,
    })
}

fn moved(location: &str) -> Response {
    let escaped = location.replace('&', "&amp;").replace('"', "&#34;");
    let page = Html(format!("<a href=\"{escaped}\">Moved Permanently</a>.\n\n"));
    (
        StatusCode::MOVED_PERMANENTLY,
        [(header::LOCATION, location.to_owned())],
        page,
    )
        .into_response()
}
