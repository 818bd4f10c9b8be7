//! Fenced units on this machine: their claims, and the timer that ends them with the lease. See [`fleet::fence`].

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fleet::Assignment;
use fleet::fence::{grace, stop_time};
use registry::{Backoff, Claiming, Membership};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use unitfile::{UnitFile, UnitName};

use crate::Agent;
use crate::failure::{Failure, chain};
use crate::orders::News;
use crate::systemd::Systemd;

/// Arming again after that failed.
const AGAIN: Duration = Duration::from_millis(200);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What this machine has claimed.
#[derive(Debug, Default)]
pub(crate) struct Fence {
    state: Mutex<State>,
    /// Claims, releases and timers come one after the other.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    membership: Option<Membership>,
    held: BTreeSet<UnitName>,
    /// What is being given back.
    leaving: BTreeSet<UnitName>,
    /// When systemd stops what is fenced.
    armed: Option<Instant>,
    /// systemd has stopped what was fenced, and the loop has not heard of it.
    fell: bool,
    /// systemd has read all that binds units to the lease.
    read: bool,
}

/// A fenced unit that has been started here.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) name: UnitName,
    pub(crate) up: bool,
    pub(crate) assignment: Option<Assignment>,
}

impl Fence {
    /// The units that this machine has claimed.
    pub(crate) fn held(&self) -> BTreeSet<UnitName> {
        self.lock().held.clone()
    }

    pub(crate) fn holds_any(&self) -> bool {
        !self.lock().held.is_empty()
    }

    /// Whether systemd has stopped fenced units because the lease seemed to have ended; told once.
    pub(crate) fn take_fell(&self) -> bool {
        std::mem::take(&mut self.lock().fell)
    }

    /// Whether this machine has claimed a unit and systemd ends it by now: no renewed lease has put that off.
    pub(crate) fn has_lapsed(&self, name: &UnitName) -> bool {
        let state = self.lock();
        let over = state.armed.is_some_and(|until| until <= Instant::now());
        over && state.held.contains(name)
    }

    /// Whether systemd must read its files anew before what has been bound to the lease may start.
    pub(crate) fn is_unread(&self) -> bool {
        !self.lock().read
    }

    /// systemd has read its files, or has not.
    pub(crate) fn set_read(&self, read: bool) {
        self.lock().read = read;
    }

    fn membership(&self) -> Option<Membership> {
        self.lock().membership.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Systemd> Agent<S> {
    /// Claims a unit that is about to be started, and binds it to the lease. Tells whether it is fenced; nothing is
    /// done for others.
    pub(crate) async fn enter_fence(
        &self,
        name: &UnitName,
        assignment: &Assignment,
    ) -> Result<bool, Failure> {
        let Some(file) = self.files.fenced(name) else {
            return Ok(false);
        };
        let _turn = self.fence.turn.lock().await;
        let token = self.claim(name, &file, assignment, false).await?;
        self.arm().await?;
        if self.files.fence(name, &file, token)? {
            self.fence.set_read(false);
        }
        Ok(true)
    }

    async fn claim(
        &self,
        name: &UnitName,
        file: &UnitFile,
        assignment: &Assignment,
        again: bool,
    ) -> Result<i64, Failure> {
        let stop = stop_time(name, file);
        let stop = stop.map_err(|error| Failure::for_good(error.to_string()))?;
        let lost = || Failure::passing("this machine is no member of the cluster");
        let membership = self.fence.membership().ok_or_else(lost)?;
        self.fence.lock().leaving.remove(name);
        let stop = grace(membership.ttl, stop);
        match membership.claim(name, assignment, stop, again).await {
            Ok(Claiming::Held(token)) => {
                self.fence.lock().held.insert(name.clone());
                Ok(token)
            }
            Ok(Claiming::HeldBy(machine)) => Err(Failure::waiting(format!(
                "machine {} may be running it still (Fence=)",
                machine.short()
            ))),
            Ok(Claiming::Garbage(key)) => Err(Failure::passing(format!(
                "its claim, {key}, makes no sense: delete it when the unit runs nowhere (Fence=)"
            ))),
            Ok(Claiming::NotOurs) => Err(Failure::waiting("it is on its way elsewhere")),
            Err(error) => Err(Failure::passing(chain(&error))),
        }
    }

    /// Has systemd end what is fenced when the lease does, as it was last renewed, and notes whether that has happened meanwhile.
    async fn arm(&self) -> Result<(), Failure> {
        let lost = || Failure::passing("this machine is no member of the cluster");
        let membership = self.fence.membership().ok_or_else(lost)?;
        let until = *membership.renewals().borrow() + membership.ttl;
        let armed = self.fence.lock().armed;
        if armed == Some(until) && until > Instant::now() {
            return Ok(());
        }
        if until <= Instant::now() {
            return Err(Failure::passing(
                "this machine's lease is not being renewed",
            ));
        }
        if self.files.lease_units()? {
            self.fence.set_read(false);
        }
        let fell = self.systemd.arm(until).await;
        let fell = fell.map_err(|error| Failure::of_systemd("fence", &error))?;
        let mut state = self.fence.lock();
        state.armed = Some(until);
        state.fell |= fell;
        Ok(())
    }

    /// Gives a claim back as soon as etcd can be asked. The unit must be down.
    pub(crate) async fn leave_fence(&self, name: &UnitName) {
        {
            let mut state = self.fence.lock();
            if !state.held.remove(name) {
                return;
            }
            state.leaving.insert(name.clone());
        }
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        while let Err(problem) = self.release(name).await {
            tracing::warn!(unit = %name, problem, "a fenced unit's claim is not given back yet");
            backoff.wait().await;
        }
    }

    async fn release(&self, name: &UnitName) -> Result<(), String> {
        let _turn = self.fence.turn.lock().await;
        // it may have been claimed again
        if !self.fence.lock().leaving.contains(name) {
            return Ok(());
        }
        self.files.take_token(name).map_err(|error| chain(&error))?;
        let membership = self.fence.membership().ok_or("no member of the cluster")?;
        let released = membership.release(name).await;
        released.map_err(|error| chain(&error))?;
        self.fence.lock().leaving.remove(name);
        Ok(())
    }

    /// Arms systemd anew with each renewal of the lease, for as long as something is claimed.
    pub(crate) async fn keep_fence(
        &self,
        mut memberships: watch::Receiver<Membership>,
        report: mpsc::UnboundedSender<News>,
    ) {
        loop {
            let membership = memberships.borrow_and_update().clone();
            let mut renewals = membership.renewals();
            self.fence.lock().membership = Some(membership);
            tokio::select! {
                () = self.follow(&mut renewals, &report) => {}
                changed = memberships.changed() => if changed.is_err() {
                    return std::future::pending().await;
                },
            }
        }
    }

    async fn follow(
        &self,
        renewals: &mut watch::Receiver<Instant>,
        report: &mpsc::UnboundedSender<News>,
    ) {
        loop {
            renewals.borrow_and_update();
            let mut told = String::new();
            while let Err(failure) = self.arm_if_needed(report).await {
                if failure.problem != told {
                    let problem = &failure.problem;
                    tracing::warn!(problem, "fenced units are not held longer");
                    told = failure.problem;
                }
                tokio::select! {
                    () = sleep(AGAIN) => {}
                    Ok(()) = renewals.changed() => {}
                }
            }
            if renewals.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    async fn arm_if_needed(&self, report: &mpsc::UnboundedSender<News>) -> Result<(), Failure> {
        if !self.fence.holds_any() {
            return Ok(());
        }
        let _turn = self.fence.turn.lock().await;
        self.arm().await?;
        if self.fence.lock().fell {
            // the loop may have ended meanwhile
            let _ = report.send(News::Strays(Vec::new()));
        }
        Ok(())
    }

    /// Finds out which of the fenced units that have been started here are this machine's to run, until that succeeds, and reports those
    /// that run and are not.
    pub(crate) async fn recover_fence(
        self: Arc<Self>,
        found: Vec<Found>,
        report: mpsc::UnboundedSender<News>,
    ) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            match self.recover_once(&found).await {
                Ok(strays) => return drop(report.send(News::Strays(strays))),
                Err(failure) => {
                    tracing::warn!(
                        problem = failure.problem,
                        "the claims of fenced units are not known yet"
                    );
                    backoff.wait().await;
                }
            }
        }
    }

    async fn recover_once(&self, found: &[Found]) -> Result<Vec<UnitName>, Failure> {
        let _turn = self.fence.turn.lock().await;
        let lost = || Failure::passing("this machine is no member of the cluster");
        let membership = self.fence.membership().ok_or_else(lost)?;
        let claims = membership.claims().await;
        let claims = claims.map_err(|error| Failure::passing(chain(&error)))?;
        let mut strays = Vec::new();
        {
            let mut state = self.fence.lock();
            state.held = claims.into_keys().collect();
            state.leaving.clear();
        }
        if found.is_empty() && !self.fence.holds_any() {
            return Ok(strays);
        }
        self.arm().await?;
        for unit in found.iter().filter(|unit| unit.up) {
            if !self.may_keep(&unit.name, unit.assignment.as_ref()).await? {
                strays.push(unit.name.clone());
            }
        }
        Ok(strays)
    }

    /// Whether a unit that runs is ours to run, claimed by now if not before.
    async fn may_keep(
        &self,
        name: &UnitName,
        assignment: Option<&Assignment>,
    ) -> Result<bool, Failure> {
        if self.fence.lock().held.contains(name) {
            return Ok(true);
        }
        let (Some(file), Some(assignment)) = (self.files.fenced(name), assignment) else {
            return Ok(false);
        };
        // the token goes with the claim
        let again = self.files.has_token(name);
        match self.claim(name, &file, assignment, again).await {
            Ok(token) => {
                self.files.fence(name, &file, token)?;
                Ok(true)
            }
            Err(failure) if failure.waits || !failure.transient => Ok(false),
            Err(failure) => Err(failure),
        }
    }
}
