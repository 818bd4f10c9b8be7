//! fleet.conf and the environment: every option, its type and its default.
//!
//! The file is read as the original reads it, with one difference: what makes no sense is reported
//! with file, line and option, and fleetd does not start on it.

mod file;
mod read;
mod value;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use read::{BadValue, ConfigError, Loaded, load, parse};
pub use value::parse_duration;

/// The whole configuration of one fleetd.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `verbosity`: above zero the log shows debug lines.
    pub verbosity: i64,
    /// `etcd_servers`: URLs of etcd, or of a machine's embedded store.
    pub etcd_servers: Vec<String>,
    /// `etcd_username`: empty for none.
    pub etcd_username: String,
    /// `etcd_password`
    pub etcd_password: String,
    /// `etcd_keyfile`: the client's private key, PEM.
    pub etcd_keyfile: Option<PathBuf>,
    /// `etcd_certfile`: the client's certificate, PEM.
    pub etcd_certfile: Option<PathBuf>,
    /// `etcd_cafile`: the authority that signed etcd's certificate, PEM.
    pub etcd_cafile: Option<PathBuf>,
    /// `etcd_key_prefix`: the key under which all records are.
    pub etcd_key_prefix: String,
    /// `etcd_request_timeout`: in seconds; zero means no limit.
    pub etcd_request_timeout: Duration,
    /// `engine_reconcile_interval`: in seconds; how often the leader looks again though nothing has changed.
    pub engine_reconcile_interval: Duration,
    /// `brake_percent`: when more than so many percent of the machines are lost at once, the leader moves none of their units.
    pub brake_percent: u32,
    /// `public_ip`: this machine's address; empty to find it out.
    pub public_ip: String,
    /// `metadata`: this machine's, as `key=value,key=value`.
    pub metadata: BTreeMap<String, String>,
    /// `agent_ttl`: a Go duration; a machine that has not been heard of for so long is gone.
    pub agent_ttl: Duration,
    /// `units_directory`: where unit files are written.
    pub units_directory: PathBuf,
    /// `state_directory`: what the agent remembers of the files that are its own.
    pub state_directory: PathBuf,
    /// `systemd_user`: talk to the user's systemd.
    pub systemd_user: bool,
    /// `token_limit`: objects on one page of the API, at least 1.
    pub token_limit: u16,
    /// `disable_engine`: this machine never leads.
    pub disable_engine: bool,
    /// `embedded_store`: keep the records in this fleetd instead of an etcd.
    pub embedded_store: bool,
    /// `store_dir`: where the embedded store keeps them.
    pub store_dir: PathBuf,
    /// `store_listen`: the URL under which the embedded store serves the other machines.
    pub store_listen: String,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            verbosity: 0,
            etcd_servers: value::list("http://127.0.0.1:2379,http://127.0.0.1:4001"),
            etcd_username: String::new(),
            etcd_password: String::new(),
            etcd_keyfile: None,
            etcd_certfile: None,
            etcd_cafile: None,
            etcd_key_prefix: "/_coreos.com/fleet/".into(),
            etcd_request_timeout: Duration::from_secs(1),
            engine_reconcile_interval: Duration::from_secs(2),
            brake_percent: 50,
            public_ip: String::new(),
            metadata: BTreeMap::new(),
            agent_ttl: Duration::from_secs(30),
            units_directory: "/etc/systemd/system".into(),
            state_directory: "/var/lib/fleet/units".into(),
            systemd_user: false,
            token_limit: 100,
            disable_engine: false,
            embedded_store: false,
            store_dir: "/var/lib/fleet/store".into(),
            store_listen: "http://127.0.0.1:2379".into(),
        }
    }
}

impl Config {
    /// Takes over a configuration that was read again, and warns of what waits for a restart.
    pub fn take_over(&mut self, new: &Config) {
        let at_once = Config {
            verbosity: new.verbosity,
            public_ip: new.public_ip.clone(),
            metadata: new.metadata.clone(),
            agent_ttl: new.agent_ttl,
            ..self.clone()
        };
        if at_once != *new {
            tracing::warn!(
                "only verbosity, public_ip, metadata and agent_ttl change at once: the rest waits for a restart"
            );
        }
        *self = at_once;
    }
}

/// How one option's value is taken into the configuration.
type Take = fn(&mut Config, &str) -> Result<(), String>;

/// Every option that has an effect, by name.
const OPTIONS: &[(&str, Take)] = &[
    ("agent_ttl", |c, v| set(&mut c.agent_ttl, value::ttl(v))),
    ("brake_percent", |c, v| {
        set(&mut c.brake_percent, value::percent(v))
    }),
    ("disable_engine", |c, v| {
        set(&mut c.disable_engine, value::boolean(v))
    }),
    ("embedded_store", |c, v| {
        set(&mut c.embedded_store, value::boolean(v))
    }),
    ("engine_reconcile_interval", |c, v| {
        set(&mut c.engine_reconcile_interval, value::interval(v))
    }),
    ("etcd_cafile", |c, v| {
        set(&mut c.etcd_cafile, value::file(v))
    }),
    ("etcd_certfile", |c, v| {
        set(&mut c.etcd_certfile, value::file(v))
    }),
    ("etcd_key_prefix", |c, v| {
        set(&mut c.etcd_key_prefix, Ok(value::prefix(v)))
    }),
    ("etcd_keyfile", |c, v| {
        set(&mut c.etcd_keyfile, value::file(v))
    }),
    ("etcd_password", |c, v| {
        set(&mut c.etcd_password, Ok(v.into()))
    }),
    ("etcd_request_timeout", |c, v| {
        set(&mut c.etcd_request_timeout, value::seconds(v))
    }),
    ("etcd_servers", |c, v| {
        set(&mut c.etcd_servers, value::urls(v))
    }),
    ("etcd_username", |c, v| {
        set(&mut c.etcd_username, Ok(v.into()))
    }),
    ("metadata", |c, v| {
        set(&mut c.metadata, Ok(value::metadata(v)))
    }),
    ("public_ip", |c, v| set(&mut c.public_ip, Ok(v.into()))),
    ("state_directory", |c, v| {
        set(&mut c.state_directory, value::directory(v))
    }),
    ("store_dir", |c, v| {
        set(&mut c.store_dir, value::directory(v))
    }),
    ("store_listen", |c, v| {
        set(&mut c.store_listen, value::url(v))
    }),
    ("systemd_user", |c, v| {
        set(&mut c.systemd_user, value::boolean(v))
    }),
    ("token_limit", |c, v| {
        set(&mut c.token_limit, value::page(v))
    }),
    ("units_directory", |c, v| {
        set(&mut c.units_directory, value::directory(v))
    }),
    ("verbosity", |c, v| set(&mut c.verbosity, value::integer(v))),
];

/// The names of all options that have an effect, in order.
pub fn options() -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().map(|(name, _)| *name)
}

/// Options of the original that old files still hold, and why they have no effect.
const RETIRED: &[(&str, &str)] = &[
    ("authorized_keys_file", "is no longer supported - ignoring"),
    (
        "disable_watches",
        "has no effect: there is no polling to fall back to",
    ),
    (
        "enable_grpc",
        "has no effect: agents watch the registry itself",
    ),
    ("verify_units", "is no longer supported - ignoring"),
];

fn set<T>(slot: &mut T, value: Result<T, String>) -> Result<(), String> {
    *slot = value?;
    Ok(())
}
