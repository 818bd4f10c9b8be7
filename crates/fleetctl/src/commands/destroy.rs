//! `fleetctl destroy UNIT…`: forgets units. Does not wait for them to be stopped, as scripts expect.

use std::process::ExitCode;

use futures_util::{StreamExt, stream};

use super::some_units;
use crate::args::Withdraw;
use crate::client::{AT_ONCE, Client, ClientError};
use crate::output;

pub(crate) async fn run(client: &Client, options: &Withdraw) -> anyhow::Result<ExitCode> {
    let Some(arguments) = some_units(&options.units) else {
        return Ok(ExitCode::SUCCESS);
    };
    let deletions = arguments
        .iter()
        .filter(|argument| argument.is_unit_name())
        .map(|argument| delete(client, &argument.name));
    let mut deletions = stream::iter(deletions).buffered(AT_ONCE);
    let (mut found, mut code) = (false, ExitCode::SUCCESS);
    while let Some((name, result)) = deletions.next().await {
        match result {
            Ok(true) => output::say(&format!("Destroyed {name}")),
            Ok(false) => continue,
            Err(error) if error.cure().is_some() => return Err(error.into()),
            Err(error) => {
                output::warn(&format!(
                    "Error destroying units: {:#}",
                    anyhow::Error::new(error)
                ));
                code = ExitCode::FAILURE;
            }
        }
        found = true;
    }
    if !found {
        output::warn("Units not found in registry");
    }
    Ok(code)
}

async fn delete<'a>(client: &Client, name: &'a str) -> (&'a str, Result<bool, ClientError>) {
    (name, client.delete(name).await)
}
