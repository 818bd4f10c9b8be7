//! Fenced units in the loop: what systemd has stopped, what is not ours, what is given back.

use std::sync::Arc;

use fleet::DesiredState;
use tokio::sync::mpsc;
use unitfile::UnitName;

use super::Rounds;
use crate::failure::chain;
use crate::fence::Found;
use crate::orders::News;
use crate::systemd::Systemd;

impl<S: Systemd> Rounds<S> {
    /// Where the loop hears of what others have done.
    pub(crate) fn reports(&self) -> mpsc::UnboundedSender<News> {
        self.report.clone()
    }

    /// Has it found out which fenced units are this machine's: it has just begun, or become a member anew.
    pub(super) fn recover_fence(&mut self) {
        let used = self.units.iter();
        let used = used.filter(|(_, local)| local.launched || local.is_up());
        let fenced = used.filter(|(name, _)| self.agent.files.fenced(name).is_some());
        let found = fenced.map(|(name, local)| Found {
            name: name.clone(),
            up: local.is_up(),
            assignment: self.schedule.assigned.get(name).cloned(),
        });
        let recover = Arc::clone(&self.agent).recover_fence(found.collect(), self.reports());
        self.orders.spawn(recover);
    }

    /// What is not ours is stopped.
    pub(super) fn stop_strays(&mut self, strays: Vec<UnitName>) {
        let strays = strays.into_iter();
        let strays: Vec<UnitName> = strays.filter(|name| self.is_idle(name)).collect();
        if !strays.is_empty() {
            tracing::warn!(units = ?strays, "fenced units that belong elsewhere are stopped");
            self.stop(strays);
        }
    }

    fn is_idle(&self, name: &UnitName) -> bool {
        self.units.get(name).is_some_and(|local| !local.busy)
    }

    /// What systemd has stopped is to be started again where it is ours still.
    pub(super) fn take_fallen(&mut self) {
        if !self.agent.fence.take_fell() {
            return;
        }
        self.falls += 1;
        let files = &self.agent.files;
        let mut fallen = Vec::new();
        let launched = self.units.iter_mut().filter(|(_, local)| local.launched);
        for (name, local) in launched {
            if files.fenced(name).is_none() {
                continue;
            }
            tracing::warn!(unit = %name, "stopped: the machine's lease was not renewed in time");
            local.fell();
            if let Err(error) = files.unmark(name) {
                tracing::warn!(unit = %name, error = %chain(&error), "a mark is not removed");
            }
            fallen.push(name.clone());
        }
        fallen.iter().for_each(|name| self.publish(name));
    }

    /// A unit has been started; if it is fenced, it may have been stopped since with all others.
    pub(super) fn note_fall(&mut self, name: &UnitName) {
        let falls = self.falls;
        let local = self.units.get_mut(name);
        let Some(local) = local.filter(|local| !local.was_started_at(falls)) else {
            return;
        };
        if self.agent.files.fenced(name).is_some() {
            local.fell();
        }
    }

    /// Gives back the claims on units that are down and are not to be started here.
    pub(super) fn leave_fences(&mut self) {
        for name in self.agent.fence.held() {
            let assigned = self.schedule.assigned.get(&name);
            let wanted = assigned.is_some_and(|row| row.desired == DesiredState::Launched);
            let local = self.units.get(&name);
            let in_use = local.is_some_and(|local| local.busy || local.is_up());
            if !wanted && !in_use {
                let agent = Arc::clone(&self.agent);
                self.orders
                    .spawn(async move { agent.leave_fence(&name).await });
            }
        }
    }
}
