//! Puts units where they fit.

use super::draft::Draft;
use super::pools::{Group, Merit, Rank};
use super::shape::Shape;

/// What speaks against a machine, then how loaded it is.
type Grade = (i64, Rank);

impl Draft {
    /// Puts every unit that is nowhere, and every global unit, where it fits: those whose turn has come. A unit that fits nowhere is
    /// tried again after a departure, and after an arrival if it follows others.
    pub(super) fn place(&mut self) {
        // rounds end by themselves, since replacing goes one way only; the bound is for what nobody thought of
        for _ in 0..=self.units.len() {
            if !self.queue.next_round() {
                break;
            }
            self.place_round();
        }
        self.stirred.clear();
        self.hopeless.clear();
    }

    fn place_round(&mut self) {
        let mut deserted = Vec::new();
        while let Some(turn) = self.queue.pop() {
            // a unit may have become global, or ceased to be, since it queued
            if self.units.contains(turn.unit) && self.units.turn(turn.unit) == turn {
                self.place_unit(turn.unit);
            }
            deserted.extend(self.make_room());
        }
        for host in deserted {
            self.drop_followers(host);
        }
        self.make_room();
    }

    /// Lets others try the machines that somebody has left.
    pub(super) fn make_room(&mut self) -> Vec<usize> {
        let deserted: Vec<usize> = std::mem::take(&mut self.deserted).into_iter().collect();
        if !deserted.is_empty() {
            self.room_at(deserted.clone());
        }
        deserted
    }

    fn place_unit(&mut self, unit: usize) {
        let known = self.units.get(unit);
        match &known.wanted {
            Some(wanted) if wanted.global => self.place_global(unit),
            Some(_) if known.seats.is_empty() => self.place_single(unit),
            _ => {}
        }
    }

    fn place_global(&mut self, unit: usize) {
        let everywhere = self.fresh.remove(&unit);
        let hosts: Vec<usize> = self.hosts.live().collect();
        let open = hosts.into_iter();
        let open: Vec<usize> = open
            .filter(|host| everywhere || self.stirred.contains(host))
            .collect();
        for host in open {
            if !self.units.get(unit).seats.contains(host) && self.fit(unit, host).is_ok() {
                self.seat(unit, host);
            }
        }
    }

    fn shape(&self, unit: usize) -> Option<Shape> {
        Shape::of(self.units.wanted(unit)?, &self.patterns)
    }

    fn place_single(&mut self, unit: usize) {
        let shape = match self.hopeless.is_empty() {
            true => None,
            false => self.shape(unit),
        };
        if shape.is_some_and(|shape| self.hopeless.contains(&shape)) {
            return;
        }
        match self.best_host(unit) {
            Some(host) => self.seat(unit, host),
            None => self.hopeless.extend(self.shape(unit)),
        }
    }

    /// The machine that may run the unit and that its preferences like best; of these the least loaded, the first by id among equals.
    fn best_host(&self, unit: usize) -> Option<usize> {
        self.best_host_that(unit, |host| {
            !self.is_crowded(unit, host) && self.may_join(unit, host).is_ok()
        })
    }

    /// The best machine that `takes` the unit, of those that meet its demand.
    pub(super) fn best_host_that(
        &self,
        unit: usize,
        takes: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let wanted = self.units.wanted(unit)?;
        let requirements = wanted.requirements.as_ref()?;
        if requirements.machine_id.is_some() || !wanted.peers.is_empty() {
            let named = self.named_hosts(unit).into_iter();
            let fitting =
                named.filter(|&host| self.check_machine(unit, host).is_ok() && takes(host));
            return fitting.min_by_key(|&host| self.grade(unit, host));
        }
        self.best_of_pool(unit, wanted.pool?, takes)
    }

    /// Groups of the pool from the most liked on, in each from the least loaded on: until nobody can be better than the best so far.
    fn best_of_pool(
        &self,
        unit: usize,
        pool: usize,
        takes: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let pool = self.pools.get(pool);
        let groups = pool.groups.iter().filter(|group| !group.hosts.is_empty());
        let mut groups: Vec<(i64, &Group)> = groups
            .map(|group| (self.cost(unit, &group.merit), group))
            .collect();
        groups.sort_by_key(|(cost, _)| *cost);
        let mut best: Option<(Grade, usize)> = None;
        for (cost, group) in groups {
            for (rank, &host) in &group.hosts {
                let at_best = (cost, rank);
                if best
                    .as_ref()
                    .is_some_and(|((cost, rank), _)| (*cost, rank) <= at_best)
                {
                    break;
                }
                if takes(host) {
                    let grade = (cost + self.avoidance(unit, host), rank.clone());
                    if best.as_ref().is_none_or(|(best, _)| grade < *best) {
                        best = Some((grade, host));
                    }
                }
            }
        }
        best.map(|(_, host)| host)
    }

    fn grade(&self, unit: usize, host: usize) -> Grade {
        let here = self.hosts.get(host);
        let wanted = self
            .units
            .wanted(unit)
            .and_then(|wanted| wanted.requirements.as_ref());
        let merit = wanted.zip(here.live.as_ref()).map(|(wanted, live)| Merit {
            cost: wanted.demand.cost(&live.metadata),
            values: wanted.demand.values(&live.metadata),
        });
        let cost = merit.map_or(0, |merit| self.cost(unit, &merit));
        (cost + self.avoidance(unit, host), here.rank())
    }

    /// What its preferences say against a machine; if the unit is `there`, it does not count itself.
    pub(super) fn preference(&self, unit: usize, host: usize, there: bool) -> i64 {
        let (cost, _) = self.grade(unit, host);
        let wanted = self.units.wanted(unit).filter(|_| there);
        let own = wanted.map_or(0, |wanted| {
            let itself = |pattern: &usize| wanted.matched_by.contains(pattern);
            let demand = wanted.requirements.as_ref().map(|wanted| &wanted.demand);
            let spread = demand.filter(|_| wanted.siblings.as_ref().is_some_and(itself));
            let spread = spread.map_or(0, |demand| {
                demand.spread.iter().map(|(weight, _)| *weight).sum()
            });
            let avoids = wanted.avoids.iter().filter(|(_, pattern)| itself(pattern));
            spread + avoids.map(|(weight, _)| *weight).sum::<i32>()
        });
        cost - i64::from(own)
    }

    /// What preferences say against machines of this merit: with `Spread=`, each instance there as much as the key weighs.
    fn cost(&self, unit: usize, merit: &Merit) -> i64 {
        let wanted = self.units.wanted(unit);
        let spread = wanted.and_then(|wanted| {
            let demand = &wanted.requirements.as_ref()?.demand;
            let siblings = self.patterns.get(wanted.siblings?);
            let keys = demand.spread.iter().zip(&merit.values);
            Some(
                keys.map(|((weight, key), value)| {
                    i64::from(*weight) * self.instances(siblings, key, value)
                })
                .sum(),
            )
        });
        i64::from(merit.cost) + spread.unwrap_or(0)
    }

    /// How many units of a pattern are on machines with this value of a key.
    fn instances(&self, siblings: &super::patterns::Known, key: &str, value: &str) -> i64 {
        let hosts = siblings.hosts().filter(|&(host, _)| {
            let live = self.hosts.get(host).live.as_ref();
            live.is_some_and(|live| live.metadata.get(key).map_or("", String::as_str) == value)
        });
        hosts.map(|(_, count)| i64::from(count)).sum()
    }

    /// What `AvoidUnits=` says against a machine.
    fn avoidance(&self, unit: usize, host: usize) -> i64 {
        let avoids = self
            .units
            .wanted(unit)
            .map_or(&[][..], |wanted| &wanted.avoids);
        let avoids = avoids.iter().map(|&(weight, pattern)| {
            let there = self.patterns.get(pattern).at(host).matching;
            i64::from(weight) * i64::from(there)
        });
        avoids.sum()
    }

    /// The machines that `MachineID=` or the first item of `MachineOf=` leaves.
    fn named_hosts(&self, unit: usize) -> Vec<usize> {
        let known = self.units.get(unit);
        let requirements = known
            .wanted
            .as_ref()
            .and_then(|wanted| wanted.requirements.as_ref());
        let machine_id = requirements.and_then(|wanted| wanted.machine_id.as_deref());
        let first = known.peers().next();
        match first {
            Some((Some(pattern), _)) => {
                let hosts = self.patterns.get(pattern).hosts();
                hosts
                    .map(|(host, _)| host)
                    .filter(|&host| self.hosts.get(host).is_live())
                    .collect()
            }
            Some((None, _)) => Vec::new(),
            None => machine_id.map_or(Vec::new(), |id| self.hosts.named(id).collect()),
        }
    }
}
