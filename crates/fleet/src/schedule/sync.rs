//! Brings the draft in line with the picture, one thing that has changed at a time.

use std::sync::Arc;

use unitfile::UnitName;

use super::draft::Draft;
use super::hosts::Live;
use super::places::Places;
use crate::{Cluster, DesiredState, MachineId, Requirements, Unit};

impl Draft {
    /// What a machine says of itself, and what operators say of it.
    pub(super) fn sync_machine(&mut self, cluster: &Cluster, id: &MachineId) {
        let host = self.hosts.entry(id);
        let live = cluster.machines.get(id).map(|machine| Live {
            leaving: machine.leaving,
            cordon: cluster.cordons.get(id).cloned(),
            metadata: cluster.metadata_of(machine),
            capacity: machine.capacity,
        });
        if self.hosts.get(host).live == live {
            return self.hosts.forget_if_empty(host);
        }
        self.leave_pools(host);
        self.hosts.get_mut(host).live = live;
        self.dirty.insert(host);
        self.reopened.insert(host);
    }

    /// A unit's row in a machine's schedule.
    pub(super) fn sync_row(&mut self, cluster: &Cluster, id: &MachineId, name: &UnitName) -> usize {
        let (unit, host) = (self.units.entry(name), self.hosts.entry(id));
        let row = cluster.schedule.get(id).and_then(|rows| rows.get(name));
        self.units.get_mut(unit).set_row(host, row.cloned());
        self.know(unit, host);
        unit
    }

    /// What is wanted of a unit, and its target.
    pub(super) fn sync_unit(&mut self, cluster: &Cluster, unit: usize, record: Option<&Unit>) {
        let known = self.units.get(unit);
        let before = known.target;
        let target = cluster
            .targets
            .get(&known.name)
            .map(|id| self.hosts.entry(id));
        let known = self.units.get_mut(unit);
        known.target = target;
        known.unit = record.map(|unit| (unit.hash, unit.desired));
        for host in before.into_iter().chain(target) {
            self.know(unit, host);
        }
        let wish = record.and_then(|record| wish(record, target.is_some()));
        if !self.is_wish(unit, wish.as_ref()) {
            self.renew(unit, wish);
        }
        self.changed.insert(unit);
    }

    /// Marks the machines that have the unit and should not, or the other way round.
    pub(super) fn compare(&mut self, unit: usize) {
        let (places, known) = (self.places(unit), self.units.get(unit));
        let should = |host: usize| known.wanted.is_some() && places.contains(host);
        let hosts = places.iter().chain(known.seats.iter());
        let differs = hosts.filter(|&host| should(host) != known.seats.contains(host));
        self.dirty.extend(differs);
    }

    /// Where the records have a unit: a global one on every machine with a row, another one on its target, or without a target on
    /// a machine with a row.
    pub(super) fn places(&self, unit: usize) -> Places {
        let known = self.units.get(unit);
        match known.target.filter(|_| !known.is_global()) {
            Some(host) => [host].into_iter().collect(),
            None => known.rows.iter().map(|(host, _)| *host).collect(),
        }
    }

    fn know(&mut self, unit: usize, host: usize) {
        let known = self.units.get(unit);
        let here = known.target == Some(host) || known.row(host).is_some();
        let host = self.hosts.get_mut(host);
        match here {
            true => host.known.insert(unit),
            false => host.known.remove(&unit),
        };
    }

    fn is_wish(&self, unit: usize, wish: Option<&Wish>) -> bool {
        match (&self.units.get(unit).wanted, wish) {
            (Some(wanted), Some(wish)) => {
                wanted.global == wish.global && wanted.requirements == wish.requirements
            }
            (None, None) => true,
            _ => false,
        }
    }

    /// The unit wants something else: its machines are gone over, and those of others whom that concerns.
    fn renew(&mut self, unit: usize, wish: Option<Wish>) {
        self.concerned(unit);
        let seats = self.units.get(unit).seats.clone();
        for host in seats.iter() {
            self.stand_up(unit, host);
            self.dirty.insert(host);
            self.reopened.insert(host);
        }
        self.unwant(unit);
        if let Some(wish) = wish {
            self.want(unit, wish);
            self.dirty.extend(self.places(unit).iter());
            self.concerned(unit);
        }
    }

    /// Who replaces whom depends on who else there is. Those for whom it may depend on `unit` are looked at again.
    fn concerned(&mut self, unit: usize) {
        for other in self.replacement_kin(unit) {
            let known = self.units.get(other);
            self.dirty.extend(known.seats.iter());
            self.queue.push(self.units.turn(other));
            if known.is_global() {
                self.fresh.insert(other);
            }
        }
    }
}

/// What somebody wants of a unit that should be on a machine.
pub(super) struct Wish {
    pub(super) requirements: Option<Arc<Requirements>>,
    pub(super) global: bool,
}

/// None if the unit should be on no machine.
fn wish(unit: &Unit, has_target: bool) -> Option<Wish> {
    // a template has no process of its own
    if unit.desired == DesiredState::Inactive || unit.name.is_template() {
        return None;
    }
    Some(Wish {
        requirements: unit.requirements.clone(),
        global: unit.is_global(has_target),
    })
}
