//! A transcript: what is there, what is typed, what comes out.
//!
//! ```text
//! # a story, in a sentence
//! server v1 v2                                 which kinds of server it is played on
//! machine 1f8dd964aaaa 10.99.0.11 region=us    a machine joins
//! file hello.service                           a file in the current folder; its lines follow, indented
//!     [Service]
//!     ExecStart=/bin/true
//! there machine 1f8d... 10.99.0.11             a machine joins the other cluster, an old one that is served at other.sock
//! away {"machineID":"…", …}                     a machine that is away, as API v2 has it
//! cordon aaaa {"reason":"…", …}                an operator's order about a machine that need not be there, as API v2 has it
//! asked what-if {…}                            what API v2 answers to a question, by its path
//! event {"what":"leading", …}                  something that has happened, as API v2 has it
//! answer 503 no etcd                           from now on every request is answered so; also `never`, `normally`, and
//!                                              `briefly`: watches end after their first lines
//! $ fleetctl start hello.service               a line for the shell
//! O| Unit hello.service inactive               its stdout
//! E| ...                                       its stderr
//! exit 0
//! $ requests                                   what the server was asked since the last time
//! ```

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use fleet::v1::Machine;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::server::{Mood, Shared, Version, serve};

pub(crate) struct Transcript {
    /// All lines but those that commands printed.
    script: Vec<String>,
}

impl Transcript {
    pub(crate) fn parse(text: &str) -> Self {
        let printed = |line: &&str| {
            line.starts_with("O|") || line.starts_with("E|") || line.starts_with("exit ")
        };
        Transcript {
            script: text
                .lines()
                .filter(|line| !printed(line))
                .map(str::to_owned)
                .collect(),
        }
    }

    pub(crate) fn versions(&self) -> Vec<Version> {
        let line = self
            .script
            .iter()
            .find_map(|line| line.strip_prefix("server "))
            .expect("a line `server v1 v2`");
        let version = |word| {
            if word == "v1" {
                Version::V1
            } else {
                Version::V2
            }
        };
        line.split(' ').map(version).collect()
    }
}

/// What `transcript` looks like when it is played.
pub(crate) fn play(transcript: &Transcript, version: Version) -> String {
    let stage = Stage::set(version);
    let mut seen = String::new();
    let mut file: Option<(String, String)> = None;
    for line in &transcript.script {
        seen += &format!("{line}\n");
        let content = if line.is_empty() {
            Some("")
        } else {
            line.strip_prefix("    ")
        };
        match (content, &mut file) {
            (Some(content), Some((_, text))) => *text += &format!("{content}\n"),
            _ => {
                stage.write(file.take());
                file = line
                    .strip_prefix("file ")
                    .map(|path| (path.to_owned(), String::new()));
                seen += &stage.act(line);
            }
        }
    }
    seen
}

/// A server, and a folder to be in.
pub(crate) struct Stage {
    folder: TempDir,
    shared: Arc<Shared>,
    /// Another cluster, with a server of the original's time.
    other: Arc<Shared>,
    runtime: Runtime,
}

impl Stage {
    pub(crate) fn set(version: Version) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (shared, other) = (Shared::new(version), Shared::new(Version::V1));
        for (socket, shared) in [("fleet.sock", &shared), ("other.sock", &other)] {
            runtime.block_on(serve(&folder.path().join(socket), Arc::clone(shared)));
        }
        Stage {
            folder,
            shared,
            other,
            runtime,
        }
    }

    pub(crate) fn write(&self, file: Option<(String, String)>) {
        if let Some((path, text)) = file {
            let path = self.folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }

    /// Does what a line says. What it prints comes back.
    pub(crate) fn act(&self, line: &str) -> String {
        match line.split_once(' ') {
            Some(("machine", words)) => join(&self.shared, words),
            Some(("event", json)) => {
                let event = serde_json::from_str(json).unwrap();
                self.shared.events.lock().unwrap().push(event);
            }
            Some(("away", json)) => {
                let away = serde_json::from_str(json).unwrap();
                self.shared.operated.lock().unwrap().away.push(away);
            }
            Some(("cordon", words)) => {
                let (id, json) = words.split_once(' ').unwrap();
                let cordon = serde_json::from_str(json).unwrap();
                let mut cluster = self.shared.cluster.lock().unwrap();
                cluster.cordon(id, Some(cordon));
            }
            Some(("asked", words)) => {
                let (path, json) = words.split_once(' ').unwrap();
                let mut operated = self.shared.operated.lock().unwrap();
                operated.answers.insert(path.to_owned(), json.to_owned());
            }
            Some(("there", line)) => join(&self.other, line.strip_prefix("machine ").unwrap()),
            Some(("answer", words)) => self.answer(words),
            Some(("$", "requests")) => return self.requests(),
            Some(("$", command)) => return self.run(command),
            _ => {}
        }
        String::new()
    }

    fn answer(&self, words: &str) {
        *self.shared.mood.lock().unwrap() = match words.split_once(' ') {
            Some((code, message)) => Mood::Broken(code.parse().unwrap(), message.to_owned()),
            None if words == "briefly" => Mood::Brief,
            None if words == "never" => Mood::Silent,
            None => Mood::Normal,
        };
    }

    pub(crate) fn requests(&self) -> String {
        self.shared
            .requests
            .lock()
            .unwrap()
            .drain(..)
            .map(|request| format!("O| {request}\n"))
            .collect()
    }

    fn run(&self, command: &str) -> String {
        let output = self.command(command).output().unwrap();
        let shown = |mark: &str, bytes: &[u8]| self.shown(mark, bytes);
        let code = output.status.code().expect("fleetctl was killed");
        format!(
            "{}{}exit {code}\n",
            shown("O|", &output.stdout),
            shown("E|", &output.stderr)
        )
    }

    /// A line for the shell, to be run in this folder against this server.
    pub(crate) fn command(&self, line: &str) -> Command {
        let here = self.folder.path();
        let programs = Path::new(env!("CARGO_BIN_EXE_fleetctl")).parent().unwrap();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command
            .args(["-c", line])
            .current_dir(here)
            .env("PATH", path)
            .env(
                "FLEETCTL_ENDPOINT",
                format!("unix://{}/fleet.sock", here.display()),
            );
        command
    }

    /// The server goes away for good.
    pub(crate) fn close(self) {
        self.runtime.shutdown_background();
    }

    fn shown(&self, mark: &str, bytes: &[u8]) -> String {
        let here = self.folder.path().display().to_string();
        let text = String::from_utf8_lossy(bytes).replace(&here, "HERE");
        let line = |line: &str| {
            if line.is_empty() {
                format!("{mark}\n")
            } else {
                format!("{mark} {line}\n")
            }
        };
        text.lines().map(line).collect()
    }
}

/// A machine joins a cluster.
fn join(server: &Shared, words: &str) {
    let mut words = words.split(' ').map(str::to_owned);
    let mut machine = Machine {
        id: words.next().unwrap(),
        ..Machine::default()
    };
    machine.primary_ip = words.next().unwrap_or_default();
    machine.metadata = words
        .filter_map(|pair| pair.split_once('=').map(|(k, v)| (k.into(), v.into())))
        .collect();
    server
        .cluster
        .lock()
        .unwrap()
        .machines
        .insert(machine.id.clone(), machine);
}
