//! A server that is talked to byte by byte, so that it can be sent what no client would send.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long a server may take over an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// On a unix socket.
    Unix(PathBuf),
    /// On `host:port`.
    Tcp(String),
}

/// An answer: its status, its headers with their names in lower case, its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Server {
    /// Reads `unix:///path` or `http://host:port`.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(endpoint: &str) -> Result<Server> {
        if let Some(path) = endpoint.strip_prefix("unix://") {
            return Ok(Server::Unix(path.into()));
        }
        match endpoint.strip_prefix("http://") {
            Some(place) if place.contains(':') => {
                Ok(Server::Tcp(place.trim_end_matches('/').to_owned()))
            }
            _ => bail!("{endpoint:?} is no endpoint: write unix:///PATH or http://HOST:PORT"),
        }
    }

    /// Sends these bytes on a connection of their own and reads the answer up to its end; none if the server hangs up
    /// without one. `cut`: says that no more bytes will come.
    pub(super) fn send(&self, bytes: &[u8], cut: bool) -> Result<Option<Answer>> {
        let answer = match self {
            Server::Unix(path) => {
                let stream = UnixStream::connect(path)
                    .with_context(|| format!("connecting to {}", path.display()))?;
                stream.set_read_timeout(Some(PATIENCE))?;
                exchange(stream, bytes, |stream| match cut {
                    true => stream.shutdown(Shutdown::Write),
                    false => Ok(()),
                })
            }
            Server::Tcp(place) => {
                let stream =
                    TcpStream::connect(place).with_context(|| format!("connecting to {place}"))?;
                stream.set_read_timeout(Some(PATIENCE))?;
                exchange(stream, bytes, |stream| match cut {
                    true => stream.shutdown(Shutdown::Write),
                    false => Ok(()),
                })
            }
        };
        let answer = answer?;
        Ok((!answer.is_empty()).then(|| read(&String::from_utf8_lossy(&answer))))
    }
}

fn exchange<S: Read + Write>(
    mut stream: S,
    bytes: &[u8],
    end: impl Fn(&S) -> std::io::Result<()>,
) -> Result<Vec<u8>> {
    // a server may refuse before it has read everything, and then does not take the rest
    let _ = stream.write_all(bytes).and_then(|()| end(&stream));
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if answer.is_empty() => Err(error).context("reading the answer"),
        _ => Ok(answer),
    }
}

fn read(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .unwrap_or_default()
        .to_owned();
    let header = |line: &str| {
        line.split_once(": ")
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
    };
    let headers: Vec<_> = lines.filter_map(header).collect();
    let chunked = headers.iter().any(|(name, _)| name == "transfer-encoding");
    let body = if chunked {
        unchunk(body)
    } else {
        body.to_owned()
    };
    Answer {
        status,
        headers,
        body,
    }
}

/// Joins the pieces of a chunked body.
fn unchunk(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, tail)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or(0);
        body.push_str(tail.get(..size).unwrap_or(tail));
        rest = tail
            .get(size..)
            .unwrap_or_default()
            .trim_start_matches("\r\n");
    }
    body
}
