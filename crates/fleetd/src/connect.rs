//! The way to the registry: etcd, or the store of this very fleetd.

use std::time::Duration;

use registry::{Channel, Options, Registry};

use crate::config::Config;
use crate::embedded::EmbeddedStore;

/// Stands for "no limit": nobody waits longer.
const NO_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// A connection as the configuration asks for it. No server is asked yet.
///
/// # Errors
/// A URL or a certificate that cannot be used.
pub async fn registry(
    config: &Config,
    store: Option<&EmbeddedStore>,
) -> Result<Registry, registry::Error> {
    let options = options(config);
    match store {
        Some(store) => {
            let channel = Channel::Custom(store.store().service());
            Registry::from_channel(channel, &options.prefix, options.request_timeout).await
        }
        None => Registry::connect(&options).await,
    }
}

fn options(config: &Config) -> Options {
    let limit = config.etcd_request_timeout;
    Options {
        endpoints: config.etcd_servers.clone(),
        prefix: config.etcd_key_prefix.clone(),
        username: config.etcd_username.clone(),
        password: config.etcd_password.clone(),
        ca_file: config.etcd_cafile.clone(),
        cert_file: config.etcd_certfile.clone(),
        key_file: config.etcd_keyfile.clone(),
        request_timeout: if limit.is_zero() { NO_LIMIT } else { limit },
    }
}
