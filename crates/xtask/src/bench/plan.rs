//! How long the planner takes: the benchmark of the crate `fleet`, which knows the limits.

use anyhow::{Result, bail};
use clap::Args;

use crate::build;

/// What to plan.
#[derive(Args)]
pub(crate) struct Options {
    /// UNITSxMACHINES; without any, the sizes with limits
    #[arg(value_name = "SIZE", value_parser = size)]
    sizes: Vec<String>,
}

fn size(text: &str) -> Result<String> {
    let number = |text: &str| text.parse().is_ok_and(|number: usize| number > 0);
    match text.split_once('x') {
        Some((units, machines)) if number(units) && number(machines) => Ok(text.to_owned()),
        _ => bail!("expected UNITSxMACHINES, such as 100000x5000"),
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let sizes = options.sizes.join(" ");
    build::cargo(&format!(
        "bench --quiet --package fleet --bench plan -- {sizes}"
    ))
}
