//! From the global flags to a client.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio_rustls::TlsConnector;

use crate::args::Global;
use crate::client::Client;
use crate::endpoint::{Endpoint, Transport};
use crate::http::Http;
use crate::output;
use crate::tls::{self, TlsOptions};

/// The client that the flags ask for. Nothing is opened yet.
///
/// # Errors
/// When flags make no sense, or TLS cannot be set up.
pub(crate) fn client(global: &Global) -> anyhow::Result<Client> {
    build(global).context("Unable to initialize client")
}

fn build(global: &Global) -> anyhow::Result<Client> {
    check_original(global)?;
    let endpoint = Endpoint::parse(only_endpoint(&global.endpoint))?;
    let tls = match &endpoint.transport {
        Transport::Tls(_) => Some(TlsConnector::from(tls::config(&tls_options(global))?)),
        _ => None,
    };
    Ok(Client::new(Http::new(
        endpoint,
        tls,
        Duration::from_secs_f64(global.request_timeout),
    )))
}

/// Refuses what the original could do and we cannot, rather than doing something else.
fn check_original(global: &Global) -> anyhow::Result<()> {
    let original = &global.original;
    match original.driver.as_str() {
        "API" => {}
        "etcd" => bail!(
            "--driver=etcd does not exist any more: only fleetd talks to etcd; \
             name a fleetd with --endpoint, such as unix:///var/run/fleet.sock or http://HOST:49153"
        ),
        other => bail!("unrecognized driver {other:?}"),
    }
    let tunnel = original.tunnel.as_deref().unwrap_or_default();
    ensure!(
        tunnel.is_empty(),
        "--tunnel is not supported by this version; forward the socket with \
         \"ssh -N -L /tmp/fleet.sock:/var/run/fleet.sock {tunnel}\" and use --endpoint unix:///tmp/fleet.sock"
    );
    Ok(())
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
