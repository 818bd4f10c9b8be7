//! Requests and answers.
//!
//! ```text
//! # a sentence
//! PUT /fleet/v1/units/a.service      a request line, its headers, its body
//! Content-Type: application/json
//! {"options":[…]}
//! ----
//! 201                                the status, then the body
//! ====
//! eventually GET /fleet/v1/state     asked again until the answer is the expected one
//! ====
//! GET! /fleet/v1/units               shows the headers, too
//! ====
//! raw                                bytes as they stand, with CR LF at the line ends, and an empty line at the end
//! GET / HTTP/1.0                     (`raw cut`: and then the line is dead)
//! ```
//!
//! `{machine1}` and `{ip1}` stand for the first machine of the cluster by id, and so on.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use super::server::{Answer, Server};

/// How long something that is to come about may take.
const PATIENCE: Duration = Duration::from_secs(20);
const MOMENT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);

/// Headers that say nothing about conformance.
const IGNORED: [&str; 3] = ["date", "connection", "transfer-encoding"];

/// Plays files of exchanges on one server.
pub struct Player {
    server: Server,
    /// What is written, and what is meant by it.
    names: Vec<(String, String)>,
}

impl Player {
    /// A player for `server`, whose machines it asks for.
    ///
    /// # Errors
    /// The server does not answer, or not as a fleet server does.
    pub fn of(server: Server) -> Result<Player> {
        let mut player = Player {
            server,
            names: Vec::new(),
        };
        let answer = player
            .ask("GET /fleet/v1/machines")?
            .context("the server hangs up")?;
        let page: Value =
            serde_json::from_str(&answer.body).context("reading the list of machines")?;
        let machines = page["machines"].as_array().into_iter().flatten();
        for (number, machine) in machines.enumerate() {
            let text = |key: &str| machine[key].as_str().unwrap_or_default().to_owned();
            player
                .names
                .push((format!("{{machine{}}}", number + 1), text("id")));
            player
                .names
                .push((format!("{{ip{}}}", number + 1), text("primaryIP")));
        }
        player.names.retain(|(_, meaning)| !meaning.is_empty());
        Ok(player)
    }

    /// Plays a file's text; what it looks like with the answers that came is returned.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub fn play(&self, text: &str) -> Result<String> {
        let cases: Vec<String> = text
            .split("====\n")
            .map(|case| self.case(case))
            .collect::<Result<_>>()?;
        Ok(cases.join("====\n"))
    }

    fn case(&self, case: &str) -> Result<String> {
        let (request, expected) = case.split_once("----\n").unwrap_or((case, ""));
        let lines: Vec<&str> = request
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        let eventually = lines
            .first()
            .is_some_and(|line| line.starts_with("eventually "));
        // what is written down for the first time is what is seen a moment later
        let patience = if expected.is_empty() {
            MOMENT
        } else {
            PATIENCE
        };
        let since = Instant::now();
        loop {
            let answer = self.answer(&lines)?;
            if !eventually || answer == expected || since.elapsed() > patience {
                return Ok(format!("{}\n----\n{answer}", request.trim_end()));
            }
            sleep(PAUSE);
        }
    }

    fn answer(&self, lines: &[&str]) -> Result<String> {
        let request = lines.join("\n");
        let request = request.strip_prefix("eventually ").unwrap_or(&request);
        let shows_headers = request
            .lines()
            .next()
            .is_some_and(|line| line.contains("! "));
        let cut = request.starts_with("raw cut\n");
        let raw = request.strip_prefix(if cut { "raw cut\n" } else { "raw\n" });
        let answer = match raw {
            Some(raw) => {
                let bytes = self.meant(raw).replace('\n', "\r\n") + "\r\n\r\n";
                self.server.send(bytes.as_bytes(), cut)?
            }
            None => self.ask(&request.replacen("! ", " ", 1))?,
        };
        Ok(self.written(&print(answer, shows_headers)))
    }

    fn ask(&self, request: &str) -> Result<Option<Answer>> {
        let request = self.meant(request);
        let (line, rest) = request.split_once('\n').unwrap_or((&request, ""));
        let is_header = |line: &&str| {
            line.split_once(": ")
                .is_some_and(|(name, _)| !name.contains(['{', '"', '[']))
        };
        let headers: Vec<&str> = rest.lines().take_while(is_header).collect();
        let body: Vec<&str> = rest.lines().skip(headers.len()).collect();
        let body = body.join("\n");
        let headers: String = headers
            .iter()
            .map(|header| format!("{header}\r\n"))
            .collect();
        let length = body.len();
        let head = format!(
            "{line} HTTP/1.1\r\nHost: fleet\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        self.server.send(format!("{head}{body}").as_bytes(), false)
    }

    fn meant(&self, text: &str) -> String {
        self.names
            .iter()
            .fold(text.to_owned(), |text, (name, meaning)| {
                text.replace(name, meaning)
            })
    }

    fn written(&self, text: &str) -> String {
        self.names
            .iter()
            .fold(text.to_owned(), |text, (name, meaning)| {
                text.replace(meaning, name)
            })
    }
}

fn print(answer: Option<Answer>, shows_headers: bool) -> String {
    let Some(answer) = answer else {
        return "(hangs up)\n".to_owned();
    };
    let mut text = format!("{}\n", answer.status);
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| !IGNORED.contains(&name.as_str()))
        .collect();
    headers.sort();
    for (name, value) in headers.into_iter().filter(|_| shows_headers) {
        text += &format!("{name}: {value}\n");
    }
    let body = answer.body.trim_end();
    if !body.is_empty() {
        text += &format!("{body}\n");
    }
    text
}
