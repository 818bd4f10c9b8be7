//! The loop. Events wake it; then it compares all it knows and gives the orders that are due.

mod fenced;
mod moving;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use fleet::Assignment;
use fleet::converge::{self, LocalUnit, Step};
use registry::{Membership, ScheduleWatch};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use unitfile::UnitName;

use crate::batch::{Batch, Prepared};
use crate::failure::{Failure, chain};
use crate::local::Local;
use crate::orders::{self, News};
use crate::round::moving::Moving;
use crate::systemd::{Changed, Status, Systemd};
use crate::turn::Others;
use crate::{Agent, AgentError};

/// Changes in systemd within this time are looked at together; the first one is at once.
const GATHER: Duration = Duration::from_millis(15);
/// What this times the time that a round takes is the least until the next: many units that change one by one do not
/// keep a processor busy.
const REST: u32 = 3;
/// Why systemd has stopped what is fenced.
const LAPSED: &str = "the machine's lease was not renewed in time (Fence=)";
/// Without any retry due, the loop looks at the clock again after this.
const IDLE: Duration = Duration::from_secs(3600);

/// The loop's picture: what should be, what is, and what is under way.
pub(crate) struct Rounds<S> {
    agent: Arc<Agent<S>>,
    schedule: ScheduleWatch,
    memberships: watch::Receiver<Membership>,
    units: BTreeMap<UnitName, Local>,
    /// A batch is being prepared: files wait for the next one.
    preparing: bool,
    /// Units that are to be elsewhere, and go on until they are up there.
    moving: Moving,
    /// The membership's lease had not been renewed in time when orders were given last.
    overdue: bool,
    /// How often systemd has stopped what was fenced.
    falls: u64,
    orders: JoinSet<()>,
    news: mpsc::UnboundedReceiver<News>,
    report: mpsc::UnboundedSender<News>,
    next_look: Instant,
}

impl<S: Systemd> Rounds<S> {
    /// Takes over what an earlier agent left behind: reads records, marks and systemd's states, and has them
    /// published. Gives no order.
    pub(crate) async fn adopt(
        agent: &Arc<Agent<S>>,
        memberships: watch::Receiver<Membership>,
    ) -> Result<Self, AgentError> {
        let found = agent.files.scan()?;
        let units = found.into_iter().map(|(name, found)| (name, found.into()));
        let id = memberships.borrow().machine.id.clone();
        let (report, news) = mpsc::unbounded_channel();
        let mut rounds = Rounds {
            agent: Arc::clone(agent),
            schedule: agent.registry.schedule_of(&id).await,
            memberships,
            units: units.collect(),
            preparing: false,
            moving: Moving::default(),
            overdue: false,
            falls: 0,
            orders: JoinSet::new(),
            news,
            report,
            next_look: Instant::now(),
        };
        let names: Vec<UnitName> = rounds.units.keys().cloned().collect();
        tracing::info!(units = names.len(), "adopting what is there");
        let states = agent.look(&names).await;
        rounds.take_states(states);
        agent.outbox.adopted();
        rounds.recover_fence();
        Ok(rounds)
    }

    /// Rounds for ever.
    pub(crate) async fn run(&mut self) {
        loop {
            let begun = Instant::now();
            self.act();
            let rest = begun.elapsed() * REST;
            // timers tell no less
            if rest >= Duration::from_millis(1) {
                sleep(rest).await;
            }
            while !self.wait().await {}
        }
    }

    /// Waits for the next event, and takes it. Tells whether orders may be due because of it.
    async fn wait(&mut self) -> bool {
        let changes = self.agent.systemd.changes();
        let next_look = self.next_look;
        let changed = async {
            sleep_until(next_look).await;
            changes.next().await
        };
        let retry = self.next_retry();
        let ask = self.moving.next();
        let (ttl, mut renewals) = {
            let membership = self.memberships.borrow();
            (membership.ttl, membership.renewals())
        };
        let renewed = async {
            let recent = renewals.wait_for(|at| at.elapsed() < ttl);
            recent.await.is_ok()
        };
        tokio::select! {
            () = self.schedule.changed() => true,
            changed = changed => self.look(changed).await,
            Some(news) = self.news.recv() => self.take_all(news),
            Ok(()) = self.memberships.changed() => {
                self.recover_fence();
                true
            }
            true = renewed, if self.overdue => true,
            Some(order) = self.orders.join_next() => {
                if let Err(error) = order {
                    tracing::error!(%error, "an order was cut short");
                }
                false
            }
            () = sleep_until(retry) => true,
            () = sleep_until(ask) => {
                self.ask_elsewhere();
                false
            }
        }
    }

    /// Gives the orders that are due.
    fn act(&mut self) {
        self.overdue = self.memberships.borrow().is_overdue();
        self.take_schedule();
        self.take_failed();
        self.take_stopped();
        self.take_fallen();
        self.take_moving();
        self.leave_fences();
        let round = self.round();
        if !round.stops.is_empty() {
            self.stop(round.stops);
        }
        if !self.preparing && !round.batch.is_empty() {
            self.prepare(round.batch);
        }
        self.forget_gone();
    }

    fn round(&self) -> Round {
        let admitted = self.is_admitted();
        let assigned = &self.schedule.assigned;
        let seen = self
            .units
            .iter()
            .map(|(name, local)| (name, self.moving.mark(name, local.seen())));
        let seen: BTreeMap<&UnitName, LocalUnit> = seen.collect();
        let mut round = Round::default();
        let unreadable = &self.schedule.unreadable;
        let steps = converge::steps(assigned, &seen, admitted).into_iter();
        for (name, steps) in steps.filter(|(name, _)| !unreadable.contains(name)) {
            round.add(name.clone(), &steps, assigned.get(&name));
        }
        round
    }

    /// Whether the schedule has been decided for this membership, which has not ended unnoticed: who was frozen or cut off for
    /// longer than a lease may have been missed, and what is on the schedule of a machine that is missed says nothing of
    /// what is to run there when it is back.
    fn is_admitted(&self) -> bool {
        self.schedule.admitted == Some(self.memberships.borrow().since) && !self.overdue
    }

    fn stop(&mut self, names: Vec<UnitName>) {
        for name in &names {
            self.order(name);
            if let Some(local) = self.units.get_mut(name) {
                local.stop_ordered();
            }
        }
        let (agent, report) = (Arc::clone(&self.agent), self.report.clone());
        self.orders.spawn(async move {
            let tell = |name, result| drop(report.send(News::Stopped(name, result)));
            orders::stop(&agent, names, tell).await;
        });
    }

    fn prepare(&mut self, mut batch: Batch) {
        batch.others = self.others();
        let names = batch
            .removes
            .iter()
            .chain(batch.writes.keys())
            .chain(batch.starts.keys());
        for name in names.cloned().collect::<Vec<_>>() {
            self.order(&name);
        }
        self.preparing = true;
        let (agent, report) = (Arc::clone(&self.agent), self.report.clone());
        let starts = batch.starts.keys().cloned().collect();
        self.orders.spawn(async move {
            let prepared = batch.prepare(&agent).await;
            drop(report.send(News::Prepared(prepared, starts)));
        });
    }

    /// What may still run of what is to be gone.
    fn others(&self) -> Others {
        let assigned = &self.schedule.assigned;
        let going = self.units.iter();
        let going = going.filter(|(name, local)| local.is_up() && !assigned.contains_key(*name));
        Others {
            here: Some(self.memberships.borrow().machine.id.clone()),
            going: going.map(|(name, _)| name.clone()).collect(),
        }
    }

    fn start(&mut self, name: UnitName) {
        if let Some(local) = self.units.get_mut(&name) {
            local.start_ordered(self.falls);
        }
        let (agent, report) = (Arc::clone(&self.agent), self.report.clone());
        self.orders.spawn(orders::start(agent, name, report));
    }

    fn order(&mut self, name: &UnitName) {
        let assignment = self.schedule.assigned.get(name);
        let local = self.units.entry(name.clone()).or_default();
        local.ordered(assignment);
    }

    /// Takes an order's news, and all others that are there.
    fn take_all(&mut self, first: News) -> bool {
        let mut due = false;
        let mut next = Some(first);
        while let Some(news) = next {
            // the end of a start changes what is published, not what is to be done
            due |= !matches!(news, News::StartEnded(..));
            self.take(news);
            next = self.news.try_recv().ok();
        }
        due
    }

    fn take(&mut self, news: News) {
        match news {
            News::Stopped(name, result) => self.change(&name, |local| {
                local.stopped(result?);
                Ok(())
            }),
            News::Started(name, result) => {
                self.agent.systemd.changes().note(name.clone());
                self.change(&name, |local| {
                    result?;
                    local.started();
                    Ok(())
                });
                self.note_fall(&name);
            }
            News::StartEnded(name, result) => {
                if let Some(local) = self.units.get_mut(&name) {
                    local.start_ended(&name, &result);
                }
                // its state may have been seen before the end of its job was heard
                self.count_failure(&name);
                self.publish(&name);
            }
            News::Prepared(prepared, starts) => self.prepared(prepared, &starts),
            News::Outlooks(outlooks) => self.moving.take(&outlooks),
            News::Strays(strays) => self.stop_strays(strays),
        }
    }

    fn prepared(&mut self, prepared: Prepared, starts: &BTreeSet<UnitName>) {
        self.preparing = false;
        // what was stopped was not what is started now
        self.take_fallen();
        let mut vetoes = prepared.vetoes;
        for (name, outcome) in prepared.outcomes {
            let veto = vetoes.remove(&name);
            let start = starts.contains(&name) && outcome.is_ok() && veto.is_none();
            self.change(&name, |local| match (outcome?, veto) {
                (outcome, Some(failure)) => {
                    local.placed(outcome);
                    Err(failure)
                }
                (outcome, None) => {
                    local.prepared(outcome, start);
                    Ok(())
                }
            });
            self.agent.systemd.changes().note(name.clone());
            if start {
                self.start(name);
            }
        }
    }

    /// Changes what is known of a unit after an order, or notes why the order failed; and publishes it.
    fn change(&mut self, name: &UnitName, change: impl FnOnce(&mut Local) -> Result<(), Failure>) {
        let Some(local) = self.units.get_mut(name) else {
            return;
        };
        if let Err(failure) = change(local) {
            self.agent.counters.failures.fetch_add(1, Relaxed);
            local.failed(name, failure);
        }
        self.publish(name);
    }

    /// Looks at the units of ours that changed. Tells whether one came up or went down.
    async fn look(&mut self, changed: Changed) -> bool {
        let here = |name: &&UnitName| {
            self.units
                .get(*name)
                .is_some_and(|local| local.file.is_some())
        };
        let names: Vec<UnitName> = match changed.everything {
            true => self.units.keys().filter(here).cloned().collect(),
            false => changed.names.iter().filter(here).cloned().collect(),
        };
        if names.is_empty() {
            return false;
        }
        let states = self.agent.look(&names).await;
        self.next_look = Instant::now() + GATHER;
        self.take_states(states)
    }

    /// Units that systemd has given up, and those that are to be started once more for that.
    fn take_failed(&mut self) {
        let now = Instant::now();
        let concerned = |local: &Local| {
            let failed = local.has_failed() && local.failing.is_news();
            failed || local.failing.next().is_some()
        };
        let names = self.units.iter().filter(|(_, local)| concerned(local));
        for name in names.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            if let Some(local) = self.units.get_mut(&name) {
                local.start_again(now);
            }
            if self.count_failure(&name) {
                self.publish(&name);
            }
        }
    }

    /// Counts a failure that has not been counted; whether there was one.
    fn count_failure(&mut self, name: &UnitName) -> bool {
        let local = self.units.get_mut(name);
        let Some(local) = local.filter(|local| local.has_failed() && local.failing.is_news())
        else {
            return false;
        };
        let limit = self.agent.files.reschedule_after(name);
        local.failing.failed(Instant::now(), limit);
        true
    }

    /// Units that went down by orders of ours while systemd could not tell us so.
    fn take_stopped(&mut self) {
        let stopped = self.units.iter_mut();
        let stopped = stopped.filter_map(|(name, local)| local.was_stopped().then(|| name.clone()));
        for name in stopped.collect::<Vec<_>>() {
            if let Err(error) = self.agent.files.unmark(&name) {
                tracing::warn!(unit = %name, error = %chain(&error), "a mark is not removed");
            }
            self.publish(&name);
        }
    }

    fn take_states(&mut self, states: BTreeMap<UnitName, Status>) -> bool {
        let mut due = false;
        for (name, status) in states {
            if let Some(local) = self.units.get_mut(&name) {
                due |= local.look(status);
            }
            self.count_failure(&name);
            if !self.units.get(&name).is_some_and(Local::is_in_between) {
                self.publish(&name);
            }
        }
        due
    }

    fn publish(&self, name: &UnitName) {
        let assignment = self.schedule.assigned.get(name);
        let local = self.units.get(name);
        let state = local.and_then(|local| local.state(assignment));
        let lapsed = !local.is_some_and(Local::is_up) && self.agent.fence.has_lapsed(name);
        let why = lapsed.then_some(LAPSED);
        self.agent.outbox.put(name, state, why);
    }

    /// Brings the units in line with the schedule.
    fn take_schedule(&mut self) {
        let assigned = &self.schedule.assigned;
        for name in assigned.keys() {
            if !self.units.contains_key(name) {
                self.units.insert(name.clone(), Local::default());
            }
        }
        let (mut cleared, now) = (Vec::new(), Instant::now());
        for (name, local) in &mut self.units {
            if local.assigned(assigned.get(name), now) {
                cleared.push(name.clone());
            }
        }
        for name in cleared {
            self.publish(&name);
        }
    }

    /// Units of which there is no file and none is wanted.
    fn forget_gone(&mut self) {
        let assigned = &self.schedule.assigned;
        let outbox = &self.agent.outbox;
        self.units.retain(|name, local| {
            let kept = local.busy || local.file.is_some() || assigned.contains_key(name);
            if !kept {
                outbox.put(name, None, None);
            }
            kept
        });
    }

    fn next_retry(&self) -> Instant {
        let resting = self.units.values().filter_map(Local::rests_until);
        let failing = self.units.values().filter_map(|local| local.failing.next());
        resting
            .chain(failing)
            .min()
            .unwrap_or_else(|| Instant::now() + IDLE)
    }
}

/// The orders of one round. A unit that must be stopped first gets its other steps in a later round,
/// when it is down.
#[derive(Debug, Default)]
struct Round {
    stops: Vec<UnitName>,
    batch: Batch,
}

impl Round {
    fn add(&mut self, name: UnitName, steps: &[Step], assignment: Option<&Assignment>) {
        if steps.first() == Some(&Step::Stop) {
            self.stops.push(name);
            return;
        }
        for step in steps {
            match *step {
                Step::Remove => self.batch.removes.push(name.clone()),
                Step::Write(hash) => drop(self.batch.writes.insert(name.clone(), hash)),
                Step::Start => {
                    let starts = assignment.map(|assignment| (name.clone(), assignment.clone()));
                    self.batch.starts.extend(starts);
                }
                // comes first or not at all
                Step::Stop => {}
            }
        }
    }
}
