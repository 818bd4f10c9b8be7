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
    /// Whether nothing is wrong: it is somebody else's turn.
    pub(crate) waits: bool,
    /// Whether this machine takes no files: other units would fare no better on it.
    pub(crate) unwritable: bool,
}

impl Failure {
    /// One that may pass.
    pub(crate) fn passing(problem: impl Into<String>) -> Failure {
        Failure {
            problem: problem.into(),
            transient: true,
            waits: false,
            unwritable: false,
        }
    }

    /// One that waits for others.
    pub(crate) fn waiting(problem: impl Into<String>) -> Failure {
        Failure {
            waits: true,
            ..Failure::passing(problem)
        }
    }

    /// One that passes only when somebody changes something.
    pub(crate) fn for_good(problem: impl Into<String>) -> Failure {
        Failure {
            transient: false,
            ..Failure::passing(problem)
        }
    }

    /// systemd did not do `what`.
    pub(crate) fn of_systemd(what: &str, error: &SystemdError) -> Failure {
        let problem = format!("{what} failed: {}", chain(error));
        match error.is_transient() {
            true => Failure::passing(problem),
            false => Failure::for_good(problem),
        }
    }
}

/// A full disk is emptied and a foreign file moved away by somebody in the end: these pass.
impl From<FileError> for Failure {
    fn from(error: FileError) -> Failure {
        let (problem, cure) = (chain(&error), error.cure());
        let told = match cure {
            Some(cure) => format!("{problem}; {cure}"),
            None => problem,
        };
        Failure {
            unwritable: cure.is_some(),
            ..Failure::passing(told)
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_takes_nothing_is_told_with_its_cure() {
        let failure = |code| {
            let source = std::io::Error::from_raw_os_error(code);
            let path = "/units/web.service".into();
            let operation = "writing";
            Failure::from(FileError::Io {
                operation,
                path,
                source,
            })
        };
        // ENOSPC, EDQUOT, EROFS
        for (code, cure) in [
            (28, "make room there"),
            (122, "make room there"),
            (30, "make it writable"),
        ] {
            let told = failure(code);
            assert!(told.transient && told.unwritable);
            assert!(told.problem.starts_with("writing /units/web.service: "));
            assert!(told.problem.contains(cure), "{}", told.problem);
        }
        // EISDIR
        assert!(!failure(21).problem.contains(';') && !failure(21).unwritable);
    }
}
