//! Units that go on here until they are up elsewhere: `MoveOrder=start-first`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet::MachineId;
use fleet::handover::{Outlook, outlook};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep};
use unitfile::UnitName;

use crate::Agent;
use crate::failure::{Failure, chain};
use crate::orders;
use crate::systemd::{Status, Systemd};

/// How often it is asked how they fare.
pub(crate) const ASK: Duration = Duration::from_millis(200);
/// How long a machine that leaves waits for somebody to decide where its units are to be.
const DECISION: Duration = Duration::from_secs(5);

impl<S: Systemd> Agent<S> {
    /// How units fare that run on the machine `here`; nothing is known of those that are left out.
    pub(crate) async fn outlooks(
        &self,
        here: &MachineId,
        units: Vec<UnitName>,
    ) -> BTreeMap<UnitName, Outlook> {
        let cluster = match self.registry.standing_of(&units).await {
            Ok(cluster) => cluster,
            Err(error) => {
                let error = chain(&error);
                tracing::debug!(error, "asking how units fare elsewhere");
                return BTreeMap::new();
            }
        };
        let outlook = |unit: UnitName| {
            let outlook = outlook(&cluster, unit.as_str(), here);
            (unit, outlook)
        };
        units.into_iter().map(outlook).collect()
    }

    /// Stops units as they come up elsewhere, all of them after `bound`, and reports each that is down.
    pub(crate) async fn stop_when_up_elsewhere(
        &self,
        here: &MachineId,
        mut kept: BTreeSet<UnitName>,
        bound: Duration,
        report: UnboundedSender<(UnitName, Result<Status, Failure>)>,
    ) {
        let begun = Instant::now();
        let mut stops = FuturesUnordered::new();
        while !kept.is_empty() || !stops.is_empty() {
            let asked = async {
                sleep(ASK).await;
                self.outlooks(here, kept.iter().cloned().collect()).await
            };
            let outlooks = tokio::select! {
                outlooks = asked, if !kept.is_empty() => outlooks,
                Some(()) = stops.next() => continue,
            };
            let passed = begun.elapsed();
            let is_due = |unit: &UnitName| match outlooks.get(unit) {
                Some(Outlook::Over) => true,
                Some(Outlook::Undecided) => passed > DECISION,
                Some(Outlook::Coming) | None => passed > bound,
            };
            let (due, rest) = kept.into_iter().partition::<BTreeSet<_>, _>(is_due);
            kept = rest;
            if due.is_empty() {
                continue;
            }
            let report = report.clone();
            let tell = move |name, result| drop(report.send((name, result)));
            stops.push(orders::stop(self, due.into_iter().collect(), tell));
        }
    }
}
