//! `fleetctl load UNIT…`: puts units on machines without starting them.

use std::process::ExitCode;

use super::bring;
use crate::args::Bring;
use crate::client::Client;
use crate::verdict::Goal;

pub(crate) async fn run(client: &Client, options: &Bring) -> anyhow::Result<ExitCode> {
    bring::run(client, Goal::Loaded, options).await
}
