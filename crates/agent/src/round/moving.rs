//! Units that are to be elsewhere, in the loop: some go on until they are up there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleet::converge::LocalUnit;
use fleet::handover::Outlook;
use tokio::time::Instant;
use unitfile::UnitName;

use super::{IDLE, Rounds};
use crate::handover::ASK;
use crate::local::Local;
use crate::orders::News;
use crate::systemd::Systemd;

/// Units that run here and are to be elsewhere, of those that ask to be up there first.
#[derive(Debug, Default)]
pub(super) struct Moving {
    /// They go on.
    kept: BTreeSet<UnitName>,
    /// They need not go on.
    over: BTreeSet<UnitName>,
    /// When to ask how they fare; none while that is being asked.
    ask: Option<Instant>,
}

impl Moving {
    /// When to ask how they fare.
    pub(super) fn next(&self) -> Instant {
        let due = self.ask.filter(|_| !self.kept.is_empty());
        due.unwrap_or_else(|| Instant::now() + IDLE)
    }

    /// The same with the mark of those that go on.
    pub(super) fn mark(&self, name: &UnitName, seen: LocalUnit) -> LocalUnit {
        let kept = self.kept.contains(name);
        LocalUnit { kept, ..seen }
    }

    /// Of all there are, `moved` shall be elsewhere, and asks to be up there first.
    fn follow(&mut self, moved: &BTreeSet<UnitName>) {
        let now = Instant::now();
        self.over.retain(|name| moved.contains(name));
        self.kept.retain(|name| moved.contains(name));
        for name in moved.difference(&self.over) {
            if self.kept.insert(name.clone()) {
                tracing::info!(unit = %name, "goes on until it is up elsewhere");
                self.ask.get_or_insert(now);
            }
        }
    }

    /// That is how they fare. One of which nothing is known goes on: etcd does not answer.
    pub(super) fn take(&mut self, outlooks: &BTreeMap<UnitName, Outlook>) {
        self.ask = Some(Instant::now() + ASK);
        self.kept.retain(|name| {
            let kept = outlooks.get(name) != Some(&Outlook::Over);
            if !kept {
                tracing::info!(unit = %name, "goes on here no longer");
                self.over.insert(name.clone());
            }
            kept
        });
    }
}

impl<S: Systemd> Rounds<S> {
    /// Takes note of units that are not assigned here any more.
    pub(super) fn take_moving(&mut self) {
        let assigned = &self.schedule.assigned;
        let files = &self.agent.files;
        let known = |name: &UnitName| {
            let moving = &self.moving;
            moving.kept.contains(name) || moving.over.contains(name)
        };
        let here = |local: &Local| local.launched && local.is_up();
        let moved = self.units.iter().filter(|(name, local)| {
            let gone = !assigned.contains_key(*name) && here(local);
            gone && (known(name) || files.starts_first(name))
        });
        let moved = match self.is_admitted() {
            true => moved.map(|(name, _)| name.clone()).collect(),
            // nothing has been decided
            false => BTreeSet::new(),
        };
        self.moving.follow(&moved);
    }

    /// Asks how the units fare elsewhere.
    pub(super) fn ask_elsewhere(&mut self) {
        self.moving.ask = None;
        let names = self.moving.kept.iter().cloned().collect();
        let here = self.memberships.borrow().machine.id.clone();
        let (agent, report) = (Arc::clone(&self.agent), self.report.clone());
        self.orders.spawn(async move {
            let outlooks = agent.outlooks(&here, names).await;
            drop(report.send(News::Outlooks(outlooks)));
        });
    }
}
