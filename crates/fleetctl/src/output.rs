//! What the commands say: answers on stdout, everything else on stderr.
//!
//! A reader that went away (`fleetctl list-units | head`) is no error. On a terminal there may be a line below it all
//! that tells how far things are: it makes way for what is said, and comes back.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Back to the beginning of the line, and away with what stands there (ECMA-48: CR, EL).
const CLEAR: &str = "\r\x1b[K";

/// The line that stands on the terminal; empty if there is none.
static STATUS: Mutex<String> = Mutex::new(String::new());

/// Prints `text` on stdout, with a newline if it lacks one.
pub(crate) fn say(text: &str) {
    aside(|| drop(std::io::stdout().write_all(terminated(text).as_bytes())));
}

/// Prints `text` on stdout as it is. False if nobody reads it any more: whoever goes on and on should end then.
pub(crate) fn goes_on(text: &str) -> bool {
    let mut read = true;
    aside(|| read = std::io::stdout().write_all(text.as_bytes()).is_ok());
    read
}

/// Prints `text` on stderr, with a newline if it lacks one.
pub(crate) fn warn(text: &str) {
    aside(|| drop(std::io::stderr().write_all(terminated(text).as_bytes())));
}

/// Prints `text` on stderr as it is: a question, or what another program said.
pub(crate) fn show(text: &str) {
    aside(|| drop(std::io::stderr().write_all(text.as_bytes())));
}

/// Shows how far things are, in one line that the next one replaces; nothing ends it. Only a terminal shows it.
pub(crate) fn status(text: &str) {
    let Some(width) = width() else {
        return;
    };
    let text: String = text.chars().take(width.saturating_sub(1)).collect();
    let mut status = lock();
    if *status != text {
        draw(&format!("{CLEAR}{text}"));
        *status = text;
    }
}

/// Says something with the status line out of the way.
fn aside(say: impl FnOnce()) {
    let status = lock();
    if status.is_empty() {
        return say();
    }
    draw(CLEAR);
    say();
    draw(&status);
}

fn draw(text: &str) {
    // a terminal that is gone needs no line
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn lock() -> MutexGuard<'static, String> {
    STATUS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The columns of a terminal that does not say how many it has.
const NARROW: usize = 80;

/// The columns of the terminal that stderr is; none if it is none, or one that cannot move its cursor.
fn width() -> Option<usize> {
    let stderr = std::io::stderr();
    let dumb = std::env::var_os("TERM").is_none_or(|kind| kind.is_empty() || kind == "dumb");
    if dumb || !stderr.is_terminal() {
        return None;
    }
    let size = terminal_size::terminal_size_of(stderr);
    Some(size.map_or(NARROW, |(width, _)| usize::from(width.0)))
}

fn terminated(text: &str) -> String {
    let end = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{text}{end}")
}
