//! What ssh says on stderr while it connects: passed on at once where it asks something, and sorted when it fails.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::JoinHandle;

use super::SshError;
use crate::output;

/// What ssh has said. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Complaint(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    /// What was said and not yet shown.
    text: String,
    /// Nothing is held back any more.
    open: bool,
}

impl Complaint {
    /// Listens to `stderr` until it ends.
    pub(super) fn listen(
        &self,
        mut stderr: impl AsyncRead + Unpin + Send + 'static,
    ) -> JoinHandle<()> {
        let complaint = self.clone();
        tokio::spawn(async move {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = stderr.read(&mut chunk).await {
                complaint.take(&String::from_utf8_lossy(&chunk[..length]));
            }
        })
    }

    fn take(&self, text: &str) {
        let Ok(mut held) = self.0.lock() else { return };
        held.text += &text.replace('\r', "");
        // a line without an end is a question
        if held.open || !held.text.ends_with('\n') {
            output::show(&std::mem::take(&mut held.text));
        }
    }

    /// Shows what was held back; from now on all is shown as it comes.
    pub(super) fn show(&self) {
        let Ok(mut held) = self.0.lock() else { return };
        held.open = true;
        output::show(&std::mem::take(&mut held.text));
    }

    /// The reason why ssh has failed. What else it said is shown.
    pub(super) fn reason(&self) -> String {
        let text = self.0.lock().map(|mut held| std::mem::take(&mut held.text));
        let (shown, reason) = sorted(&text.unwrap_or_default());
        output::show(&shown);
        reason
    }
}

/// What an ssh says that speaks through another one, when that could not get further.
const ECHOES: [&str; 3] = [
    "Connection closed by ",
    "kex_exchange_identification: ",
    "banner exchange: ",
];

/// What is to be shown, and the reason.
fn sorted(text: &str) -> (String, String) {
    let echo = |line: &&str| ECHOES.iter().any(|echo| line.starts_with(echo));
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let mut told: Vec<&str> = lines.iter().copied().filter(|line| !echo(line)).collect();
    let last = told.pop().or(lines.last().copied());
    let Some(last) = last else {
        return (String::new(), "ssh ended without a word".to_owned());
    };
    let changed = text.contains("IDENTIFICATION HAS CHANGED");
    let reason = match last {
        // it is the end of what ssh shows, too
        HOST_KEY if changed => "ssh: handshake failed: host key mismatch".to_owned(),
        HOST_KEY => "ssh: handshake failed: unauthorized host".to_owned(),
        _ => in_its_words(last),
    };
    told.extend((last == HOST_KEY).then_some(last));
    // the end of a question's line, which is shown already
    let end = if text.starts_with('\n') { "\n" } else { "" };
    let shown: String = told.iter().map(|line| format!("{line}\n")).collect();
    (format!("{end}{shown}"), reason)
}

const HOST_KEY: &str = "Host key verification failed.";

/// The original's words where it has some.
fn in_its_words(line: &str) -> String {
    if line.starts_with("Stdio forwarding request failed") {
        return "ssh: rejected: connect failed (the host of --tunnel does not get there)"
            .to_owned();
    }
    if line.ends_with(" timed out") || line.contains(" timed out during ") {
        return SshError::TimedOut.to_string();
    }
    let agent = std::env::var_os("SSH_AUTH_SOCK").is_some_and(|socket| !socket.is_empty());
    match line.contains("Permission denied") {
        // there are only key files then, and nobody may have known that
        true if !agent => format!(
            "{line} SSH_AUTH_SOCK environment variable is not set. Verify ssh-agent is running."
        ),
        true => format!("{line} \"ssh-add -l\" lists the keys that your agent has."),
        false => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::sorted;

    #[test]
    fn the_last_line_is_the_reason() {
        let (shown, reason) =
            sorted("Welcome.\nssh: connect to host h port 22: No route to host\n");
        assert_eq!(shown, "Welcome.\n");
        assert_eq!(reason, "ssh: connect to host h port 22: No route to host");
    }

    #[test]
    fn behind_a_bastion_the_reason_is_the_bastions() {
        let (shown, reason) = sorted(
            "Stdio forwarding request failed: Session open refused by peer\n\
             kex_exchange_identification: Connection closed by remote host\n\
             Connection closed by UNKNOWN port 65535\n",
        );
        assert_eq!(shown, "");
        assert_eq!(
            reason,
            "ssh: rejected: connect failed (the host of --tunnel does not get there)"
        );
        let (_, reason) = sorted("Connection closed by 10.0.0.1 port 22\n");
        assert_eq!(reason, "Connection closed by 10.0.0.1 port 22");
    }

    #[test]
    fn what_follows_a_question_begins_a_line() {
        let (shown, _) = sorted("\nHost key verification failed.\n");
        assert_eq!(shown, "\nHost key verification failed.\n");
    }

    #[test]
    fn a_changed_key_is_shown_whole() {
        let said =
            "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\n";
        let (shown, reason) = sorted(said);
        assert_eq!(shown, said);
        assert_eq!(reason, "ssh: handshake failed: host key mismatch");
    }
}
