//! Keeps what placing asks of a unit at hand: its pool, its patterns, and those that match it.

use std::sync::Arc;

use smallvec::SmallVec;
use unitfile::UnitName;

use super::draft::Draft;
use super::sync::Wish;
use super::units::Wanted;
use crate::Requirements;
use crate::requirements::Demand;

impl Draft {
    pub(super) fn want(&mut self, unit: usize, wish: Wish) {
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

    pub(super) fn unwant(&mut self, unit: usize) {
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

    fn take_pool(&mut self, demand: &Demand) -> usize {
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
