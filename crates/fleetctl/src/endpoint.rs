//! Where the API is: what `--endpoint` may be.

use std::fmt;
use std::path::PathBuf;

/// The endpoint when nothing else is said.
pub(crate) const DEFAULT: &str = "unix:///var/run/fleet.sock";

/// A parsed `--endpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    text: String,
    /// How to get there.
    pub(crate) transport: Transport,
    /// What stands before `/fleet/v1` in every path; without a slash at its end.
    pub(crate) base: String,
}

/// How to open a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Transport {
    /// A unix socket.
    Unix(PathBuf),
    /// Plain TCP.
    Tcp(Address),
    /// TLS on TCP.
    Tls(Address),
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// Name or address; an IPv6 address without its brackets.
    pub(crate) host: String,
    /// Port.
    pub(crate) port: u16,
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EndpointError {
    /// `h`, or nothing.
    #[error(
        "URL scheme undefined in endpoint {0:?}: write unix:///PATH, http://HOST:PORT or https://HOST:PORT"
    )]
    NoScheme(String),
    /// `ftp://h`.
    #[error("unsupported protocol scheme {scheme:?} in endpoint {text:?}: use unix, http or https")]
    Scheme {
        /// What was given.
        text: String,
        /// Its scheme.
        scheme: String,
    },
    /// `unix://var/run/x`, `unix:rel.sock`.
    #[error("endpoint {0:?} names no absolute path: write unix:///PATH")]
    RelativePath(String),
    /// `http://`, `http://h:port`.
    #[error("endpoint {0:?} has no valid host and port")]
    Authority(String),
    /// The port of an etcd.
    #[error(
        "endpoint {0:?} has the port of an etcd, and fleetctl talks to fleetd only: \
         name a fleetd's API, such as unix:///var/run/fleet.sock or http://HOST:49153"
    )]
    Etcd(String),
}

impl Endpoint {
    /// Reads `text`: `unix:///path`, `file:///path`, `http://host[:port][/base]` or `https://…`.
    ///
    /// # Errors
    /// When it has another form, or the port of an etcd (2379, 4001).
    pub(crate) fn parse(text: &str) -> Result<Self, EndpointError> {
        let (scheme, rest) =
            split_scheme(text).ok_or_else(|| EndpointError::NoScheme(text.to_owned()))?;
        match scheme.to_ascii_lowercase().as_str() {
            "unix" | "file" => unix(text, rest),
            "http" => http(text, rest, 80, Transport::Tcp),
            "https" => http(text, rest, 443, Transport::Tls),
            _ => Err(EndpointError::Scheme {
                text: text.to_owned(),
                scheme: scheme.to_owned(),
            }),
        }
    }

    /// The value of the `Host` header.
    pub(crate) fn host_header(&self) -> String {
        match &self.transport {
            Transport::Unix(_) => "domain-sock".to_owned(),
            Transport::Tcp(address) | Transport::Tls(address) => address.to_string(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// `scheme` and what follows its colon; none for `host:port` as a scheme has no dots or digits in front.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let named = !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphabetic());
    (named && rest.starts_with('/') || scheme == "unix").then_some((scheme, rest))
}

fn unix(text: &str, rest: &str) -> Result<Endpoint, EndpointError> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if !path.starts_with('/') {
        return Err(EndpointError::RelativePath(text.to_owned()));
    }
    Ok(Endpoint {
        text: text.to_owned(),
        transport: Transport::Unix(path.into()),
        base: String::new(),
    })
}

fn http(
    text: &str,
    rest: &str,
    default_port: u16,
    transport: fn(Address) -> Transport,
) -> Result<Endpoint, EndpointError> {
    let bad = || EndpointError::Authority(text.to_owned());
    let rest = rest.strip_prefix("//").ok_or_else(bad)?;
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let address = address(authority, default_port).ok_or_else(bad)?;
    if matches!(address.port, 2379 | 4001) {
        return Err(EndpointError::Etcd(text.to_owned()));
    }
    Ok(Endpoint {
        text: text.to_owned(),
        transport: transport(address),
        base: path.trim_end_matches('/').to_owned(),
    })
}

fn address(authority: &str, default_port: u16) -> Option<Address> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = match port.strip_prefix(':') {
        None | Some("") => default_port,
        Some(digits) => digits.parse().ok()?,
    };
    (!host.is_empty()).then(|| Address {
        host: host.to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Address, Endpoint, EndpointError, Transport};

    fn transport(text: &str) -> Transport {
        Endpoint::parse(text).unwrap().transport
    }

    fn tcp(host: &str, port: u16) -> Transport {
        Transport::Tcp(Address {
            host: host.to_owned(),
            port,
        })
    }

    #[test]
    fn a_unix_socket_in_its_three_spellings() {
        for text in [
            "unix:///run/f.sock",
            "file:///run/f.sock",
            "unix:/run/f.sock",
        ] {
            assert_eq!(
                transport(text),
                Transport::Unix("/run/f.sock".into()),
                "{text}"
            );
        }
    }

    #[test]
    fn http_with_port_base_and_query() {
        assert_eq!(transport("http://h:49153"), tcp("h", 49153));
        assert_eq!(transport("HTTP://h/"), tcp("h", 80));
        assert_eq!(transport("http://[fe80::1]:8080"), tcp("fe80::1", 8080));
        assert_eq!(Endpoint::parse("http://h:1/base/?q").unwrap().base, "/base");
        assert_eq!(
            Endpoint::parse("http://[::1]:8080").unwrap().host_header(),
            "[::1]:8080"
        );
    }

    #[test]
    fn what_is_refused() {
        let error = |text| Endpoint::parse(text).unwrap_err();
        assert!(matches!(error(""), EndpointError::NoScheme(_)));
        assert!(matches!(error("localhost"), EndpointError::NoScheme(_)));
        assert!(matches!(error("1.2.3.4:5"), EndpointError::NoScheme(_)));
        assert!(matches!(error("ftp://h"), EndpointError::Scheme { .. }));
        assert!(matches!(
            error("unix://var/run/x"),
            EndpointError::RelativePath(_)
        ));
        assert!(matches!(
            error("unix:rel.sock"),
            EndpointError::RelativePath(_)
        ));
        assert!(matches!(error("http://h:x"), EndpointError::Authority(_)));
        assert!(matches!(
            error("http://127.0.0.1:2379"),
            EndpointError::Etcd(_)
        ));
    }
}
