//! `fleetctl stop UNIT…`: stops units; they stay on their machines.

use std::process::ExitCode;

use super::withdraw;
use crate::args::Withdraw;
use crate::client::Client;
use crate::verdict::Goal;

pub(crate) async fn run(client: &Client, options: &Withdraw) -> anyhow::Result<ExitCode> {
    withdraw::run(client, Goal::Stopped, options).await
}
