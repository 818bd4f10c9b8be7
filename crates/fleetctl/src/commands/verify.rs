//! `fleetctl verify`: signed units are gone since fleet 0.11; only the message is left.

use std::process::ExitCode;

use crate::output;

pub(crate) fn run() -> ExitCode {
    output::warn("Command \"verify\" is deprecated, DEPRECATED - No longer works");
    output::warn("WARNING: The signed/verified units feature is DEPRECATED and cannot be used.");
    ExitCode::from(2)
}
