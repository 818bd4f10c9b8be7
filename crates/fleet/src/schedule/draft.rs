//! The schedule while it is being worked out.

use std::collections::{BTreeMap, BTreeSet};

use unitfile::UnitName;

use super::Refusal;
use super::pools::{Pools, lacking};
use super::records::Recorded;
use super::wanted::Units;
use crate::{Cluster, Cordon, MachineId};

/// Which unit is on which machine so far. Units and machines are known by their index.
pub(super) struct Draft<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) units: Units<'a>,
    pub(super) hosts: Vec<Host<'a>>,
    pub(super) recorded: Recorded<'a>,
    /// For each unit, the machines that it is on.
    pub(super) seats: Vec<BTreeSet<usize>>,
    /// Why a unit had to leave a machine that it was on.
    pub(super) left: BTreeMap<(usize, usize), Refusal>,
    pools: Pools<'a>,
    /// Counts arrivals and departures, so that a round knows whether it changed anything.
    arrivals: usize,
    departures: usize,
}

/// A live machine.
pub(super) struct Host<'a> {
    pub(super) id: &'a MachineId,
    pub(super) leaving: bool,
    /// An operator's order to keep new units away; global units do not heed it.
    pub(super) cordon: Option<&'a Cordon>,
    pub(super) metadata: BTreeMap<String, String>,
    /// The units there; their number is the machine's load.
    pub(super) guests: BTreeSet<usize>,
    /// Those of them that mind who else is there.
    pub(super) choosy: BTreeSet<usize>,
}

impl<'a> Draft<'a> {
    /// The schedule as it is recorded, less what may not stay.
    pub(super) fn standing(cluster: &'a Cluster) -> Self {
        let mut draft = Draft::empty(cluster);
        let (global, single): (Vec<_>, Vec<_>) =
            (0..draft.units.len()).partition(|&unit| draft.units.get(unit).global);
        for unit in single.into_iter().chain(global) {
            draft.keep(unit);
        }
        draft.drop_followers();
        draft
    }

    fn empty(cluster: &'a Cluster) -> Self {
        let units = Units::of(cluster);
        let hosts = cluster.machines.values().map(|machine| Host {
            id: &machine.id,
            leaving: machine.leaving,
            cordon: cluster.cordons.get(&machine.id),
            metadata: cluster.metadata_of(machine),
            guests: BTreeSet::new(),
            choosy: BTreeSet::new(),
        });
        Draft {
            cluster,
            recorded: Recorded::of(cluster, &units),
            seats: vec![BTreeSet::new(); units.len()],
            hosts: hosts.collect(),
            units,
            left: BTreeMap::new(),
            pools: Pools::default(),
            arrivals: 0,
            departures: 0,
        }
    }

    /// Leaves the unit where the records have it: a global one on every machine with a row, another one on its target,
    /// or without a target on the first machine with a row. Machines that are gone do not count.
    fn keep(&mut self, unit: usize) {
        let records = &self.recorded.wanted[unit];
        let target = records.target.filter(|_| !self.units.get(unit).global);
        let places: Vec<usize> = match target {
            Some(machine) => self.find_host(machine).into_iter().collect(),
            None => records
                .machines()
                .filter_map(|machine| self.find_host(machine))
                .collect(),
        };
        for host in places {
            self.keep_on(unit, host);
        }
    }

    fn keep_on(&mut self, unit: usize, host: usize) {
        if !self.units.get(unit).global && !self.seats[unit].is_empty() {
            return;
        }
        match self.may_stay(unit, host) {
            Ok(()) => self.seat(unit, host),
            Err(refusal) => {
                self.left.insert((unit, host), refusal);
            }
        }
    }

    pub(super) fn find_host(&self, id: &MachineId) -> Option<usize> {
        self.hosts.binary_search_by(|host| host.id.cmp(id)).ok()
    }

    /// What its peers do is seen when all the others have been kept.
    fn may_stay(&self, unit: usize, host: usize) -> Result<(), Refusal> {
        if self.units.get(unit).requirements.is_none() {
            return Ok(());
        }
        self.check_machine(unit, host)?;
        self.check_guests(unit, host)?;
        self.check_leaving(unit, host)
    }

    /// A machine that leaves keeps a unit until it has stopped it, and says so by taking back its state. A global
    /// unit has nowhere else to go.
    fn check_leaving(&self, unit: usize, host: usize) -> Result<(), Refusal> {
        let (wanted, host) = (self.units.get(unit), &self.hosts[host]);
        let states = self.cluster.states.get(wanted.name());
        let runs = states.is_some_and(|states| states.contains_key(host.id));
        match host.leaving && !wanted.global && !runs {
            true => Err(Refusal::Leaving),
            false => Ok(()),
        }
    }

    /// Sends every unit away whose peer is not there, and then those that followed it.
    fn drop_followers(&mut self) {
        let followers: Vec<usize> = self.followers().collect();
        let mut lost = true;
        while lost {
            lost = false;
            for &unit in &followers {
                for host in self.seats[unit].clone() {
                    if let Err(refusal) = self.check_peers(unit, host) {
                        self.unseat(unit, host, refusal);
                        lost = true;
                    }
                }
            }
        }
    }

    fn followers(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.units.len()).filter(|&unit| !self.units.get(unit).peers().is_empty())
    }

    /// Puts every unit that is nowhere, and every global unit, where it fits. A unit that fits nowhere is tried again
    /// after a departure, and after an arrival if it follows others.
    pub(super) fn place(&mut self) {
        let mut everyone = true;
        // rounds end by themselves, since replacing goes one way only; the bound is for what nobody thought of
        for _ in 0..=self.units.len() {
            let (arrivals, departures) = (self.arrivals, self.departures);
            self.place_once(everyone);
            self.drop_followers();
            everyone = self.departures > departures;
            if !everyone && self.arrivals == arrivals {
                break;
            }
        }
    }

    fn place_once(&mut self, everyone: bool) {
        let open: Vec<usize> = (0..self.units.len())
            .filter(|&unit| everyone || !self.units.get(unit).peers().is_empty())
            .collect();
        let (global, single): (Vec<_>, Vec<_>) = open
            .into_iter()
            .partition(|&unit| self.units.get(unit).global);
        for unit in global {
            self.place_global(unit);
        }
        for unit in single {
            self.place_single(unit);
        }
    }

    fn place_global(&mut self, unit: usize) {
        for host in 0..self.hosts.len() {
            if !self.seats[unit].contains(&host) && self.fit(unit, host).is_ok() {
                self.seat(unit, host);
            }
        }
    }

    fn place_single(&mut self, unit: usize) {
        if !self.seats[unit].is_empty() {
            return;
        }
        if let Some(host) = self.least_loaded(unit) {
            self.seat(unit, host);
        }
    }

    /// The least loaded machine that may run the unit, the first by id among equals.
    fn least_loaded(&mut self, unit: usize) -> Option<usize> {
        self.least_loaded_of(unit, |draft, host| draft.fit(unit, host).is_ok())
    }

    /// The least loaded machine that `takes` the unit, of those that its metadata leaves.
    pub(super) fn least_loaded_of(
        &mut self,
        unit: usize,
        takes: impl Fn(&Self, usize) -> bool,
    ) -> Option<usize> {
        let wanted = self.units.get(unit).requirements?;
        if wanted.machine_id.is_some() || !wanted.peers.is_empty() {
            let candidates = self.named_hosts(unit);
            return candidates.into_iter().find(|&host| takes(self, host));
        }
        let hosts = &self.hosts;
        self.pools.ensure(&wanted.metadata, || {
            let all = hosts.iter().enumerate();
            let fitting =
                all.filter(|(_, host)| lacking(&host.metadata, &wanted.metadata).is_none());
            fitting.map(|(at, host)| (host.guests.len(), at))
        });
        let mut candidates = self.pools.get(&wanted.metadata);
        candidates.find(|&host| takes(self, host))
    }

    /// The machines that `MachineID=` or the first unit of `MachineOf=` leaves, the least loaded first.
    fn named_hosts(&self, unit: usize) -> Vec<usize> {
        let wanted = self.units.get(unit);
        let machine_id = wanted
            .requirements
            .and_then(|wanted| wanted.machine_id.as_deref());
        let mut hosts = match wanted.peers().first() {
            Some(peer) => self.hosts_of(peer),
            None => machine_id.map_or(Vec::new(), |id| self.hosts_named(id)),
        };
        hosts.sort_by_key(|&host| (self.hosts[host].guests.len(), host));
        hosts
    }

    /// The machines that the unit `name` is on.
    fn hosts_of(&self, name: &str) -> Vec<usize> {
        let seats = self.units.find(name).map(|unit| &self.seats[unit]);
        seats.into_iter().flatten().copied().collect()
    }

    /// The machines whose id starts with `prefix`.
    fn hosts_named(&self, prefix: &str) -> Vec<usize> {
        let first = self.hosts.partition_point(|host| host.id.as_str() < prefix);
        let named = |host: &usize| self.hosts[*host].id.as_str().starts_with(prefix);
        (first..self.hosts.len()).take_while(named).collect()
    }

    pub(super) fn seat(&mut self, unit: usize, host: usize) {
        let load = self.hosts[host].guests.len();
        self.hosts[host].guests.insert(unit);
        if self.units.get(unit).has_patterns() {
            self.hosts[host].choosy.insert(unit);
        }
        self.seats[unit].insert(host);
        self.pools.reload(host, load, load + 1);
        self.arrivals += 1;
        self.push_replaced(unit, host);
    }

    fn push_replaced(&mut self, winner: usize, host: usize) {
        let guests = &self.hosts[host].guests;
        let patterns = self.units.get(winner).replaces.iter();
        let named: BTreeSet<usize> = patterns
            .flat_map(|p| self.units.matching(p, guests))
            .collect();
        for loser in named {
            if self.units.replaces(winner, loser) {
                let by = self.units.get(winner).name().clone();
                self.unseat(loser, host, Refusal::Replaced(by));
            }
        }
    }

    pub(super) fn unseat(&mut self, unit: usize, host: usize, refusal: Refusal) {
        let load = self.hosts[host].guests.len();
        self.hosts[host].guests.remove(&unit);
        self.hosts[host].choosy.remove(&unit);
        self.seats[unit].remove(&host);
        self.pools.reload(host, load, load - 1);
        self.departures += 1;
        self.left.entry((unit, host)).or_insert(refusal);
    }

    /// Units that should be on a machine and are on none.
    pub(super) fn waiting(&self) -> Vec<UnitName> {
        let nowhere = (0..self.units.len()).filter(|&unit| self.seats[unit].is_empty());
        nowhere
            .map(|unit| self.units.get(unit).name().clone())
            .collect()
    }
}
