//! Somebody wants to see the report now.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Context, Result};
use signal_hook::consts::TERM_SIGNALS;
use signal_hook::flag;

/// Whether this process has been interrupted (Ctrl-C, SIGTERM).
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on the first signal is noted, and the second ends the process.
    ///
    /// # Errors
    /// The signals cannot be listened to.
    pub(super) fn watch() -> Result<Interrupt> {
        let came = Arc::new(AtomicBool::new(false));
        for &signal in TERM_SIGNALS {
            // as a shell tells of a process that a signal has ended
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&came))
                .and_then(|_| flag::register(signal, Arc::clone(&came)))
                .context("listening to signals")?;
        }
        Ok(Interrupt(came))
    }

    /// Whether it has come.
    pub(super) fn came(&self) -> bool {
        self.0.load(Relaxed)
    }
}
