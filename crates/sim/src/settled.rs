//! What a cluster comes to when nothing is wrong any more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet::schedule::{Change, Terms, plan};
use fleet::{Cluster, DesiredState, MachineId, Unit};
use tokio::time::{Instant, sleep};
use unitfile::UnitName;

use crate::host::Host;
use crate::units;
use crate::world::World;

/// How long a healed cluster may take to be as it should be: the longest pause before an order that failed is tried
/// again, and that before a machine joins, after a lease has ended.
const BOUND: Duration = Duration::from_secs(180);

impl World {
    /// With nothing wrong any more, all is as it should be after a while, and stays so.
    pub(crate) async fn settle(&mut self) {
        let healed = Instant::now();
        let (mut revision, mut calm) = (0, healed);
        while self.trace.violated().is_none() {
            let now = self.catch_up().await;
            if now != revision {
                (revision, calm) = (now, Instant::now());
            }
            // a lease may still run out that was not renewed in time
            let quiet = calm.elapsed() > self.ttl * 2;
            let late = healed.elapsed() > BOUND;
            // it takes a whole plan to know: only when it matters
            if quiet || late {
                match open(self.cluster(), &self.hosts) {
                    None if quiet => return self.settled(calm - healed).await,
                    open if late => self.unsettled(open),
                    _ => {}
                }
            }
            sleep(Duration::from_secs(1)).await;
            self.check().await;
        }
    }

    async fn settled(&mut self, after: Duration) {
        self.figures.slowest = self.figures.slowest.max(after);
        self.trace.tell(format_args!("settled after {after:?}"));
        self.check().await
    }

    fn unsettled(&self, open: Option<String>) {
        let open = open.unwrap_or_else(|| "records are still written".to_owned());
        self.trace
            .violation(format_args!("{BOUND:?} after all was healed: {open}"));
    }
}

/// The first thing that is not as it should be.
fn open(cluster: &Cluster, hosts: &BTreeMap<MachineId, Host>) -> Option<String> {
    missing_member(cluster, hosts)
        .or_else(|| unplanned(cluster))
        .or_else(|| stray(cluster, hosts))
        .or_else(|| {
            cluster
                .units
                .values()
                .find_map(|unit| misplaced(cluster, hosts, unit))
        })
}

fn missing_member(cluster: &Cluster, hosts: &BTreeMap<MachineId, Host>) -> Option<String> {
    let missing = hosts.keys().find(|id| !cluster.machines.contains_key(*id));
    missing.map(|id| format!("{id} is no member"))
}

/// Another plan would change something, or leaves something undone.
fn unplanned(cluster: &Cluster) -> Option<String> {
    let terms = Terms {
        now: cluster
            .away
            .values()
            .map(|away| away.since)
            .max()
            .unwrap_or_default(),
        ..Terms::default()
    };
    let plan = plan(cluster, &terms);
    let noted = |change: &&Change| !matches!(change, Change::Miss { .. } | Change::Unmiss { .. });
    if let Some(change) = plan.changes.iter().find(noted) {
        return Some(format!("the leader has yet to decide {change:?}"));
    }
    let stuck = plan
        .waiting
        .iter()
        .find(|unit| units::always_fits(unit.as_str()));
    stuck.map(|unit| format!("{unit} waits, and would fit anywhere"))
}

/// Something runs that nobody wants there.
fn stray(cluster: &Cluster, hosts: &BTreeMap<MachineId, Host>) -> Option<String> {
    let wanted = |machine: &MachineId, unit: &UnitName| {
        let row = cluster
            .schedule
            .get(machine)
            .and_then(|rows| rows.get(unit));
        row.is_some_and(|row| row.desired == DesiredState::Launched)
    };
    hosts.iter().find_map(|(machine, host)| {
        let stray = host
            .processes()
            .into_keys()
            .find(|unit| !wanted(machine, unit));
        stray.map(|unit| format!("{unit} runs on {machine} and should not"))
    })
}

/// A unit that is not as its owner wants it.
fn misplaced(cluster: &Cluster, hosts: &BTreeMap<MachineId, Host>, unit: &Unit) -> Option<String> {
    let name = &unit.name;
    let places: BTreeSet<&MachineId> = cluster
        .schedule
        .iter()
        .filter(|(_, rows)| rows.contains_key(name))
        .map(|(machine, _)| machine)
        .collect();
    if unit.desired == DesiredState::Inactive {
        let first = places.first();
        return first.map(|machine| format!("{name} is inactive and assigned to {machine}"));
    }
    if units::is_global(name.as_str()) && places.len() < hosts.len() {
        return Some(format!("{name} is global and only on {places:?}"));
    }
    places
        .into_iter()
        .find_map(|machine| unlike(cluster, hosts.get(machine)?, unit))
}

/// What a machine has of a unit, if that is not what it should have.
fn unlike(cluster: &Cluster, host: &Host, unit: &Unit) -> Option<String> {
    let (name, machine) = (&unit.name, &host.id);
    let said = cluster
        .states
        .get(name)
        .and_then(|states| states.get(machine));
    let Some(said) = said else {
        return Some(format!("{machine} says nothing of {name}"));
    };
    if said.hash != unit.hash || said.current != unit.desired || said.starting {
        return Some(format!(
            "{machine} says {said:?} of {name}, which should be {unit:?}"
        ));
    }
    let file = cluster
        .files
        .get(&unit.hash)
        .map(|record| record.file.to_string());
    let runs = host.systemd().running_text(name);
    let right = match unit.desired {
        DesiredState::Launched => runs.is_some() && runs == file && said.active == "active",
        _ => runs.is_none(),
    };
    (!right).then(|| format!("{name} on {machine} runs {runs:?}, {said:?}; it should be {unit:?}"))
}
