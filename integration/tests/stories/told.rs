//! What the stories share: a cluster to tell them on, and both kinds of records to tell them with.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use integration::{Backing, Cluster, Fleet, Lab};

/// A service that runs until it is stopped.
pub(crate) const SLEEP: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

/// How long a silent machine counts as alive in these stories.
pub(crate) const TTL: Duration = Duration::from_secs(5);

/// A cluster of `machines` for the story of that name.
pub(crate) fn cluster(story: &str, machines: usize, backing: Backing) -> Result<Cluster> {
    Cluster::boot(Lab::unique(story)?, machines, backing, &fleet()?)
}

/// fleet as these stories have it.
pub(crate) fn fleet() -> Result<Fleet> {
    Ok(Fleet::built()?.conf("agent_ttl=5s").conf("verbosity=1"))
}

/// Tells each story twice, on the embedded store and on a real etcd, and shows every fleetd's log when it goes wrong.
macro_rules! stories {
    ($($(#[$doc:meta])* $story:ident($machines:literal) $body:item)*) => {$(
        mod $story {
            use super::*;
            $body
            #[test]
            fn on_the_embedded_store() -> anyhow::Result<()> {
                crate::told::tell(concat!(stringify!($story), "-s"), $machines, integration::Backing::EmbeddedStore, story)
            }
            #[test]
            fn on_etcd() -> anyhow::Result<()> {
                crate::told::tell(concat!(stringify!($story), "-e"), $machines, integration::Backing::Etcd, story)
            }
        }
    )*};
}
pub(crate) use stories;

/// Boots a cluster, tells the story, and adds the logs to its error.
pub(crate) fn tell(
    name: &str,
    machines: usize,
    backing: Backing,
    story: fn(&mut Cluster) -> Result<()>,
) -> Result<()> {
    let mut cluster = cluster(&lab_name(name), machines, backing)?;
    story(&mut cluster).with_context(|| format!("on {backing}\n{}", cluster.logs()))
}

/// Names of labs are short: the beginning of the story's, a number of the whole of it, since stories with one beginning may be told
/// side by side, and the letter of its backing.
fn lab_name(story: &str) -> String {
    let name = story.replace('_', "-");
    let (whole, backing) = name.split_at(name.len() - 2);
    let stem = whole.get(..13).unwrap_or(whole).trim_end_matches('-');
    let number = whole.bytes().fold(0_u16, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into())
    });
    format!("{stem}-{number:04x}{backing}")
}

/// Every unit with the machine it is on and its main process: what must not change when nothing should be touched.
pub(crate) fn witnesses(cluster: &Cluster) -> Result<BTreeMap<String, (String, String)>> {
    let rows = cluster.units()?;
    rows.into_iter()
        .map(|row| {
            let pid = cluster.machine(&row.machine)?.main_pid(&row.unit)?;
            Ok((row.unit, (row.machine, pid)))
        })
        .collect()
}

/// Seconds since this host booted: by the clock that all machines of the lab share.
pub(crate) fn now() -> Result<f64> {
    uptime(&std::fs::read_to_string("/proc/uptime").context("reading /proc/uptime")?)
}

/// When a unit's command copied `/proc/uptime` to that path on a machine, by the same clock.
pub(crate) fn written(cluster: &Cluster, machine: &str, path: &str) -> Result<f64> {
    uptime(&cluster.machine(machine)?.read(["cat", path])?)
}

fn uptime(text: &str) -> Result<f64> {
    let seconds = text.split(' ').next().unwrap_or_default();
    seconds
        .parse()
        .with_context(|| format!("/proc/uptime: {text:?}"))
}

/// Waits until a unit is active on another machine than `old`, and nowhere else; gives that machine.
pub(crate) fn wait_elsewhere(cluster: &Cluster, unit: &str, old: &str) -> Result<String> {
    cluster.wait_where(unit, "runs elsewhere alone", |rows| match rows {
        [row] if row.machine != old && row.active == "active" => Some(row.machine.clone()),
        _ => None,
    })
}

/// When a unit last became active, in seconds by the same clock.
pub(crate) fn active_since(cluster: &Cluster, machine: &str, unit: &str) -> Result<f64> {
    let text = cluster
        .machine(machine)?
        .property(unit, "ActiveEnterTimestampMonotonic")?;
    let micros: f64 = text.parse().with_context(|| format!("{unit}: {text:?}"))?;
    Ok(micros / 1e6)
}
