//! The embedded store: this machine keeps the records of the cluster, no etcd is needed.

use std::path::PathBuf;
use std::sync::Arc;

use fleet::MachineId;
use store::{Options, Store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// A store that serves this fleetd and, on its socket, the other machines and `etcdctl`.
pub struct EmbeddedStore {
    store: Store,
    closing: CancellationToken,
}

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Its URL cannot be served.
    #[error("option store_listen: {0} cannot be served: expected http://address:port")]
    Url(String),
    /// Its port cannot be taken.
    #[error("listening on {url} for the embedded store")]
    Listen {
        /// The URL of `store_listen`.
        url: String,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Its file cannot be used.
    #[error("opening the embedded store in {}", .dir.display())]
    Open {
        /// The directory of `store_dir`.
        dir: PathBuf,
        /// What the store says.
        source: store::Error,
    },
    /// It has ended, for instance because its disk is full.
    #[error("the embedded store has ended")]
    Ended(#[source] Arc<store::Error>),
}

impl EmbeddedStore {
    /// Opens the store and serves it; the machine's id is the member's name.
    ///
    /// # Errors
    /// Its file or its port cannot be used.
    pub async fn start(config: &Config, machine: &MachineId) -> Result<Self, StoreError> {
        let listener = listen(&config.store_listen).await?;
        let options = Options {
            dir: config.store_dir.clone(),
            name: machine.to_string(),
            client_urls: vec![config.store_listen.clone()],
        };
        let dir = config.store_dir.clone();
        let store = Store::open(options)
            .await
            .map_err(|source| StoreError::Open { dir, source })?;
        let closing = CancellationToken::new();
        tokio::spawn(serve(store.clone(), listener, closing.clone()));
        Ok(EmbeddedStore { store, closing })
    }

    /// The store itself.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Waits until the store ends though nobody closed it.
    ///
    /// # Errors
    /// Always: what ended it.
    pub async fn ended(&self) -> Result<(), StoreError> {
        self.store.closed().await.map_err(StoreError::Ended)
    }

    /// Ends it; everything that it acknowledged is on the disk.
    ///
    /// # Errors
    /// Bringing its file up to date failed; nothing that was acknowledged is lost.
    pub async fn close(self) -> Result<(), StoreError> {
        self.closing.cancel();
        self.store.close().await.map_err(StoreError::Ended)
    }
}

async fn listen(url: &str) -> Result<TcpListener, StoreError> {
    let address = url
        .strip_prefix("http://")
        .map(|address| address.trim_end_matches('/'))
        .ok_or_else(|| StoreError::Url(url.into()))?;
    let listener = TcpListener::bind(address).await;
    listener.map_err(|source| StoreError::Listen {
        url: url.into(),
        source,
    })
}

async fn serve(store: Store, listener: TcpListener, closing: CancellationToken) {
    if let Err(error) = store.serve(listener, closing.cancelled_owned()).await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "serving the embedded store failed"
        );
    }
}
