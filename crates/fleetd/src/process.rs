//! The life of the process: it sets the daemon up, obeys signals, and ends as systemd means it to.

use std::path::PathBuf;

use agent::Directories;
use agent::systemd::{Bus, Dbus, OwnJob};
use anyhow::Context;
use fleet::Machine;

use crate::config::{self, Config, Loaded};
use crate::daemon::{Daemon, Farewell, Parts};
use crate::embedded::{EmbeddedStore, StoreError};
use crate::log::LogLevel;
use crate::machine::{Facts, IdentityError};
use crate::places::{self, Places};
use crate::signals::{Request, Signals};
use crate::{connect, notify, sockets};

/// What outlives a change of the configuration.
pub struct Process {
    /// The configuration's file, if there is one.
    pub path: Option<PathBuf>,
    /// How much is logged.
    pub log: LogLevel,
    /// Where things are.
    pub places: Places,
}

impl Process {
    /// Runs the daemon until a signal ends it.
    ///
    /// # Errors
    /// Something that fleetd cannot do without is missing: its identity, its directories, systemd, its
    /// sockets, its embedded store.
    pub async fn live(self, loaded: Loaded) -> anyhow::Result<()> {
        let Loaded {
            mut config,
            warnings,
        } = loaded;
        warnings
            .iter()
            .for_each(|warning| tracing::warn!("{warning}"));
        let mut signals = Signals::new()?;
        let machine = describe(&config).context("unable to determine local machine ID")?;
        let store = match config.embedded_store {
            true => Some(EmbeddedStore::start(&config, &machine.id).await?),
            false => None,
        };
        let daemon = self.start(&config, machine, store.as_ref()).await?;
        notify::ready();
        let watchdog = tokio::spawn(notify::watchdog());
        let lived = tokio::select! {
            () = self.obey(&mut signals, &mut config, &daemon) => Ok(()),
            ended = ended(store.as_ref()) => ended,
        };
        watchdog.abort();
        let farewell = match &lived {
            Ok(()) => farewell(daemon.systemd()).await,
            // nobody wants fleetd to end: systemd starts it again
            Err(_) => Farewell::Stay,
        };
        end(daemon, store, farewell).await?;
        Ok(lived?)
    }

    async fn start(
        &self,
        config: &Config,
        machine: Machine,
        store: Option<&EmbeddedStore>,
    ) -> anyhow::Result<Daemon<Dbus>> {
        let bus = match config.systemd_user {
            true => Bus::User,
            false => Bus::System,
        };
        let directories = Directories {
            units: config.units_directory.clone(),
            records: config.state_directory.clone(),
            marks: self.places.marks.clone(),
            runtime_units: self.places.runtime_units.clone(),
        };
        let parts = Parts {
            config: config.clone(),
            machine,
            registry: connect::registry(config, store).await?,
            systemd: Dbus::connect(bus).await.context("connecting to systemd")?,
            directories,
            listeners: sockets::listeners(&self.places.socket).await?,
        };
        Ok(Daemon::start(parts).await?)
    }

    /// Does what signals ask for until one asks for the end.
    async fn obey(&self, signals: &mut Signals, config: &mut Config, daemon: &Daemon<Dbus>) {
        loop {
            match signals.next().await {
                Request::End => return,
                Request::Reload => self.reload(config, daemon),
                Request::Dump => dump(daemon),
            }
        }
    }

    /// Reads the configuration again. A bad one changes nothing.
    fn reload(&self, config: &mut Config, daemon: &Daemon<Dbus>) {
        tracing::info!("reading the configuration again");
        let machine = config::load(self.path.as_deref(), std::env::vars())
            .map_err(anyhow::Error::from)
            .and_then(|mut loaded| {
                Places::settle(&mut loaded.config, places::variable)?;
                Ok((describe(&loaded.config)?, loaded))
            });
        match machine {
            Ok((machine, loaded)) => {
                loaded
                    .warnings
                    .iter()
                    .for_each(|warning| tracing::warn!("{warning}"));
                self.log.set(loaded.config.verbosity);
                daemon.reload(machine, loaded.config.agent_ttl);
                config.take_over(&loaded.config);
            }
            Err(error) => tracing::error!("going on with the old configuration: {error:#}"),
        }
    }
}

fn describe(config: &Config) -> Result<Machine, IdentityError> {
    Facts::default().describe(&config.public_ip, config.metadata.clone())
}

/// One line of JSON on standard output, as fleet has always done it.
fn dump(daemon: &Daemon<Dbus>) {
    tracing::info!("Dumping server state");
    println!("{}", daemon.picture());
}

/// Waits until the embedded store ends by itself; without one, for ever.
async fn ended(store: Option<&EmbeddedStore>) -> Result<(), StoreError> {
    match store {
        Some(store) => store.ended().await,
        None => std::future::pending().await,
    }
}

async fn end(
    daemon: Daemon<Dbus>,
    store: Option<EmbeddedStore>,
    farewell: Farewell,
) -> Result<(), StoreError> {
    tracing::info!(?farewell, "Gracefully shutting down");
    notify::stopping();
    daemon.stop(farewell).await;
    match store {
        Some(store) => store.close().await,
        None => Ok(()),
    }
}

/// A restart of fleetd is no event for the cluster; its end is. If systemd cannot be asked, nothing is
/// stopped, since that could not be asked either.
async fn farewell(systemd: &Dbus) -> Farewell {
    match systemd.own_job().await {
        Ok(Some(OwnJob::Restart)) => Farewell::Stay,
        Ok(Some(OwnJob::Stop | OwnJob::Shutdown) | None) => Farewell::Leave,
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(
                error,
                "cannot ask systemd why fleetd is to end: units run on"
            );
            Farewell::Stay
        }
    }
}
