//! Flags from the environment: `FLEETCTL_ENDPOINT` for `--endpoint`, and so on. An empty variable is as good as none.

use clap::Arg;

/// `arg`, to be taken from its variable where the command line has nothing.
pub(crate) fn with_environment(arg: Arg) -> Arg {
    match variable(arg.get_id().as_str()) {
        Some(variable) => arg.env(variable).hide_env(true),
        None => arg,
    }
}

fn variable(flag: &str) -> Option<&'static str> {
    let (_, candidates) = VARIABLES.iter().find(|(name, _)| *name == flag)?;
    let is_set = |name: &&&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    candidates.iter().find(is_set).copied()
}

/// The environment variables of a flag; the first that is not empty counts.
const VARIABLES: [(&str, &[&str]); 15] = [
    ("endpoint", &["FLEETCTL_ENDPOINT"]),
    ("ca_file", &["FLEETCTL_ETCD_CAFILE", "FLEETCTL_CA_FILE"]),
    (
        "cert_file",
        &["FLEETCTL_ETCD_CERTFILE", "FLEETCTL_CERT_FILE"],
    ),
    ("key_file", &["FLEETCTL_KEY_FILE", "FLEETCTL_ETCD_KEYFILE"]),
    (
        "insecure_skip_tls_verify",
        &["FLEETCTL_INSECURE_SKIP_TLS_VERIFY"],
    ),
    ("request_timeout", &["FLEETCTL_REQUEST_TIMEOUT"]),
    ("debug", &["FLEETCTL_DEBUG"]),
    ("driver", &["FLEETCTL_DRIVER"]),
    ("tunnel", &["FLEETCTL_TUNNEL"]),
    ("ssh_username", &["FLEETCTL_SSH_USERNAME"]),
    ("ssh_timeout", &["FLEETCTL_SSH_TIMEOUT"]),
    (
        "strict_host_key_checking",
        &["FLEETCTL_STRICT_HOST_KEY_CHECKING"],
    ),
    ("known_hosts_file", &["FLEETCTL_KNOWN_HOSTS_FILE"]),
    ("etcd_key_prefix", &["FLEETCTL_ETCD_KEY_PREFIX"]),
    ("experimental_api", &["FLEETCTL_EXPERIMENTAL_API"]),
];
