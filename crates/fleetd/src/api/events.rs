//! `GET /fleet/v2/events`: what has happened, one line each, and with `follow=1` what happens from then on.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use fleet::glob;
use fleet::history::What;
use fleet::v2::Event;
use futures_util::stream::{self, Stream};
use registry::{EventRecord, EventWatch};
use tokio_util::sync::CancellationToken;

use super::error::ApiError;
use super::request::Parameters;
use super::{Api, go_json};

/// How often an empty line shows that the server lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Which events are asked for.
#[derive(Debug, Default)]
struct Wanted {
    /// What is about any of these units, which may be patterns,
    units: Vec<String>,
    /// or of the machines whose ids begin so; everything if neither is named.
    machines: Vec<String>,
    /// What is of any of these kinds; everything if none is named.
    kinds: Vec<What>,
    /// What happened then or later, in milliseconds since the Unix epoch.
    since: Option<u64>,
    /// What was told after that revision.
    after: Option<i64>,
    /// The last so many of those that are there.
    lines: Option<usize>,
    /// And all that come.
    follow: bool,
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    query: Parameters,
) -> Result<Response, ApiError> {
    let wanted = Wanted::read(&query).map_err(ApiError::bad_request)?;
    api.reach().await?;
    let (revision, events) = known(&api, &wanted).await?;
    let lines = lines_of(&events);
    let body = if wanted.follow {
        let following = Following {
            wanted,
            first: Some(lines),
            watch: api.registry.events_after(revision),
            closing: api.closing.clone(),
        };
        Body::from_stream(following.lines())
    } else {
        Body::from(lines)
    };
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// The events that are there, in the order in which they were told, and the revision as of which that is all.
async fn known(api: &Api, wanted: &Wanted) -> Result<(i64, Vec<Event>), ApiError> {
    let failed = |error| ApiError::registry("reading events", &error);
    let mut list = api.registry.events().await.map_err(failed)?;
    list.after(wanted.after.unwrap_or(0));
    let lines = wanted.lines.unwrap_or(usize::MAX);
    let mut pages = Vec::new();
    let mut found = 0;
    while found < lines
        && let Some(records) = list.older().await.map_err(failed)?
    {
        let events: Vec<Event> = records
            .iter()
            .flat_map(|record| wanted.of(record))
            .collect();
        found += events.len();
        pages.push(events);
    }
    let in_order = pages.into_iter().rev().flatten();
    Ok((
        list.revision,
        in_order.skip(found.saturating_sub(lines)).collect(),
    ))
}

impl Wanted {
    fn read(query: &[(String, String)]) -> Result<Self, String> {
        let mut wanted = Wanted::default();
        for (name, value) in query.iter().filter(|(_, value)| !value.is_empty()) {
            let number = || format!("{name} must be a number, not {value:?}");
            match name.as_str() {
                "unit" => wanted.units.push(value.clone()),
                "machine" => wanted.machines.push(value.clone()),
                "kind" => wanted.kinds.push(kind(value)?),
                "since" => wanted.since = Some(value.parse().map_err(|_| number())?),
                "after" => wanted.after = Some(value.parse().map_err(|_| number())?),
                "lines" => wanted.lines = Some(value.parse().map_err(|_| number())?),
                "follow" => wanted.follow = !matches!(value.as_str(), "0" | "false"),
                _ => {}
            }
        }
        Ok(wanted)
    }

    /// The events of a record that are asked for.
    fn of(&self, record: &EventRecord) -> Vec<Event> {
        let event = |entry| Event::of(entry, record.time, record.revision);
        let events = record.entries.iter().map(event);
        events.filter(|event| self.has(event)).collect()
    }

    fn has(&self, event: &Event) -> bool {
        let anything = self.units.is_empty() && self.machines.is_empty();
        // a backslash in a name is no pattern's
        let is = |unit: &String| *unit == event.unit || glob::matches(unit, &event.unit);
        let unit = || self.units.iter().any(is);
        let machine = || {
            let begins = |start: &String| {
                event.machine_id.starts_with(start) || event.from_machine_id.starts_with(start)
            };
            self.machines.iter().any(begins)
        };
        let mut kinds = self.kinds.iter();
        let of_kind = self.kinds.is_empty() || kinds.any(|kind| kind.as_str() == event.what);
        let late_enough = self.since.is_none_or(|since| event.time >= since);
        late_enough && of_kind && (anything || unit() || machine())
    }
}

fn kind(word: &str) -> Result<What, String> {
    let kinds = || What::ALL.map(What::as_str).join(", ");
    word.parse()
        .map_err(|error| format!("kind: {error}; there are {}", kinds()))
}

fn lines_of(events: &[Event]) -> String {
    let lines = events.iter().filter_map(|event| go_json::print(event).ok());
    lines.map(|line| line + "\n").collect()
}

/// An answer that goes on.
struct Following {
    wanted: Wanted,
    /// What was there already; none if that has been sent.
    first: Option<String>,
    watch: EventWatch,
    closing: CancellationToken,
}

impl Following {
    fn lines(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, |mut following| async move {
            let lines = following.next().await?;
            Some((Ok(lines), following))
        })
    }

    /// The next lines, or a heartbeat; none when the server ends.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(lines) = self.first.take().filter(|lines| !lines.is_empty()) {
            return Some(lines.into());
        }
        let closing = self.closing.clone();
        tokio::select! {
            () = closing.cancelled() => None,
            lines = self.news() => Some(lines),
            () = tokio::time::sleep(HEARTBEAT) => Some(Bytes::from_static(b"\n")),
        }
    }

    /// Losing this future loses nothing.
    async fn news(&mut self) -> Bytes {
        loop {
            let records = self.watch.next().await;
            let events: Vec<Event> = records
                .iter()
                .flat_map(|record| self.wanted.of(record))
                .collect();
            if !events.is_empty() {
                return lines_of(&events).into();
            }
        }
    }
}
