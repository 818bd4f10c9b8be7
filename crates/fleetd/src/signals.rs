//! What the operating system asks of fleetd while it runs.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// SIGTERM, SIGINT: come to an end.
    End,
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGUSR1: say what you know.
    Dump,
}

/// The signals that fleetd obeys; none of them is lost once this exists.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user1: Signal,
}

impl Signals {
    /// Takes the signals over from the operating system's defaults.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn new() -> io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::End,
            _ = self.interrupt.recv() => Request::End,
            _ = self.hangup.recv() => Request::Reload,
            _ = self.user1.recv() => Request::Dump,
        }
    }
}
