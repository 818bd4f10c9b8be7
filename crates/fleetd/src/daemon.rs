//! The daemon: membership, engine, agent and API of one machine, wired together.
//!
//! Each part lives on its own and is started again when it fails. None waits for etcd before the others
//! are up: without it the API answers 503 and the machine's units run on.

use std::sync::Arc;
use std::time::Duration;

use agent::systemd::Systemd;
use agent::{Agent, AgentError, Directories};
use fleet::Machine;
use fleet::history::{Entry, What};
use registry::{Membership, Registry};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use unitfile::UnitName;

use crate::api::Api;
use crate::config::Config;
use crate::member::{Member, Presence};
use crate::metrics::Sources;
use crate::picture;
use crate::roles::{self, Engine};
use crate::sockets::Listener;
use crate::supervise::Group;

/// How long units may take to stop when the machine leaves: less than systemd waits for fleetd itself.
const STOP_BOUND: Duration = Duration::from_secs(75);

/// How long the engine may take to give its leadership up.
const RESIGN_BOUND: Duration = Duration::from_secs(2);

/// How long clients may take to read their last answers.
const CLIENT_BOUND: Duration = Duration::from_secs(2);

/// What a daemon is made of.
pub struct Parts<S> {
    /// Its configuration.
    pub config: Config,
    /// This machine as it will be registered.
    pub machine: Machine,
    /// The cluster's records.
    pub registry: Registry,
    /// This machine's systemd.
    pub systemd: S,
    /// Where the agent writes.
    pub directories: Directories,
    /// The sockets of the API.
    pub listeners: Vec<Listener>,
}

/// What becomes of this machine's units when fleetd ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// Nothing: they run on, the lease stays, and the next fleetd takes over.
    Stay,
    /// They are stopped and run elsewhere; the machine is no member any more.
    Leave,
}

/// A running daemon.
pub struct Daemon<S> {
    agent: Arc<Agent<S>>,
    presence: watch::Sender<Presence>,
    membership: watch::Receiver<Option<Membership>>,
    /// What this machine's engine does.
    leading: watch::Sender<engine::Status>,
    /// Cancelled when the engine is to give its leadership up.
    resign: CancellationToken,
    tasks: Tasks,
}

/// The parts that run, each to be ended on its own.
#[derive(Default)]
struct Tasks {
    engine: Group,
    agent: Group,
    /// What keeps the machine a member.
    member: Group,
    api: Group,
}

impl<S: Systemd> Daemon<S> {
    /// Starts all parts. From then on the API answers, if only that it waits for etcd.
    ///
    /// # Errors
    /// The agent's directories cannot be used, or systemd cannot be asked.
    pub async fn start(parts: Parts<S>) -> Result<Self, AgentError> {
        let Parts {
            config,
            machine,
            registry,
            systemd,
            directories,
            listeners,
        } = parts;
        let presence = watch::Sender::new(Presence {
            machine,
            ttl: config.agent_ttl,
        });
        let membership = watch::Sender::new(None);
        let daemon = Daemon {
            agent: Agent::new(registry.clone(), systemd, directories).await?,
            presence,
            membership: membership.subscribe(),
            leading: watch::Sender::default(),
            resign: CancellationToken::new(),
            tasks: Tasks::default(),
        };
        daemon.serve(&config, &registry, listeners);
        daemon.stay_member(&registry, membership);
        daemon.run_agent();
        daemon.run_engine(&config, &registry);
        Ok(daemon)
    }

    /// Takes over what can change while fleetd runs: how the machine describes itself.
    pub fn reload(&self, machine: Machine, ttl: Duration) {
        self.presence.send_replace(Presence { machine, ttl });
    }

    /// Waits until this machine is a member of the cluster.
    pub async fn joined(&self) {
        let mut membership = self.membership.clone();
        // an error means that the daemon ends: nobody waits for it then
        let _ = membership.wait_for(Option::is_some).await;
    }

    /// What this machine's fleetd knows, in one line of JSON.
    pub fn picture(&self) -> String {
        picture::print(
            &self.agent,
            self.membership.borrow().as_ref(),
            &self.leading.borrow(),
        )
    }

    /// This machine's systemd.
    pub fn systemd(&self) -> &S {
        self.agent.systemd()
    }

    /// Ends all parts. When the machine leaves, its units are down before anybody else may start them.
    pub async fn stop(self, farewell: Farewell) {
        if farewell == Farewell::Leave {
            self.resign.cancel();
            // a leadership that is not given up ends with the lease
            let _ = timeout(RESIGN_BOUND, self.tasks.engine.ended()).await;
        }
        self.tasks.engine.end().await;
        self.tasks.agent.end().await;
        if farewell == Farewell::Leave {
            self.leave().await;
        }
        self.tasks.member.end().await;
        if timeout(CLIENT_BOUND, self.tasks.api.end()).await.is_err() {
            tracing::debug!("some client does not read its answer");
        }
    }

    /// Tells the cluster, stops the units, and gives each away as soon as it is down.
    async fn leave(&self) {
        self.presence
            .send_modify(|presence| presence.machine.leaving = true);
        let membership = self.membership.borrow().clone();
        let (stopped, down) = mpsc::unbounded_channel();
        let here = membership.as_ref().map(|membership| &membership.machine.id);
        let stopping = async move {
            let tell = |unit: &UnitName| drop(stopped.send(unit.clone()));
            self.agent.leave(here, STOP_BOUND, tell).await
        };
        let (left, ()) = tokio::join!(stopping, give_away(membership.as_ref(), down));
        match left {
            Ok(left) if left.is_empty() => {}
            Ok(left) => tracing::warn!(units = ?left, "these units would not stop in time"),
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "stopping the units failed"
            ),
        }
        // others may start a fenced unit soon after the end of the lease, and systemd stops it here then, not before
        if self.agent.may_run_fenced() {
            tracing::warn!(
                "fenced units may be running still: the cluster learns that the machine is gone when its lease ends"
            );
            return;
        }
        if let Some(membership) = membership
            && let Err(error) = membership.leave().await
        {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(
                error,
                "leaving the cluster failed: it learns of it when the lease ends"
            );
        }
    }

    fn serve(&self, config: &Config, registry: &Registry, listeners: Vec<Listener>) {
        let membership = self.membership.clone();
        let connected = move || membership.borrow().is_some();
        let api = Api::new(
            registry.clone(),
            config.token_limit,
            connected,
            self.tasks.api.closing(),
        );
        let sources = Sources {
            agent: self.agent.clone(),
            engine: self.leading.subscribe(),
            membership: self.membership.clone(),
            registry: registry.clone(),
        };
        let api = api.with_metrics(move |page| sources.write(page));
        for listener in listeners {
            self.tasks.api.once("API", api.clone().serve(listener));
        }
    }

    fn stay_member(&self, registry: &Registry, membership: watch::Sender<Option<Membership>>) {
        let member = Member {
            registry: registry.clone(),
            presence: self.presence.subscribe(),
            membership: Arc::new(membership),
        };
        self.tasks
            .member
            .run("membership", move || member.clone().stay());
    }

    fn run_agent(&self) {
        let (agent, memberships) = (self.agent.clone(), self.membership.clone());
        self.tasks.agent.run("agent", move || {
            roles::agent(agent.clone(), memberships.clone())
        });
    }

    fn run_engine(&self, config: &Config, registry: &Registry) {
        if config.disable_engine {
            tracing::info!("Not starting engine; disable-engine is set");
            return;
        }
        let engine = Engine {
            registry: registry.clone(),
            memberships: self.membership.clone(),
            options: engine::Options {
                reconcile_interval: config.engine_reconcile_interval,
                brake_percent: config.brake_percent,
            },
            status: self.leading.clone(),
            resign: self.resign.clone(),
        };
        self.tasks
            .engine
            .run("engine", move || engine.clone().run());
    }
}

/// Why units are stopped in the end.
const LEAVING: &str = "its machine leaves";

/// Takes back the states of units that are down, so that they may run elsewhere before the last one is down.
async fn give_away(membership: Option<&Membership>, mut down: mpsc::UnboundedReceiver<UnitName>) {
    while let Some(first) = down.recv().await {
        let more = std::iter::from_fn(|| down.try_recv().ok());
        let units: Vec<UnitName> = std::iter::once(first).chain(more).collect();
        let Some(membership) = membership else {
            continue;
        };
        let stopped = |unit| Entry::of(What::Stopped).unit(unit).because(LEAVING);
        let told = membership.telling(units.iter().map(stopped).collect());
        let units: Vec<_> = units.into_iter().map(|unit| (unit, None)).collect();
        let given = membership.publish_and_tell(&units, told.as_ref()).await;
        if let Err(error) = given {
            tracing::debug!(%error, "units are given away with the lease");
        }
    }
}
