//! The store, which can be killed and started again.

use std::sync::Arc;

use anyhow::Result;
use registry::Channel;
use store::{MemoryLog, Service, Store};
use tokio::sync::watch;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

/// The store, and what it has promised to keep. Clones are handles of the same one.
#[derive(Clone)]
pub(crate) struct Server {
    log: MemoryLog,
    running: Arc<watch::Sender<Option<Running>>>,
}

struct Running {
    store: Store,
    /// The way in: made once, since it costs as much as many calls.
    service: Service,
}

impl Server {
    /// An empty store.
    pub(crate) async fn start() -> Result<Server> {
        let server = Server {
            log: MemoryLog::new(),
            running: Arc::default(),
        };
        server.restart().await?;
        Ok(server)
    }

    /// Kills it, unless that was done: what it has been asked and not answered may have been carried out or not.
    pub(crate) async fn kill(&self) {
        if let Some(running) = self.running.send_replace(None) {
            // the log in memory does not fail
            let _ = running.store.close().await;
        }
    }

    /// Starts it again on its log, if it does not run.
    pub(crate) async fn restart(&self) -> Result<()> {
        if !self.runs() {
            let store = Store::on(&self.log).await?;
            let service = store.service();
            self.running.send_replace(Some(Running { store, service }));
        }
        Ok(())
    }

    /// The store's own way in; none while it does not run.
    pub(crate) fn service(&self) -> Option<Service> {
        let running = self.running.borrow();
        running.as_ref().map(|running| running.service.clone())
    }

    /// Whether it runs.
    pub(crate) fn runs(&self) -> bool {
        self.running.borrow().is_some()
    }

    /// Waits until it is killed.
    pub(crate) async fn killed(&self) {
        let mut running = self.running.subscribe();
        // its sender is ours
        drop(running.wait_for(Option::is_none).await);
    }

    /// A way to it that no fault touches. Calls wait while it does not run.
    pub(crate) fn channel(&self) -> Channel {
        let server = self.clone();
        Channel::Custom(BoxCloneSyncService::new(tower::service_fn(
            move |request| {
                let mut running = server.running.subscribe();
                async move {
                    let service = {
                        let running = running.wait_for(Option::is_some).await?;
                        running.as_ref().map(|running| running.service.clone())
                    };
                    let service = service.ok_or("the store does not run")?;
                    service.oneshot(request).await
                }
            },
        )))
    }
}
