//! ssh's question about an unknown host key, answered on stdin: `echo yes | fleetctl ssh …`.
//!
//! Where there is no terminal ssh asks a program (`SSH_ASKPASS`). fleetctl names itself: that second fleetctl
//! passes the question on over a socket, and the first one, whose stdin it is, reads the answer: one line and not
//! a byte more, since the rest may be for the command on the far side.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::Command;

use super::{SshError, system};
use crate::output;

/// Tells the second fleetctl where the first one listens.
const SOCKET: &str = "FLEETCTL_ASKPASS_SOCKET";

/// Where questions arrive.
pub(super) struct Questions {
    listener: UnixListener,
    socket: PathBuf,
}

impl Questions {
    pub(super) fn listen(socket: &Path) -> Result<Self, SshError> {
        let listener =
            UnixListener::bind(socket).map_err(system("listening for ssh's questions"))?;
        Ok(Questions {
            listener,
            socket: socket.to_owned(),
        })
    }

    /// Has `ssh` ask us.
    pub(super) fn announce(&self, ssh: &mut Command) -> Result<(), SshError> {
        let program = std::env::current_exe().map_err(system("finding fleetctl itself"))?;
        ssh.env("SSH_ASKPASS", program)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .env(SOCKET, &self.socket);
        // an ssh before 8.4 asks a program only where it believes in a screen
        if std::env::var_os("DISPLAY").is_none() {
            ssh.env("DISPLAY", "none");
        }
        Ok(())
    }

    /// Answers whatever is asked.
    pub(super) async fn answer<T>(&self) -> Result<T, SshError> {
        let failed = system("answering ssh's question");
        loop {
            let (asker, _) = self.listener.accept().await.map_err(&failed)?;
            answer_one(asker).await.map_err(&failed)?;
        }
    }
}

async fn answer_one(mut asker: UnixStream) -> std::io::Result<()> {
    let mut question = String::new();
    asker.read_to_string(&mut question).await?;
    // a passphrase is nothing to be read from stdin in the clear
    if !question.contains("(yes/no") {
        return Ok(());
    }
    output::warn(&question);
    let answer = tokio::task::spawn_blocking(read_line)
        .await
        .map_err(std::io::Error::other)??;
    let yes = matches!(answer.trim().to_ascii_lowercase().as_str(), "yes" | "y");
    asker.write_all(if yes { b"yes\n" } else { b"no\n" }).await
}

/// One line of stdin, whether or not a line break ends it.
fn read_line() -> std::io::Result<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while nix::unistd::read(std::io::stdin(), &mut byte)? == 1 && byte != *b"\n" {
        line.extend(byte);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// In the second fleetctl: gets the answer and prints it for ssh. None in any other fleetctl.
pub(crate) fn answer_if_asked() -> Option<ExitCode> {
    let socket = std::env::var_os(SOCKET)?;
    let question = std::env::args().nth(1).unwrap_or_default();
    let answer = pass_on(Path::new(&socket), &question).unwrap_or_default();
    if answer.is_empty() {
        return Some(ExitCode::FAILURE);
    }
    output::say(&answer);
    Some(ExitCode::SUCCESS)
}

fn pass_on(socket: &Path, question: &str) -> std::io::Result<String> {
    let mut stream = std::os::unix::net::UnixStream::connect(socket)?;
    stream.write_all(question.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
