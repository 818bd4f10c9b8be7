//! Why an order for a unit did not work, in words for whoever owns the unit.

use std::error::Error;

use crate::files::FileError;
use crate::systemd::SystemdError;

/// An order that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What and why, in one line.
    pub(crate) problem: String,
    /// Whether trying again later may help.
    pub(crate) transient: bool,
}

impl Failure {
    /// One that may pass.
    pub(crate) fn passing(problem: impl Into<String>) -> Failure {
        let (problem, transient) = (problem.into(), true);
        Failure { problem, transient }
    }

    /// systemd did not do `what`.
    pub(crate) fn of_systemd(what: &str, error: &SystemdError) -> Failure {
        let problem = format!("{what} failed: {}", chain(error));
        let transient = error.is_transient();
        Failure { problem, transient }
    }
}

/// A full disk is emptied and a foreign file moved away by somebody in the end: these pass.
impl From<FileError> for Failure {
    fn from(error: FileError) -> Failure {
        Failure::passing(chain(&error))
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
