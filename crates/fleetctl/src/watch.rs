//! A stream of where units stand: pushed by API v2, or polled from API v1.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use fleet::v2::UnitStatus;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{Instant, sleep, timeout};

use crate::client::{Client, ClientError};
use crate::{output, poll};

/// Time between two polls of API v1, and between attempts to reach a lost server.
pub(crate) const POLL: Duration = Duration::from_millis(250);
/// A stream that is silent for so long is lost: the server sends an empty line every 15 s.
pub(crate) const SILENCE: Duration = Duration::from_secs(45);
/// How long a lost server may stay away.
pub(crate) const AWAY: Duration = Duration::from_secs(10);

/// The statuses of some units: each one's first, then its changes. A status may come twice.
pub(crate) struct Watch {
    names: Vec<String>,
    statuses: Receiver<Result<UnitStatus, ClientError>>,
    polled: bool,
}

impl Watch {
    /// Asks where each of these units stands, and then for each change.
    ///
    /// # Errors
    /// When the first answer does not come.
    pub(crate) async fn open(client: Client, names: Vec<String>) -> Result<Self, ClientError> {
        let source = Source::open(&client, &names).await?;
        let polled = matches!(source, Source::Polled(_));
        let (sender, statuses) = mpsc::channel(64);
        let feed = Feed {
            client,
            names: names.clone(),
            sender,
        };
        tokio::spawn(feed.run(source));
        Ok(Watch {
            names,
            statuses,
            polled,
        })
    }

    /// Whether the server has no API v2: it gives no reasons, and changes are seen late.
    pub(crate) fn is_polled(&self) -> bool {
        self.polled
    }

    /// The first status of every unit, in the order of the names.
    ///
    /// # Errors
    /// When the server goes away and stays away.
    pub(crate) async fn first(&mut self) -> Result<Vec<UnitStatus>, ClientError> {
        let mut missing: BTreeSet<&String> = self.names.iter().collect();
        let mut known = HashMap::new();
        while !missing.is_empty() {
            let status = next(&mut self.statuses).await?;
            missing.remove(&status.name);
            known.insert(status.name.clone(), status);
        }
        Ok(self
            .names
            .iter()
            .filter_map(|name| known.get(name).cloned())
            .collect())
    }

    /// The next status. Nothing is lost when this future is dropped before it is ready.
    ///
    /// # Errors
    /// When the server goes away and stays away.
    pub(crate) async fn next(&mut self) -> Result<UnitStatus, ClientError> {
        next(&mut self.statuses).await
    }
}

async fn next(
    statuses: &mut Receiver<Result<UnitStatus, ClientError>>,
) -> Result<UnitStatus, ClientError> {
    statuses
        .recv()
        .await
        .unwrap_or(Err(ClientError::WatchClosed))
}

/// Where statuses come from.
enum Source {
    Stream { body: Incoming, unread: Vec<u8> },
    Polled(Vec<UnitStatus>),
}

impl Source {
    async fn open(client: &Client, names: &[String]) -> Result<Source, ClientError> {
        match client.watch_stream(names).await? {
            Some(answer) => Ok(Source::Stream {
                body: answer.into_body(),
                unread: Vec::new(),
            }),
            None => Ok(Source::Polled(poll::statuses(client, names).await?)),
        }
    }
}

/// The task behind a [`Watch`]. It ends when nobody listens any more.
struct Feed {
    client: Client,
    names: Vec<String>,
    sender: Sender<Result<UnitStatus, ClientError>>,
}

impl Feed {
    async fn run(self, first: Source) {
        let mut source = first;
        loop {
            match source {
                Source::Stream { body, unread } => self.read(body, unread).await,
                Source::Polled(statuses) => self.pass_on(statuses).await,
            }
            let reopened = tokio::select! {
                reopened = self.reopen() => reopened,
                () = self.sender.closed() => return,
            };
            source = match reopened {
                Ok(source) => source,
                Err(error) => return drop(self.sender.send(Err(error)).await),
            };
        }
    }

    /// Passes a stream on until it ends, breaks, or nobody listens.
    async fn read(&self, mut body: Incoming, mut unread: Vec<u8>) {
        while !self.sender.is_closed() {
            let Ok(Some(Ok(frame))) = timeout(SILENCE, body.frame()).await else {
                return;
            };
            unread.extend(frame.into_data().unwrap_or_default());
            self.pass_on(take_lines(&mut unread)).await;
        }
    }

    async fn pass_on(&self, statuses: Vec<UnitStatus>) {
        for status in statuses {
            if self.sender.send(Ok(status)).await.is_err() {
                return;
            }
        }
    }

    /// Opens the source again, until it opens or the server has been away for too long.
    async fn reopen(&self) -> Result<Source, ClientError> {
        let since = Instant::now();
        let mut told = false;
        loop {
            sleep(POLL).await;
            let error = match Source::open(&self.client, &self.names).await {
                Ok(source) => return Ok(source),
                Err(error) if since.elapsed() > AWAY => return Err(error),
                Err(error) => error,
            };
            if !std::mem::replace(&mut told, true) {
                let error = anyhow::Error::new(error);
                output::warn(&format!(
                    "Lost the connection, trying again for {}s: {error:#}",
                    AWAY.as_secs()
                ));
            }
        }
    }
}

/// What stands in all whole lines; what is left is the beginning of the next.
pub(crate) fn take_lines<T: DeserializeOwned>(unread: &mut Vec<u8>) -> Vec<T> {
    let Some(end) = unread.iter().rposition(|byte| *byte == b'\n') else {
        return Vec::new();
    };
    let whole: Vec<u8> = unread.drain(..=end).collect();
    // a line that cannot be read is one of a later version's, or the empty one that shows life
    whole
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{UnitStatus, take_lines};

    #[test]
    fn lines_cut_anywhere_come_out_whole() {
        let mut unread = b"{\"name\":\"a.service\"}\n\n{\"name\":\"b.ser".to_vec();
        let names = |unread: &mut Vec<u8>| {
            take_lines(unread)
                .into_iter()
                .map(|s: UnitStatus| s.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&mut unread), ["a.service"]);
        unread.extend(b"vice\"}\n");
        assert_eq!(names(&mut unread), ["b.service"]);
        assert!(unread.is_empty());
    }
}
