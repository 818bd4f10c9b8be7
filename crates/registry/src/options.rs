//! How to reach etcd, and the clients made from that.

use std::path::{Path, PathBuf};
use std::time::Duration;

use etcd_client::{Certificate, Client, ConnectOptions, Identity, TlsOptions};

use crate::Error;
use crate::Said;
use crate::server::Server;

/// Where fleet has always kept its records.
pub const DEFAULT_PREFIX: &str = "/_coreos.com/fleet/";

/// How often an idle connection is probed. etcd closes connections that are probed more often than
/// every five seconds (its `--grpc-keepalive-min-time`).
const PROBE_INTERVAL: Duration = Duration::from_secs(10);

/// How to reach the registry: the `etcd_*` part of fleet.conf.
#[derive(Debug, Clone)]
pub struct Options {
    /// etcd's client URLs; `http://` is added where the scheme is missing.
    pub endpoints: Vec<String>,
    /// Prefix of every key.
    pub prefix: String,
    /// etcd user; empty for none.
    pub username: String,
    /// That user's password.
    pub password: String,
    /// PEM file of the authorities that etcd's certificate is checked against; the system's if none.
    pub ca_file: Option<PathBuf>,
    /// PEM file of our own certificate.
    pub cert_file: Option<PathBuf>,
    /// PEM file of the key to it.
    pub key_file: Option<PathBuf>,
    /// How long one call may take, fail-over included.
    pub request_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            endpoints: vec!["http://127.0.0.1:2379".to_owned()],
            prefix: DEFAULT_PREFIX.to_owned(),
            username: String::new(),
            password: String::new(),
            ca_file: None,
            cert_file: None,
            key_file: None,
            request_timeout: Duration::from_secs(1),
        }
    }
}

impl Options {
    /// The servers. Connects to none of them yet.
    pub(crate) async fn servers(&self) -> Result<Vec<Server>, Error> {
        let mut options = ConnectOptions::new()
            .with_connect_timeout(self.request_timeout)
            .with_keep_alive(
                PROBE_INTERVAL,
                self.request_timeout.max(Duration::from_secs(2)),
            )
            .with_keep_alive_while_idle(true)
            // a server that is cut off from the others fails our watches instead of leaving them silent
            .with_require_leader(true);
        if self.is_tls()? {
            options = options.with_tls(self.tls()?);
        }
        let mut servers = Vec::new();
        for endpoint in &self.endpoints {
            let client = Client::connect([endpoint], Some(options.clone())).await;
            let client = client.map_err(|source| Error::Etcd {
                what: "connecting to etcd",
                source: Said(source),
            })?;
            servers.push(Server::new(client, self.credentials()));
        }
        Ok(servers)
    }

    /// User and password, if there is a user.
    fn credentials(&self) -> Option<(String, String)> {
        let user = !self.username.is_empty();
        user.then(|| (self.username.clone(), self.password.clone()))
    }

    fn is_tls(&self) -> Result<bool, Error> {
        let tls = self
            .endpoints
            .iter()
            .filter(|url| url.starts_with("https://"))
            .count();
        match (tls, self.endpoints.len()) {
            (_, 0) => Err(Error::Options("no endpoint is given".to_owned())),
            (0, _) => Ok(false),
            (tls, all) if tls == all => Ok(true),
            _ => Err(Error::Options(
                "http and https endpoints cannot be mixed".to_owned(),
            )),
        }
    }

    fn tls(&self) -> Result<TlsOptions, Error> {
        let mut tls = match &self.ca_file {
            Some(path) => TlsOptions::new().ca_certificate(Certificate::from_pem(read(path)?)),
            None => TlsOptions::new().with_enabled_roots(),
        };
        match (&self.cert_file, &self.key_file) {
            (Some(cert), Some(key)) => {
                tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
            }
            (None, None) => {}
            _ => {
                return Err(Error::Options(
                    "a certificate and its key are needed together".to_owned(),
                ));
            }
        }
        Ok(tls)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })
}
