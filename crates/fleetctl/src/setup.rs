//! From the global flags to a client.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio_rustls::TlsConnector;

use crate::args::Global;
use crate::client::Client;
use crate::endpoint::{Endpoint, Transport};
use crate::http::Http;
use crate::output;
use crate::ssh::Ssh;
use crate::tls::{self, TlsOptions};

/// How the cluster is reached: its API, and its machines.
pub(crate) struct Reach {
    /// The API.
    pub(crate) client: Client,
    /// The machines.
    pub(crate) ssh: Arc<Ssh>,
}

/// What the flags ask for. The API is not asked yet; with `--tunnel` the bastion has let us in.
///
/// # Errors
/// When flags make no sense, TLS cannot be set up, or the bastion cannot be reached.
pub(crate) async fn reach(global: &Global) -> anyhow::Result<Reach> {
    open(global).await.context("Unable to initialize client")
}

async fn open(global: &Global) -> anyhow::Result<Reach> {
    check_driver(&global.original.driver)?;
    let ssh = Arc::new(Ssh::new(&global.remote)?);
    let client = client(global, &global.endpoint, ssh.clone())?;
    ssh.tunnel()
        .await
        .context("failed initializing SSH client")?;
    Ok(Reach { client, ssh })
}

/// A client of the API at `endpoint`, reached as the flags want it. Nothing is opened yet.
///
/// # Errors
/// When the endpoint is none, or TLS cannot be set up.
pub(crate) fn client(global: &Global, endpoint: &str, ssh: Arc<Ssh>) -> anyhow::Result<Client> {
    let endpoint = Endpoint::parse(only_endpoint(endpoint))?;
    let tls = match &endpoint.transport {
        Transport::Tls(_) => Some(TlsConnector::from(tls::config(&tls_options(global))?)),
        _ => None,
    };
    let timeout = Duration::from_secs_f64(global.request_timeout);
    Ok(Client::new(Http::new(endpoint, tls, timeout, ssh)))
}

/// Refuses what the original could do and we cannot, rather than doing something else.
fn check_driver(driver: &str) -> anyhow::Result<()> {
    match driver {
        "API" => Ok(()),
        "etcd" => bail!(
            "--driver=etcd does not exist any more: only fleetd talks to etcd; \
             name a fleetd with --endpoint, such as unix:///var/run/fleet.sock or http://HOST:49153"
        ),
        other => bail!("unrecognized driver {other:?}"),
    }
}

/// The first of several.
fn only_endpoint(text: &str) -> &str {
    let Some((first, _)) = text.split_once(',') else {
        return text;
    };
    output::warn(&format!(
        "WARN: multiple endpoints provided but only the first ({first}) is used"
    ));
    first
}

fn tls_options(global: &Global) -> TlsOptions {
    TlsOptions {
        ca_file: global.ca_file.clone(),
        cert_file: global.cert_file.clone(),
        key_file: global.key_file.clone(),
        insecure: global.insecure_skip_tls_verify,
    }
}
