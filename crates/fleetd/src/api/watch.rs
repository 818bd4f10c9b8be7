//! `POST /fleet/v2/watch`: one line for each unit at once, then one for each change, until the client goes.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use fleet::v2::UnitStatus;
use futures_util::stream::{self, Stream};
use tokio_util::sync::CancellationToken;

use super::{go_json, status};
use crate::mirror::{Ended, Picture, View};

/// How often an empty line shows that the server lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long changes are gathered before the next look, for each unit of the watch: a look costs some microseconds for
/// each, and a mass start changes the picture some hundred times a second.
const GATHER: Duration = Duration::from_micros(50);
/// How long changes are gathered at most.
const LONGEST_GATHER: Duration = Duration::from_millis(500);

/// The lines of a watch over `names`; they end when `closing` is cancelled.
pub(super) fn body(view: View, names: Vec<String>, closing: CancellationToken) -> Body {
    let (names, sent) = (names.into(), BTreeMap::new());
    Body::from_stream(lines(Watch {
        view,
        names,
        sent,
        closing,
    }))
}

fn lines(watch: Watch) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(watch, |mut watch| async move {
        let lines = watch.next().await?;
        Some((Ok(lines), watch))
    })
}

struct Watch {
    view: View,
    names: Arc<[String]>,
    sent: BTreeMap<String, UnitStatus>,
    closing: CancellationToken,
}

impl Watch {
    /// The next lines, or a heartbeat; none when the watch is over.
    async fn next(&mut self) -> Option<Bytes> {
        let closing = self.closing.clone();
        tokio::select! {
            () = closing.cancelled() => None,
            lines = self.news() => lines.ok(),
            () = tokio::time::sleep(HEARTBEAT) => Some(Bytes::from_static(b"\n")),
        }
    }

    /// Waits until some unit's status is not what was sent. Losing this future loses nothing.
    async fn news(&mut self) -> Result<Bytes, Ended> {
        loop {
            let names = self.names.clone();
            let look = move |picture: &mut Picture| statuses(picture, &names);
            let lines = self.changed_lines(self.view.ask(look).await?);
            if !lines.is_empty() {
                return Ok(lines.into());
            }
            self.view.changed().await?;
            if let Some(pause) = self.gather() {
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// How long to let changes gather; a few units are looked at with every change.
    fn gather(&self) -> Option<Duration> {
        let units = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let gather = GATHER.saturating_mul(units).min(LONGEST_GATHER);
        (gather >= Duration::from_millis(1)).then_some(gather)
    }

    fn changed_lines(&mut self, statuses: Vec<UnitStatus>) -> String {
        let mut lines = String::new();
        for status in statuses {
            if self.sent.get(&status.name) == Some(&status) {
                continue;
            }
            if let Ok(line) = go_json::print(&status) {
                lines.push_str(&line);
                lines.push('\n');
            }
            self.sent.insert(status.name.clone(), status);
        }
        lines
    }
}

fn statuses(picture: &mut Picture, names: &[String]) -> Vec<UnitStatus> {
    names.iter().map(|name| status::of(picture, name)).collect()
}
