//! Events, as far as they are there or as they come.

use fleet::v2::Event;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Method, Response, StatusCode};
use tokio::time::{Instant, sleep, timeout};

use super::{Client, ClientError, accepted_v2, collected, encode};
use crate::output;
use crate::watch::{AWAY, POLL, SILENCE, take_lines};

const EVENTS: &str = "/fleet/v2/events";

/// A stream of events. It goes on through a restart of the server.
pub(crate) struct Events {
    client: Client,
    query: String,
    body: Incoming,
    unread: Vec<u8>,
    /// The revision of the last event, and how many came with it.
    last: Option<(i64, usize)>,
    /// How many come again.
    again: usize,
}

impl Client {
    /// The events that there are, by a query as the API has it.
    ///
    /// # Errors
    /// When the answer does not come, or the server has no such API.
    pub(crate) async fn events(&self, query: &[(&str, String)]) -> Result<Vec<Event>, ClientError> {
        let path = format!("{EVENTS}?{}", print(query));
        let (status, bytes) = self.call(Method::GET, &path, None).await?;
        let mut lines = accepted_v2(status, bytes)?.to_vec();
        Ok(take_lines(&mut lines))
    }

    /// The same, and those that come.
    ///
    /// # Errors
    /// As [`events`](Self::events).
    pub(crate) async fn follow_events(
        &self,
        query: &[(&str, String)],
    ) -> Result<Events, ClientError> {
        let query = print(query);
        let answer = self.event_stream(&query).await?;
        Ok(Events {
            client: self.clone(),
            query,
            body: answer.into_body(),
            unread: Vec::new(),
            last: None,
            again: 0,
        })
    }

    async fn event_stream(&self, query: &str) -> Result<Response<Incoming>, ClientError> {
        let path = format!("{EVENTS}?follow=1&{query}");
        let answer = self.http.stream(Method::GET, &path, None).await?;
        match answer.status() {
            StatusCode::OK => Ok(answer),
            status => Err(refused(status, answer).await),
        }
    }
}

async fn refused(status: StatusCode, answer: Response<Incoming>) -> ClientError {
    let refused = accepted_v2(status, collected(answer).await).err();
    refused.unwrap_or(ClientError::WatchClosed)
}

impl Events {
    /// The next ones; some at least.
    ///
    /// # Errors
    /// When the server goes away and stays away.
    pub(crate) async fn next(&mut self) -> Result<Vec<Event>, ClientError> {
        loop {
            match timeout(SILENCE, self.body.frame()).await {
                Ok(Some(Ok(frame))) => self.unread.extend(frame.into_data().unwrap_or_default()),
                _ => self.reopen().await?,
            }
            let events = take_lines(&mut self.unread);
            let news = self.note(events);
            if !news.is_empty() {
                return Ok(news);
            }
        }
    }

    /// Remembers where the stream is, and leaves out what comes again.
    fn note(&mut self, events: Vec<Event>) -> Vec<Event> {
        let again = self.again.min(events.len());
        self.again -= again;
        let news: Vec<Event> = events.into_iter().skip(again).collect();
        for event in &news {
            let with_it = match self.last {
                Some((revision, count)) if revision == event.revision => count,
                _ => 0,
            };
            self.last = Some((event.revision, with_it + 1));
        }
        news
    }

    /// Opens the stream again where it ended: at the last event's revision, of which there may be more.
    async fn reopen(&mut self) -> Result<(), ClientError> {
        let since = Instant::now();
        let query = match self.last {
            Some((revision, _)) => format!("after={}&{}", revision - 1, self.query_without_lines()),
            None => self.query.clone(),
        };
        let mut told = false;
        loop {
            sleep(POLL).await;
            match self.client.event_stream(&query).await {
                Ok(answer) => {
                    (self.body, self.unread) = (answer.into_body(), Vec::new());
                    self.again = self.last.map_or(0, |(_, count)| count);
                    return Ok(());
                }
                Err(error) if since.elapsed() > AWAY => return Err(error),
                Err(error) if !std::mem::replace(&mut told, true) => {
                    let (error, away) = (anyhow::Error::new(error), AWAY.as_secs());
                    output::warn(&format!(
                        "Lost the connection, trying again for {away}s: {error:#}"
                    ));
                }
                Err(_) => {}
            }
        }
    }

    fn query_without_lines(&self) -> String {
        let parts = self.query.split('&');
        let others: Vec<&str> = parts.filter(|part| !part.starts_with("lines=")).collect();
        others.join("&")
    }
}

fn print(query: &[(&str, String)]) -> String {
    let pair = |(name, value): &(&str, String)| format!("{name}={}", encode(value));
    query.iter().map(pair).collect::<Vec<_>>().join("&")
}
