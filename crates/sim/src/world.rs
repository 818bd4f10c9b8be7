//! A cluster, and what happens to it.

#[cfg(test)]
mod clock;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result};
use etcd_client::Client;
use fleet::fence::DRIFT;
use fleet::{Cluster, DesiredState, MachineId};
use registry::{Mirror, Registry};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::Chance;
use crate::faults::Fault;
use crate::held::Held;
use crate::host::{Host, PREFIX, REQUEST_TIMEOUT};
use crate::ledger::Ledger;
use crate::link::Link;
use crate::server::Server;
use crate::trace::Trace;
use crate::units;
use crate::wishes::{Answer, Order, Request, Wishes};
use crate::witness::{self, CALM, Witness};

/// How long faults and requests go on before all is healed.
const UNREST: Duration = Duration::from_secs(600);
/// How much may be wrong at a time.
const MOST_FAULTS: usize = 3;

/// A cluster in the hands of chance.
pub(crate) struct World {
    pub(crate) chance: Chance,
    pub(crate) trace: Trace,
    pub(crate) hosts: BTreeMap<MachineId, Host>,
    pub(crate) witness: Witness,
    /// A client of the store that no fault touches.
    pub(crate) client: Client,
    pub(crate) figures: Figures,
    /// Units that must stay where they are, for now.
    pub(crate) held: Held,
    mirror: Mirror,
    pub(crate) ledger: Ledger,
    wishes: Wishes,
    faults: Vec<(Instant, Fault)>,
    pub(crate) ttl: Duration,
    pub(crate) server: Server,
    _folder: TempDir,
}

/// What a run has done.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Faults by kind.
    pub faults: BTreeMap<String, u64>,
    /// Requests that were answered, and those that failed or were refused.
    pub requests: (u64, u64),
    /// The longest time from the end of all faults until the cluster was as it should be.
    pub slowest: Duration,
    /// Processes that had to go on, counted at each look.
    pub witnessed: u64,
}

impl Figures {
    /// Counts a fault.
    pub(crate) fn count(&mut self, kind: &str) {
        *self.faults.entry(kind.to_owned()).or_default() += 1;
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &Figures) {
        for (kind, count) in &other.faults {
            *self.faults.entry(kind.clone()).or_default() += count;
        }
        self.requests.0 += other.requests.0;
        self.requests.1 += other.requests.1;
        self.slowest = self.slowest.max(other.slowest);
        self.witnessed += other.witnessed;
    }
}

impl World {
    /// A cluster of some machines, all of which have just booted.
    pub(crate) async fn new(mut chance: Chance, trace: Trace) -> Result<World> {
        let folder = disks().context("making the machines' disks")?;
        let server = Server::start().await?;
        let client = Client::from_channel(server.channel(), None).await?;
        let registry = Registry::from_channel(server.channel(), PREFIX, REQUEST_TIMEOUT).await?;
        let ttl = Duration::from_secs(chance.within(5..=30));
        let machines = chance.within(2..=5);
        trace.tell(format_args!("{machines} machines, leases of {ttl:?}"));
        let mut world = World {
            ledger: Ledger::open(client.clone(), trace.clone()).await?,
            mirror: registry.mirror().await,
            hosts: BTreeMap::new(),
            witness: Witness::default(),
            figures: Figures::default(),
            held: Held::default(),
            wishes: Wishes::default(),
            faults: Vec::new(),
            ttl,
            client,
            chance,
            trace,
            server,
            _folder: folder,
        };
        for number in 1..=machines {
            world.add_host(&format!("m{number}")).await?;
        }
        Ok(world)
    }

    /// Unrest and rest, in turn, for so long or until something happens that must not.
    pub(crate) async fn live(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        self.settle().await;
        while Instant::now() < end && self.trace.violated().is_none() {
            self.unrest().await?;
            self.heal_all().await?;
            self.settle().await;
            if self.trace.violated().is_none() && self.chance.happens(0.5) {
                self.lose_most().await?;
            }
        }
        Ok(())
    }

    /// The records, as nobody can fail to see them.
    pub(crate) fn cluster(&self) -> &Cluster {
        self.mirror.cluster()
    }

    /// A way to the store.
    pub(crate) fn new_link(&mut self) -> Link {
        Link::new(self.server.clone(), self.chance.branch())
    }

    async fn add_host(&mut self, id: &str) -> Result<()> {
        let id = MachineId::parse(id)?;
        let link = self.new_link();
        let second = self.any_second();
        let mut host = Host::boot(id.clone(), link, self.ttl, second, self._folder.path());
        if self.chance.happens(0.5) {
            host.metadata.insert("disk".to_owned(), "ssd".to_owned());
        }
        host.keep_up().await;
        self.hosts.insert(id, host);
        Ok(())
    }

    /// A second by a clock that is off by as much as fences put up with, at most.
    fn any_second(&mut self) -> f64 {
        let off = self.chance.within(0..=200) as f64 / 100.0 - 1.0;
        1.0 + off * f64::from(DRIFT) / 100.0
    }

    async fn unrest(&mut self) -> Result<()> {
        let end = Instant::now() + UNREST;
        while Instant::now() < end && self.trace.violated().is_none() {
            self.heal_due().await?;
            match self.chance.within(0..=9) {
                0..=4 => self.request().await,
                5..=7 => self.go_wrong().await?,
                _ => {}
            }
            let pause = self.pause();
            sleep(pause).await;
            self.check().await;
        }
        Ok(())
    }

    fn pause(&mut self) -> Duration {
        match self.chance.within(0..=3) {
            0 => self.chance.millis(0..=50),
            1 | 2 => self.chance.millis(0..=2_000),
            _ => self.chance.millis(0..=20_000),
        }
    }

    /// Some client asks some fleetd for something.
    async fn request(&mut self) {
        let request = self.any_request();
        let answering: Vec<&Host> = self
            .hosts
            .values()
            .filter(|host| host.api().is_some())
            .collect();
        let Some(host) = self.chance.pick(&answering) else {
            return;
        };
        let Some(registry) = host.api() else { return };
        let answer = self.wishes.make(registry, &request).await;
        let what = format!(
            "{:?} of {} through {}",
            request.order, request.unit, host.id
        );
        match answer {
            Answer::Done => self.figures.requests.0 += 1,
            Answer::Refused | Answer::Failed => self.figures.requests.1 += 1,
        }
        self.trace.tell(format_args!("{what}: {answer:?}"));
    }

    fn any_request(&mut self) -> Request {
        let chance = &mut self.chance;
        let unit = units::any(chance);
        let order = match chance.within(0..=9) {
            0..=4 => Order::Put(chance.within(1..=2), DesiredState::Launched),
            5 => Order::Put(chance.within(1..=2), any_state(chance)),
            6 | 7 => Order::Bring(any_state(chance)),
            8 => Order::Bring(DesiredState::Launched),
            _ => Order::Destroy,
        };
        Request { unit, order }
    }

    async fn go_wrong(&mut self) -> Result<()> {
        if self.faults.len() >= MOST_FAULTS {
            return Ok(());
        }
        let machines: Vec<MachineId> = self.hosts.keys().cloned().collect();
        let leader = self.mirror.cluster().leader.clone();
        let Some(fault) = Fault::any(&mut self.chance, &machines, leader.as_ref()) else {
            return Ok(());
        };
        let until = Instant::now() + self.chance.while_of_any_kind();
        self.figures.count(&fault.kind.name());
        self.strike(until, fault).await
    }

    /// Lets something go wrong, until then.
    pub(crate) async fn strike(&mut self, until: Instant, fault: Fault) -> Result<()> {
        self.trace.tell(format_args!("FAULT {fault}"));
        self.faults.push((until, fault.clone()));
        fault.begin(self).await
    }

    async fn heal_due(&mut self) -> Result<()> {
        let now = Instant::now();
        self.calm();
        let (due, rest) = self.faults.drain(..).partition(|(until, _)| *until <= now);
        self.faults = rest;
        self.heal(due).await
    }

    pub(crate) async fn heal_all(&mut self) -> Result<()> {
        self.calm();
        let faults = std::mem::take(&mut self.faults);
        self.heal(faults).await
    }

    async fn heal(&mut self, faults: Vec<(Instant, Fault)>) -> Result<()> {
        for (_, fault) in faults {
            self.trace.tell(format_args!("healed {fault}"));
            fault.heal(self).await?;
        }
        Ok(())
    }

    /// What must hold at every moment.
    pub(crate) async fn check(&mut self) {
        for host in self.hosts.values_mut() {
            host.start_if_wanted().await;
        }
        self.catch_up().await;
        let running = witness::running(&self.hosts);
        let twice = witness::twice(&mut self.hosts, &running);
        let calm = self.calm();
        let mut wrong = vec![twice];
        // the observer may not have seen all of what was written when the store was killed
        if self.server.runs() {
            let (cluster, ledger) = (self.mirror.cluster(), &self.ledger);
            wrong.push(self.wishes.broken(cluster));
            wrong.push(self.held.moved(cluster));
            wrong.push(self.witness.look(&self.hosts, &running, ledger, &calm));
        }
        for wrong in wrong.into_iter().flatten() {
            self.trace.violation(wrong);
        }
        self.figures.witnessed += self.witness.known() as u64;
    }

    /// The machines to which nothing has happened for a while.
    fn calm(&mut self) -> BTreeSet<MachineId> {
        let now = Instant::now();
        for (_, fault) in &self.faults {
            let struck = self
                .hosts
                .values_mut()
                .filter(|host| fault.strikes(&host.id));
            struck.for_each(|host| host.struck = now);
        }
        let calm = self.hosts.values().filter(|host| host.struck + CALM < now);
        calm.map(|host| host.id.clone()).collect()
    }

    /// Waits until the picture and the ledger show all that has been written; gives its revision. The clock moves
    /// on only when nothing is left to be done, so after the least of pauses the observer has seen everything.
    pub(crate) async fn catch_up(&mut self) -> i64 {
        sleep(Duration::from_millis(1)).await;
        let revision = self.ledger.revision();
        while self.mirror.cluster().revision < revision && self.server.runs() {
            self.mirror.changed().await;
        }
        revision
    }
}

/// A folder for the machines' disks: in memory, where that can be had.
fn disks() -> std::io::Result<TempDir> {
    let names = tempfile::Builder::new().prefix("flotilla-sim-").clone();
    names.tempdir_in("/dev/shm").or_else(|_| names.tempdir())
}

fn any_state(chance: &mut Chance) -> DesiredState {
    match chance.within(0..=2) {
        0 => DesiredState::Inactive,
        1 => DesiredState::Loaded,
        _ => DesiredState::Launched,
    }
}
