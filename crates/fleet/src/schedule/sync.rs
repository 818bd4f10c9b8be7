//! Brings the draft in line with the picture, one thing that has changed at a time.

use std::sync::Arc;

use smallvec::SmallVec;
use unitfile::UnitName;

use super::draft::Draft;
use super::hosts::Live;
use super::places::Places;
use super::units::Wanted;
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

    fn want(&mut self, unit: usize, wish: Wish) {
        let Wish {
            requirements,
            global,
        } = wish;
        let wanted = match requirements {
            Some(requirements) => self.indexed(unit, requirements, global),
            None => Wanted::without_file(global),
        };
        let name = self.units.get(unit).name.clone();
        let matched_by: SmallVec<_> = self.patterns.matching(&name).collect();
        for &pattern in &matched_by {
            self.count_matching(pattern, 1);
        }
        let known = self.units.get_mut(unit);
        known.wanted = Some(Wanted {
            matched_by,
            ..wanted
        });
        if global {
            self.globals.insert(unit);
            self.fresh.insert(unit);
        }
        self.queue.push(self.units.turn(unit));
        self.set_homeless(unit, true);
    }

    fn indexed(&mut self, unit: usize, requirements: Arc<Requirements>, global: bool) -> Wanted {
        let asks = &requirements;
        let pool = self.take_pool(&asks.demand);
        let conflicts = asks.conflicts.iter();
        let conflicts = conflicts
            .filter_map(|text| self.take_pattern(text))
            .collect();
        let replaces = asks.replaces.iter();
        let replaces: Box<[_]> = replaces
            .filter_map(|text| self.take_pattern(text))
            .collect();
        let peers = asks.peers.iter();
        let peers: Box<[_]> = peers
            .map(|peer| self.take_pattern(&peer.pattern()))
            .collect();
        for &pattern in peers.iter().flatten() {
            self.patterns.get_mut(pattern).followers.insert(unit);
        }
        for &pattern in &replaces {
            self.patterns.get_mut(pattern).replacers.insert(unit);
            self.replacers.insert(unit);
        }
        let avoids = asks.avoid_units.iter();
        let avoids = avoids.filter_map(|(weight, text)| Some((*weight, self.take_pattern(text)?)));
        let avoids = avoids.collect();
        let minds = asks.max_per_machine.is_some() || !asks.demand.spread.is_empty();
        let siblings = siblings(&self.units.get(unit).name).filter(|_| minds);
        let siblings = siblings.and_then(|text| self.take_pattern(&text));
        Wanted {
            global,
            pool: Some(pool),
            conflicts,
            replaces,
            peers,
            avoids,
            siblings,
            matched_by: SmallVec::new(),
            requirements: Some(requirements),
        }
    }

    fn unwant(&mut self, unit: usize) {
        let Some(wanted) = self.units.get_mut(unit).wanted.take() else {
            return;
        };
        self.set_homeless(unit, false);
        self.globals.remove(&unit);
        self.fresh.remove(&unit);
        for &pattern in &wanted.matched_by {
            self.count_matching(pattern, -1);
        }
        for &pattern in wanted.peers.iter().flatten() {
            self.patterns.get_mut(pattern).followers.remove(&unit);
        }
        for &pattern in &wanted.replaces {
            self.patterns.get_mut(pattern).replacers.remove(&unit);
        }
        self.replacers.remove(&unit);
        for pattern in wanted.patterns() {
            self.release_pattern(pattern);
        }
        if let Some(pool) = wanted.pool {
            self.release_pool(pool);
        }
    }

    /// Who follows every unit of a pattern depends on how many there are.
    fn count_matching(&mut self, pattern: usize, by: isize) {
        let known = self.patterns.get_mut(pattern);
        known.matching = known.matching.saturating_add_signed(by);
        let followers = &self.patterns.get(pattern).followers;
        for at in followers {
            let follower = self.units.get(*at);
            if follower
                .peers()
                .any(|(of, peer)| peer.all && of == Some(pattern))
            {
                self.dirty.extend(follower.seats.iter());
                self.queue.push(self.units.turn(*at));
                self.fresh.extend(follower.is_global().then_some(*at));
            }
        }
    }

    fn take_pattern(&mut self, text: &str) -> Option<usize> {
        let (at, new) = self.patterns.take(text)?;
        if new {
            let known = self.patterns.get(at);
            let matching: Vec<usize> = self.units.matching(&known.pattern).collect();
            for unit in matching {
                self.attach(at, unit);
            }
        }
        Some(at)
    }

    fn attach(&mut self, pattern: usize, unit: usize) {
        let (unit, known) = (self.units.get_mut(unit), self.patterns.get_mut(pattern));
        known.matching += 1;
        for host in unit.seats.iter() {
            known.count(host, |counts| counts.matching += 1);
        }
        if let Some(wanted) = &mut unit.wanted {
            wanted.matched_by.push(pattern);
            wanted.matched_by.sort_unstable();
        }
    }

    fn release_pattern(&mut self, at: usize) {
        let pattern = self.patterns.get(at).pattern.clone();
        if !self.patterns.release(at) {
            return;
        }
        let matching: Vec<usize> = self.units.matching(&pattern).collect();
        for unit in matching {
            if let Some(wanted) = &mut self.units.get_mut(unit).wanted {
                wanted.matched_by.retain(|other| *other != at);
            }
        }
    }

    fn take_pool(&mut self, demand: &crate::requirements::Demand) -> usize {
        let (at, new) = self.pools.take(demand);
        if new {
            let hosts: Vec<usize> = self.hosts.live().collect();
            for host in hosts {
                let here = self.hosts.get_mut(host);
                let rank = here.rank();
                if let Some(live) = here.live.as_ref().filter(|_| here.in_pools) {
                    let joined = self.pools.join_one(at, &live.metadata, &rank, host);
                    here.pools.extend(joined);
                }
            }
        }
        at
    }

    fn release_pool(&mut self, at: usize) {
        let Some(pool) = self.pools.release(at) else {
            return;
        };
        for host in pool.hosts() {
            let pools = &mut self.hosts.get_mut(host).pools;
            pools.retain(|&(pool, _)| pool != at);
        }
    }

    pub(super) fn leave_pools(&mut self, host: usize) {
        let host = self.hosts.get_mut(host);
        self.pools.leave(&host.pools, &host.rank());
        host.pools.clear();
        host.in_pools = false;
    }

    pub(super) fn join_pools(&mut self, at: usize) {
        let host = self.hosts.get_mut(at);
        let rank = host.rank();
        if let Some(live) = &host.live {
            host.pools = self.pools.join(&live.metadata, &rank, at);
            host.in_pools = true;
        }
    }
}

/// What somebody wants of a unit that should be on a machine.
struct Wish {
    requirements: Option<Arc<Requirements>>,
    global: bool,
}

/// None if the unit should be on no machine.
fn wish(unit: &Unit, has_target: bool) -> Option<Wish> {
    // a template has no process of its own
    if unit.desired == DesiredState::Inactive || unit.name.is_template() {
        return None;
    }
    let requirements = unit.requirements.clone();
    // without its file, only its records tell what it is
    let global = requirements
        .as_ref()
        .map_or(!has_target, |wanted| wanted.global);
    Some(Wish {
        requirements,
        global,
    })
}

impl Wanted {
    fn without_file(global: bool) -> Self {
        Wanted {
            requirements: None,
            global,
            pool: None,
            conflicts: Box::default(),
            replaces: Box::default(),
            peers: Box::default(),
            avoids: Box::default(),
            siblings: None,
            matched_by: SmallVec::new(),
        }
    }
}

/// The pattern of the instances of a unit's template.
fn siblings(name: &UnitName) -> Option<String> {
    name.instance()?;
    let prefix = name.prefix().replace('\\', "\\\\");
    Some(format!("{prefix}@*.{}", name.suffix()))
}
