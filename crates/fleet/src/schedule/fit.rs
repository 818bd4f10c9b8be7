//! Whether a machine may take a unit: the one place where that is decided.

use unitfile::UnitName;

use super::Refusal;
use super::draft::Draft;
use super::pools::{all_lacking, lacking};
use super::wanted::matches_any;
use crate::{MachineId, Requirements};

impl Draft<'_> {
    /// Whether `unit` may come to `host` as things stand; the first rule in the original's order that forbids it is
    /// the refusal.
    pub(super) fn fit(&self, unit: usize, host: usize) -> Result<(), Refusal> {
        self.check_comer(unit, host)?;
        self.check_peers(unit, host)?;
        self.check_guests(unit, host)
    }

    /// All but who else is there.
    pub(super) fn check_comer(&self, unit: usize, host: usize) -> Result<(), Refusal> {
        self.units.get(unit).requirements.ok_or(Refusal::NoFile)?;
        self.check_machine(unit, host)?;
        if self.hosts[host].leaving {
            return Err(Refusal::Leaving);
        }
        if self.is_cordoned(unit, host) {
            return Err(Refusal::Cordoned);
        }
        Ok(())
    }

    /// A unit that belongs on every machine is on a cordoned one, too.
    fn is_cordoned(&self, unit: usize, host: usize) -> bool {
        self.hosts[host].cordon.is_some() && !self.units.get(unit).global
    }

    /// `MachineID=` and `MachineMetadata=`.
    pub(super) fn check_machine(&self, unit: usize, host: usize) -> Result<(), Refusal> {
        let Some(wanted) = self.units.get(unit).requirements else {
            return Ok(());
        };
        let host = &self.hosts[host];
        check_id(wanted, host.id)?;
        lacking(&host.metadata, &wanted.metadata)
            .map_or(Ok(()), |lacks| Err(Refusal::Metadata(lacks)))
    }

    /// `MachineOf=`: every unit that it names must be there.
    pub(super) fn check_peers(&self, unit: usize, host: usize) -> Result<(), Refusal> {
        let guests = &self.hosts[host].guests;
        let here = |peer: &&String| {
            self.units
                .find(peer)
                .is_some_and(|peer| guests.contains(&peer))
        };
        let missing = self.units.get(unit).peers().iter().find(|peer| !here(peer));
        missing.map_or(Ok(()), |peer| Err(Refusal::PeerElsewhere(peer.clone())))
    }

    /// `Conflicts=` in either direction, and `Replaces=` of those who are there.
    pub(super) fn check_guests(&self, unit: usize, host: usize) -> Result<(), Refusal> {
        let name_of = |unit: usize| self.units.get(unit).name().clone();
        if let Some(other) = self.conflict(unit, host) {
            return Err(Refusal::Conflict(name_of(other)));
        }
        let mut choosy = self.hosts[host].choosy.iter();
        let winner = choosy.find(|&&other| self.units.replaces(other, unit));
        winner.map_or(Ok(()), |&winner| Err(Refusal::Replaced(name_of(winner))))
    }

    /// The first unit there that conflicts with `unit`, which never conflicts with itself.
    fn conflict(&self, unit: usize, host: usize) -> Option<usize> {
        let (wanted, host) = (self.units.get(unit), &self.hosts[host]);
        let patterns = wanted.conflicts.iter();
        let named = patterns.flat_map(|pattern| self.units.matching(pattern, &host.guests));
        let naming = host.choosy.iter().copied();
        let naming =
            naming.filter(|&other| matches_any(&self.units.get(other).conflicts, wanted.name()));
        named.chain(naming).filter(|&other| other != unit).min()
    }

    /// See [`obstacles`](super::obstacles).
    pub(super) fn obstacles(&self, name: &UnitName) -> Vec<(MachineId, Vec<Refusal>)> {
        let Some(unit) = self.units.find(name.as_str()) else {
            return Vec::new();
        };
        let hosts = self.hosts.iter().enumerate();
        hosts
            .map(|(at, host)| (host.id.clone(), self.all_refusals(unit, at)))
            .collect()
    }

    /// What each rule has to say, not only the first.
    fn all_refusals(&self, unit: usize, host: usize) -> Vec<Refusal> {
        if self.seats[unit].contains(&host) {
            return Vec::new();
        }
        let Some(wanted) = self.units.get(unit).requirements else {
            return vec![Refusal::NoFile];
        };
        let cycle = || self.units.peer_cycle(unit).map(|way| self.told(&way));
        let peers = self.check_peers(unit, host).err();
        let peers = peers.map(|missing| cycle().map_or(missing, Refusal::PeerCycle));
        let here = &self.hosts[host];
        let metadata = all_lacking(&here.metadata, &wanted.metadata).map(Refusal::Metadata);
        let leaving = here.leaving.then_some(Refusal::Leaving);
        let cordoned = self.is_cordoned(unit, host).then_some(Refusal::Cordoned);
        check_id(wanted, here.id)
            .err()
            .into_iter()
            .chain(metadata)
            .chain(leaving)
            .chain(cordoned)
            .chain(peers)
            .chain(self.check_guests(unit, host).err())
            .collect()
    }

    /// See [`refusals`](super::refusals).
    pub(super) fn refusals(&self, name: &UnitName) -> Vec<(MachineId, Refusal)> {
        let Some(unit) = self.units.find(name.as_str()) else {
            return Vec::new();
        };
        let cycle = self.units.peer_cycle(unit).map(|way| self.told(&way));
        let told = |refusal: Refusal| match (&refusal, &cycle) {
            (Refusal::PeerElsewhere(_), Some(way)) => Refusal::PeerCycle(way.clone()),
            _ => refusal,
        };
        let hosts = self.hosts.iter().enumerate();
        hosts
            .filter_map(|(at, host)| Some((host.id.clone(), told(self.fit(unit, at).err()?))))
            .collect()
    }

    fn told(&self, way: &[usize]) -> String {
        let names = way.iter().map(|&unit| self.units.get(unit).name().as_str());
        names.collect::<Vec<_>>().join(" -> ")
    }
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
