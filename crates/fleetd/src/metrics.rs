//! `/metrics`: what this fleetd counts, in Prometheus' text format.
//!
//! Nothing is kept for it: the roles count what they do anyway, and a page is put together when it is asked for.
//! `docs/metrics.md` has every family; a test holds it against the page.

mod page;
mod requests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use agent::Agent;
use agent::systemd::Systemd;
use registry::{Membership, Registry};
use tokio::sync::watch;

pub(crate) use page::{CONTENT_TYPE, Page};
pub(crate) use requests::Requests;

/// What is asked when somebody wants the page.
pub(crate) struct Sources<S> {
    pub(crate) agent: Arc<Agent<S>>,
    pub(crate) engine: watch::Receiver<engine::Status>,
    pub(crate) membership: watch::Receiver<Option<Membership>>,
    pub(crate) registry: Registry,
}

impl<S: Systemd> Sources<S> {
    /// Writes down what the roles have done.
    pub(crate) fn write(&self, page: &Page) {
        engine(page, &self.engine.borrow());
        agent(page, &self.agent);
        registry(page, &self.registry);
        let member = self.membership.borrow().is_some();
        page.gauge(
            "fleet_member",
            "1 while this machine is a member of the cluster",
            f64::from(u8::from(member)),
        );
    }
}

/// The first five families are the original's.
fn engine(page: &Page, status: &engine::Status) {
    let since = status.leader_since_time;
    let since = since.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    page.gauge(
        "fleet_engine_leader_start_time",
        "When this machine began to lead, in seconds since the epoch; 0 while it does not",
        since.map_or(0.0, |since| since.as_secs_f64()),
    );
    page.counter(
        "fleet_engine_reconcile_count_total",
        "Plans made by this machine while it led",
        status.plans as f64,
    );
    let trouble = &status.trouble;
    page.counters(
        "fleet_engine_reconcile_failure_count_total",
        "Units that had to leave a machine that was gone (machine_away) or may not run them any more (run), or found none (schedule)",
        &["type"],
        [
            (["machine_away"], trouble.machine_away as f64),
            (["run"], trouble.run as f64),
            (["schedule"], trouble.schedule as f64),
        ],
    );
    page.counters(
        "fleet_engine_task_count_total",
        "Units put on machines (attemptscheduleunit) and taken off (unscheduleunit); a move is both",
        &["type"],
        tasks(&status.written),
    );
    page.counters(
        "fleet_engine_task_failure_count_total",
        "The same where they could not be written",
        &["type"],
        tasks(&status.failed),
    );
    page.counter(
        "fleet_engine_reconcile_duration_seconds_total",
        "How long the plans took to make",
        status.plan_time.as_secs_f64(),
    );
    page.counter(
        "fleet_engine_elections_total",
        "How often this machine was elected",
        status.elections as f64,
    );
    page.gauge(
        "fleet_engine_braked",
        "1 while this machine leads and units wait for machines that were lost at once",
        f64::from(u8::from(status.braked)),
    );
    page.gauge(
        "fleet_engine_waiting_units",
        "Units that should be on a machine and fit none; 0 while this machine does not lead",
        status.waiting.len() as f64,
    );
}

fn tasks(tasks: &engine::Tasks) -> [([&'static str; 1], f64); 2] {
    [
        (["attemptscheduleunit"], tasks.assign as f64),
        (["unscheduleunit"], tasks.unassign as f64),
    ]
}

fn agent<S: Systemd>(page: &Page, agent: &Agent<S>) {
    let counters = agent.counters();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
    page.counters(
        "fleet_agent_orders_total",
        "Orders given to systemd: start, stop, reload",
        &["type"],
        [
            (["start"], count(&counters.starts)),
            (["stop"], count(&counters.stops)),
            (["reload"], count(&counters.reloads)),
        ],
    );
    page.counter(
        "fleet_agent_order_failures_total",
        "Orders that failed",
        count(&counters.failures),
    );
    let mut units: BTreeMap<String, u64> = BTreeMap::new();
    for state in agent.states().into_values() {
        *units.entry(state.active).or_default() += 1;
    }
    page.gauges(
        "fleet_agent_units",
        "The cluster's units on this machine by systemd's ActiveState",
        &["active"],
        units
            .iter()
            .map(|(active, count)| ([active.as_str()], *count as f64)),
    );
    page.gauge(
        "fleet_agent_unpublished_units",
        "Units whose newest state the cluster does not know yet",
        agent.unpublished().len() as f64,
    );
}

fn registry(page: &Page, registry: &Registry) {
    let operations = registry.operations();
    let rows = |value: fn(&registry::Operation) -> f64| {
        let rows = operations.iter();
        rows.map(move |(what, operation)| ([*what], value(operation)))
    };
    page.counters(
        "fleet_registry_operation_count_total",
        "Requests to etcd, by what they were for",
        &["operation"],
        rows(|operation| operation.count as f64),
    );
    page.counters(
        "fleet_registry_operation_failed_count_total",
        "Those of them that failed after all attempts",
        &["operation"],
        rows(|operation| operation.failures as f64).filter(|(_, failures)| *failures > 0.0),
    );
    page.counters(
        "fleet_registry_operation_duration_seconds_total",
        "How long they took",
        &["operation"],
        rows(|operation| operation.time.as_secs_f64()),
    );
    if let Some(contact) = registry.last_contact() {
        page.gauge(
            "fleet_registry_last_contact_seconds",
            "How long ago etcd last answered",
            contact.as_secs_f64(),
        );
    }
}
