//! The API of a [`Cluster`] on a unix socket: v1 alone, or v1 and v2. Keeps a list of the requests.

use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleet::v2::{Event, PutResults, PutUnits, UnitStatus, WatchUnits};
use fleet::{glob, v1};
use futures_util::{StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::UnixListener;

use super::cluster::Cluster;
use super::operate::{self, Operated};

/// What the server can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

pub(super) type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// How requests are answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Mood {
    #[default]
    Normal,
    /// Watches end after their first lines.
    Brief,
    /// Not at all.
    Silent,
    /// With this error.
    Broken(u16, String),
}

/// What requests see and leave behind.
pub(crate) struct Shared {
    pub(crate) version: Version,
    pub(crate) cluster: Mutex<Cluster>,
    pub(crate) requests: Mutex<Vec<String>>,
    /// What has happened, oldest first.
    pub(crate) events: Mutex<Vec<Event>>,
    pub(crate) operated: Mutex<Operated>,
    pub(crate) mood: Mutex<Mood>,
    /// Items in a page of API v1.
    pub(crate) page: usize,
}

impl Shared {
    pub(crate) fn new(version: Version) -> Arc<Self> {
        Arc::new(Shared {
            version,
            cluster: Mutex::default(),
            requests: Mutex::default(),
            events: Mutex::default(),
            operated: Mutex::default(),
            mood: Mutex::default(),
            page: 3,
        })
    }
}

/// Serves on `path` until the runtime ends.
pub(crate) async fn serve(path: &Path, shared: Arc<Shared>) {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let shared = Arc::clone(&shared);
            let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
            // a client that goes away breaks its connection; that is no concern of the server's
            let mut http = http1::Builder::new();
            // an fd-forward whose stdin has ended still wants its answer
            http.half_close(true);
            tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
        }
    });
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Answer, Infallible> {
    let (method, uri) = (request.method().clone(), request.uri().to_string());
    shared
        .requests
        .lock()
        .unwrap()
        .push(format!("{method} {uri}"));
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let mood = shared.mood.lock().unwrap().clone();
    match mood {
        Mood::Normal | Mood::Brief => {}
        Mood::Silent => std::future::pending().await,
        Mood::Broken(code, message) => return Ok(error(code, &message)),
    }
    Ok(match uri.strip_prefix("/fleet/v2/") {
        Some(path) if shared.version == Version::V2 => v2(&method, path, &body, shared),
        Some(_) => plain(404, "404 page not found\n"),
        None => v1(
            &method,
            uri.trim_start_matches("/fleet/v1/"),
            &body,
            &shared,
        ),
    })
}

fn v2(method: &Method, path: &str, body: &[u8], shared: Arc<Shared>) -> Answer {
    match path {
        "units" => {
            let units: PutUnits = serde_json::from_slice(body).unwrap();
            let mut cluster = shared.cluster.lock().unwrap();
            json(&PutResults {
                results: units.units.iter().map(|unit| cluster.put(unit)).collect(),
            })
        }
        "watch" => {
            let names: WatchUnits = serde_json::from_slice(body).unwrap();
            watch(names.units, shared)
        }
        _ if path.starts_with("events?") => events(path, &shared),
        _ => operate::answer(method, path, body, &shared)
            .unwrap_or_else(|| plain(404, "404 page not found\n")),
    }
}

/// A line for each unit, then one for each that changes.
fn watch(names: Vec<String>, shared: Arc<Shared>) -> Answer {
    let told: Vec<UnitStatus> = Vec::new();
    let frames = if *shared.mood.lock().unwrap() == Mood::Brief {
        1
    } else {
        usize::MAX
    };
    let lines = stream::unfold(
        (names, shared, told),
        |(names, shared, mut told)| async move {
            loop {
                let now: Vec<UnitStatus> = names
                    .iter()
                    .map(|name| shared.cluster.lock().unwrap().status(name))
                    .collect();
                let news: Vec<String> = now
                    .iter()
                    .filter(|status| !told.contains(status))
                    .map(line)
                    .collect();
                told = now;
                if !news.is_empty() {
                    let frame = Ok::<_, Infallible>(Frame::data(Bytes::from(news.concat())));
                    return Some((frame, (names, shared, told)));
                }
                // the cluster's clock: units change by themselves as time passes
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        },
    );
    Response::new(StreamBody::new(lines.take(frames)).boxed_unsync())
}

/// The events that are asked for; an answer that follows has no end, unless answers are brief: then it has three events.
fn events(path: &str, shared: &Shared) -> Answer {
    let query = path.trim_start_matches("events?");
    let number = |name: &str| parameter(query, name).parse::<i64>().ok();
    let words: Vec<(&str, &str)> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .collect();
    let about = |event: &Event| {
        let mut filters = words
            .iter()
            .filter(|(name, _)| matches!(*name, "unit" | "machine"));
        let is = |(name, value): &(&str, &str)| match *name {
            "unit" => glob::matches(&value.replace("%40", "@").replace("%2A", "*"), &event.unit),
            _ => event.machine_id.starts_with(value) || event.from_machine_id.starts_with(value),
        };
        !query.contains("unit=") && !query.contains("machine=") || filters.any(is)
    };
    let mut events = shared.events.lock().unwrap().clone();
    events.retain(about);
    let kinds = words.iter().filter(|(name, _)| *name == "kind");
    let kinds: Vec<&str> = kinds.map(|(_, kind)| *kind).collect();
    events.retain(|event| kinds.is_empty() || kinds.contains(&event.what.as_str()));
    events.retain(|event| event.revision > number("after").unwrap_or(0));
    events.retain(|event| event.time >= number("since").unwrap_or(0).unsigned_abs());
    let lines = number("lines").map_or(usize::MAX, |lines| usize::try_from(lines).unwrap());
    let first = events.len().saturating_sub(lines);
    let lines: Vec<String> = events[first..].iter().map(line).collect();
    if !query.contains("follow=1") {
        return plain(200, &lines.concat());
    }
    let frame = |line: String| Ok::<_, Infallible>(Frame::data(Bytes::from(line)));
    let lines = stream::iter(lines.into_iter().map(frame));
    if *shared.mood.lock().unwrap() == Mood::Brief {
        return Response::new(StreamBody::new(lines.take(3)).boxed_unsync());
    }
    Response::new(StreamBody::new(lines.chain(stream::pending())).boxed_unsync())
}

fn line(status: &impl Serialize) -> String {
    serde_json::to_string(status).unwrap() + "\n"
}

fn v1(method: &Method, path: &str, body: &[u8], shared: &Shared) -> Answer {
    let mut cluster = shared.cluster.lock().unwrap();
    let (resource, query) = path.split_once('?').unwrap_or((path, ""));
    let decoded = resource.replace("%40", "@");
    let unit = decoded.strip_prefix("units/");
    match (method.as_str(), unit, resource) {
        ("GET", Some(name), _) => cluster
            .unit(name)
            .map_or_else(|| error(404, "unit does not exist"), |unit| json(&unit)),
        ("PUT", Some(_), _) => {
            let result = cluster.put(&serde_json::from_slice(body).unwrap());
            if result.code < 300 {
                plain(result.code, "")
            } else {
                error(result.code, &result.message)
            }
        }
        ("DELETE", Some(name), _) if cluster.delete(name) => plain(204, ""),
        ("DELETE", Some(_), _) => error(404, "unit does not exist"),
        ("GET", None, "units") => {
            let (units, next_page_token) = page(cluster.units(), query, shared.page);
            json(&v1::UnitPage {
                units,
                next_page_token,
            })
        }
        ("GET", None, "state") => {
            let mut states = cluster.states();
            let wanted = parameter(query, "unitName").replace("%40", "@");
            states.retain(|state| wanted.is_empty() || state.name == wanted);
            let (states, next_page_token) = page(states, query, shared.page);
            json(&v1::UnitStatePage {
                states,
                next_page_token,
            })
        }
        ("GET", None, "machines") => {
            let (machines, next_page_token) = page(
                cluster.machines.values().cloned().collect(),
                query,
                shared.page,
            );
            json(&v1::MachinePage {
                machines,
                next_page_token,
            })
        }
        _ => plain(404, "404 page not found\n"),
    }
}

fn page<T>(all: Vec<T>, query: &str, size: usize) -> (Vec<T>, String) {
    let start: usize = parameter(query, "nextPageToken")
        .trim_end_matches("%3D")
        .parse()
        .unwrap_or(0);
    let more = start + size < all.len();
    let token = if more {
        format!("{}=", start + size)
    } else {
        String::new()
    };
    (all.into_iter().skip(start).take(size).collect(), token)
}

fn parameter<'a>(query: &'a str, name: &str) -> &'a str {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value)
        .next()
        .unwrap_or_default()
}

pub(super) fn json(value: &impl Serialize) -> Answer {
    plain(200, &serde_json::to_string(value).unwrap())
}

pub(super) fn error(code: u16, message: &str) -> Answer {
    let detail = v1::ErrorDetail {
        code,
        message: message.to_owned(),
    };
    let body = serde_json::to_string(&v1::ErrorBody { error: detail }).unwrap();
    plain(code, &body)
}

pub(super) fn plain(code: u16, body: &str) -> Answer {
    let mut answer = Response::new(Full::from(body.to_owned()).boxed_unsync());
    *answer.status_mut() = hyper::StatusCode::from_u16(code).unwrap();
    answer
}
