//! Whether a machine may take a unit: the one place where that is decided.

use unitfile::UnitName;

use super::Refusal;
use super::draft::Draft;
use super::hosts::Live;
use super::replace::shares;
use super::units::Units;
use crate::requirements::Peer;
use crate::{MachineId, Requirements};

impl Draft {
    /// Whether `unit` may come to `host` as things stand; the first rule in the original's order that forbids it is
    /// the refusal.
    pub(super) fn fit(&self, unit: usize, host: usize) -> Result<(), Refusal> {
        self.check_machine(unit, host)?;
        self.may_join(unit, host)
    }

    /// The same for a machine that meets the unit's demand.
    pub(super) fn may_join(&self, unit: usize, host: usize) -> Result<(), Refusal> {
        self.check_comer(unit, host)?;
        self.check_peers(unit, host)?;
        self.check_guests(unit, host)?;
        self.check_room(unit, host)
    }

    /// Whether the machine takes anybody.
    pub(super) fn check_comer(&self, unit: usize, host: usize) -> Result<(), Refusal> {
        let unit = self.units.get(unit);
        let live = self.hosts.get(host).live.as_ref();
        let requirements = unit
            .wanted
            .as_ref()
            .and_then(|wanted| wanted.requirements.as_ref());
        if requirements.is_none() {
            return Err(Refusal::NoFile);
        }
        let Some(live) = live.filter(|live| !live.leaving) else {
            return Err(Refusal::Leaving);
        };
        if self.silent.contains(&self.hosts.get(host).id) {
            return Err(Refusal::Silent);
        }
        if self.stuck.contains_key(&self.hosts.get(host).id) && !unit.is_global() {
            return Err(Refusal::Unwritable);
        }
        // a unit that belongs on every machine is on a cordoned one, too
        let cordon = live.cordon.as_ref().filter(|_| !unit.is_global());
        cordon.map_or(Ok(()), |cordon| {
            Err(Refusal::Cordoned(cordon.reason.clone()))
        })
    }

    /// What is asked of the machine itself.
    pub(super) fn check_machine(&self, unit: usize, host: usize) -> Result<(), Refusal> {
        let wanted = self.units.wanted(unit);
        let Some(wanted) = wanted.and_then(|wanted| wanted.requirements.as_ref()) else {
            return Ok(());
        };
        let host = self.hosts.get(host);
        check_id(wanted, &host.id)?;
        let Some(live) = &host.live else {
            return Err(Refusal::Leaving);
        };
        let mut lacking = unmet(wanted, live);
        lacking.next().map_or(Ok(()), Err)
    }

    /// `MachineOf=`: every unit that it names must be there; of a pattern's units any, or all.
    pub(super) fn check_peers(&self, unit: usize, host: usize) -> Result<(), Refusal> {
        let known = self.units.get(unit);
        let here = |pattern: Option<usize>, all: bool| {
            let Some(pattern) = pattern else {
                return false;
            };
            let peers = self.patterns.get(pattern);
            let itself = known
                .wanted
                .as_ref()
                .is_some_and(|wanted| wanted.matched_by.contains(&pattern));
            let counted = usize::from(itself && known.seats.contains(host));
            let there = peers.at(host).matching as usize - counted;
            match all {
                true => there > 0 && there == peers.matching - usize::from(itself),
                false => there > 0,
            }
        };
        let mut peers = known.peers();
        let missing = peers.find(|(pattern, peer)| !here(*pattern, peer.all));
        missing.map_or(Ok(()), |(_, peer)| {
            Err(Refusal::PeerElsewhere(peer.to_string()))
        })
    }

    /// `Conflicts=` in either direction, and `Replaces=` of those who are there.
    pub(super) fn check_guests(&self, unit: usize, host: usize) -> Result<(), Refusal> {
        let name_of = |unit: usize| self.units.get(unit).name.clone();
        if let Some(other) = self.conflict(unit, host) {
            return Err(Refusal::Conflict(name_of(other)));
        }
        let winner = self.replacer(unit, host);
        winner.map_or(Ok(()), |winner| Err(Refusal::Replaced(name_of(winner))))
    }

    /// `MaxPerMachine=` and what the unit reserves. Both are asked of those who come, and cost nobody its place.
    pub(super) fn check_room(&self, unit: usize, host: usize) -> Result<(), Refusal> {
        self.check_siblings(unit, host, 0)?;
        let wanted = self.units.wanted(unit);
        let asked = wanted
            .map(|wanted| wanted.reservation())
            .unwrap_or_default();
        self.check_reservation(asked, host)
    }

    /// `MaxPerMachine=`, with so many instances coming along.
    pub(super) fn check_siblings(
        &self,
        unit: usize,
        host: usize,
        others: usize,
    ) -> Result<(), Refusal> {
        let wanted = self.units.wanted(unit);
        let limit = wanted.and_then(|wanted| {
            let max = wanted.requirements.as_ref()?.max_per_machine?;
            Some((self.patterns.get(wanted.siblings?).at(host).matching, max))
        });
        match limit {
            Some((there, max)) if there as usize + others >= max as usize => {
                Err(Refusal::Enough(max))
            }
            _ => Ok(()),
        }
    }

    /// Of what others leave; a machine that does not say what it has takes all.
    pub(super) fn check_reservation(
        &self,
        asked: crate::Resources,
        host: usize,
    ) -> Result<(), Refusal> {
        let host = self.hosts.get(host);
        let Some(live) = host.live.as_ref().filter(|_| !asked.is_none()) else {
            return Ok(());
        };
        let then = host.reserved.plus(asked);
        let short = |asked: u64, then: u64, has: u64| asked > 0 && has > 0 && then > has;
        let memory = short(asked.memory, then.memory, live.capacity.memory);
        let cpu = short(asked.cpu, then.cpu, live.capacity.cpu);
        match memory || cpu {
            true => Err(Refusal::NoRoom(asked)),
            false => Ok(()),
        }
    }

    /// Whether somebody is there who conflicts, without saying who: a few numbers tell.
    pub(super) fn is_crowded(&self, unit: usize, host: usize) -> bool {
        let Some(wanted) = self.units.wanted(unit) else {
            return false;
        };
        let at = |pattern: usize| self.patterns.get(pattern).at(host);
        let mut named = wanted.conflicts.iter();
        let mut naming = wanted.matched_by.iter();
        named.any(|&pattern| at(pattern).matching > 0)
            || naming.any(|&pattern| at(pattern).conflicting > 0)
    }

    /// The first unit there that conflicts with `unit`, which is not there.
    fn conflict(&self, unit: usize, host: usize) -> Option<usize> {
        if !self.is_crowded(unit, host) {
            return None;
        }
        let wanted = self.units.wanted(unit)?;
        let conflicts = |other: &usize| {
            self.units.wanted(*other).is_some_and(|other| {
                shares(&wanted.conflicts, &other.matched_by)
                    || shares(&other.conflicts, &wanted.matched_by)
            })
        };
        let guests = self.hosts.get(host).guests.iter().copied();
        guests
            .filter(conflicts)
            .min_by_key(|&other| &self.units.get(other).name)
    }

    /// The first unit there that replaces `unit`.
    fn replacer(&self, unit: usize, host: usize) -> Option<usize> {
        let wanted = self.units.wanted(unit)?;
        let at = |pattern: usize| self.patterns.get(pattern).at(host);
        let mut matched = wanted.matched_by.iter();
        if !matched.any(|&pattern| at(pattern).replacing > 0) {
            return None;
        }
        let guests = self.hosts.get(host).guests.iter().copied();
        let winners = guests.filter(|&other| self.replaces(other, unit));
        winners.min_by_key(|&other| &self.units.get(other).name)
    }

    /// See [`obstacles`](super::obstacles).
    pub(super) fn obstacles(&self, name: &UnitName) -> Vec<(MachineId, Vec<Refusal>)> {
        let unit = self.units.find(name.as_str());
        let Some(unit) = unit.filter(|&unit| self.units.wanted(unit).is_some()) else {
            return Vec::new();
        };
        let hosts = self.hosts.live();
        hosts
            .map(|host| {
                (
                    self.hosts.get(host).id.clone(),
                    self.all_refusals(unit, host),
                )
            })
            .collect()
    }

    /// What each rule has to say, not only the first.
    fn all_refusals(&self, unit: usize, host: usize) -> Vec<Refusal> {
        if self.units.get(unit).seats.contains(host) {
            return Vec::new();
        }
        let (wanted, here) = (self.units.wanted(unit), self.hosts.get(host));
        let wanted = wanted.and_then(|wanted| wanted.requirements.as_ref());
        let (Some(wanted), Some(live)) = (wanted, &here.live) else {
            return vec![Refusal::NoFile];
        };
        let peers = self.check_peers(unit, host).err();
        let peers = peers.map(|missing| self.peer_cycle(unit).map_or(missing, Refusal::PeerCycle));
        check_id(wanted, &here.id)
            .err()
            .into_iter()
            .chain(unmet(wanted, live))
            .chain(self.check_comer(unit, host).err())
            .chain(peers)
            .chain(self.check_guests(unit, host).err())
            .chain(self.check_room(unit, host).err())
            .collect()
    }

    /// See [`refusals`](super::refusals).
    pub(super) fn refusals(&self, name: &UnitName) -> Vec<(MachineId, Refusal)> {
        let unit = self.units.find(name.as_str());
        let Some(unit) = unit.filter(|&unit| self.units.wanted(unit).is_some()) else {
            return Vec::new();
        };
        let cycle = self.peer_cycle(unit);
        let told = |refusal: Refusal| match (&refusal, &cycle) {
            (Refusal::PeerElsewhere(_), Some(way)) => Refusal::PeerCycle(way.clone()),
            _ => refusal,
        };
        let id = |host: usize| self.hosts.get(host).id.clone();
        let hosts = self.hosts.live();
        hosts
            .filter_map(|host| Some((id(host), told(self.fit(unit, host).err()?))))
            .collect()
    }

    /// The units without which `unit` can be nowhere.
    fn sole_peers_of(&self, unit: usize) -> Vec<usize> {
        let any = |(_, peer): &(_, &Peer)| peer.is_pattern() && !peer.all;
        match self.units.get(unit).peers().any(|peer| any(&peer)) {
            true => Vec::new(),
            false => self.peers_of(unit),
        }
    }

    /// The units on the shortest way by `MachineOf=` from `unit` back to itself; none if there is no such way.
    fn peer_cycle(&self, unit: usize) -> Option<String> {
        let way = Units::way(unit, unit, |unit| self.sole_peers_of(unit))?;
        let names = way.iter().map(|&unit| self.units.get(unit).name.as_str());
        Some(names.collect::<Vec<_>>().join(" -> "))
    }
}

/// What is asked of metadata that the machine does not have.
fn unmet<'a>(wanted: &'a Requirements, live: &'a Live) -> impl Iterator<Item = Refusal> + 'a {
    let lacking = wanted.demand.lacking(&live.metadata);
    let unmet = wanted.demand.unmet(&live.metadata);
    let unmet = unmet.map(|expression| Refusal::Constraint(expression.to_string()));
    lacking.map(Refusal::Metadata).chain(unmet)
}

/// The whole id or its first eight characters; case matters.
fn check_id(wanted: &Requirements, id: &MachineId) -> Result<(), Refusal> {
    match &wanted.machine_id {
        Some(wanted) if wanted != id.as_str() && wanted != id.short() => {
            Err(Refusal::OtherMachine(wanted.clone()))
        }
        _ => Ok(()),
    }
}
