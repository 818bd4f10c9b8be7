//! `fleetctl version`: needs no server.

use std::process::ExitCode;

use crate::output;

pub(crate) fn run() -> ExitCode {
    output::say(concat!("fleetctl version ", env!("CARGO_PKG_VERSION")));
    ExitCode::SUCCESS
}
