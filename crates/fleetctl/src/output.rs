//! What the commands say: answers on stdout, everything else on stderr.
//!
//! A reader that went away (`fleetctl list-units | head`) is no error.

use std::io::Write;

/// Prints `text` on stdout, with a newline if it lacks one.
pub(crate) fn say(text: &str) {
    let _ = std::io::stdout().write_all(terminated(text).as_bytes());
}

/// Prints `text` on stderr, with a newline if it lacks one.
pub(crate) fn warn(text: &str) {
    let _ = std::io::stderr().write_all(terminated(text).as_bytes());
}

/// Prints `text` on stderr as it is: a question, or what another program said.
pub(crate) fn show(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn terminated(text: &str) -> String {
    let end = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{text}{end}")
}
