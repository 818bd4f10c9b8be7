//! Where an SSH server is: what `--tunnel` may be.

/// An SSH server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hop {
    /// Whom to log in as there, if not as the user of `--ssh-username`.
    pub(crate) user: Option<String>,
    /// Name or address; an IPv6 address without its brackets.
    pub(crate) host: String,
    /// Port.
    pub(crate) port: u16,
}

/// Why a text names no SSH server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no SSH server: write [USER@]HOST[:PORT], an IPv6 address with a port as [ADDRESS]:PORT"
)]
pub(crate) struct HopError(String);

impl Hop {
    /// The machine with that address.
    pub(crate) fn to(address: &str, port: u16) -> Self {
        Hop {
            user: None,
            host: address.to_owned(),
            port,
        }
    }

    /// Reads `[USER@]HOST[:PORT]`; an IPv6 address stands bare, or in brackets if a port follows.
    ///
    /// # Errors
    /// When it has another form.
    pub(crate) fn parse(text: &str) -> Result<Self, HopError> {
        let error = || HopError(text.to_owned());
        let (user, place) = match text.rsplit_once('@') {
            Some((user, place)) => (Some(user.to_owned()), place),
            None => (None, text),
        };
        let (host, port) = split_port(place).ok_or_else(error)?;
        let port = match port {
            None => 22,
            Some(digits) => digits.parse().map_err(|_| error())?,
        };
        // a host that begins with a dash would be a flag to ssh
        let sound = !host.is_empty()
            && !host.starts_with('-')
            && !host.contains(|c: char| c.is_whitespace() || c == '/')
            && user
                .as_ref()
                .is_none_or(|user| !user.is_empty() && !user.starts_with('-'));
        if !sound || port == 0 {
            return Err(error());
        }
        Ok(Hop {
            user,
            host: host.to_owned(),
            port,
        })
    }
}

fn split_port(place: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = place.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest {
            "" => Some((host, None)),
            _ => Some((host, Some(rest.strip_prefix(':')?))),
        };
    }
    match place.matches(':').count() {
        1 => place.split_once(':').map(|(host, port)| (host, Some(port))),
        // several are an IPv6 address
        _ => Some((place, None)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Hop;

    fn hop(user: Option<&str>, host: &str, port: u16) -> Hop {
        Hop {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
        }
    }

    #[test]
    fn names_and_addresses_with_and_without_user_and_port() {
        for (text, expected) in [
            ("bastion", hop(None, "bastion", 22)),
            ("10.0.0.1:2222", hop(None, "10.0.0.1", 2222)),
            ("admin@bastion:2222", hop(Some("admin"), "bastion", 2222)),
            ("fe80::1", hop(None, "fe80::1", 22)),
            ("[fe80::1]", hop(None, "fe80::1", 22)),
            ("root@[fe80::1]:2222", hop(Some("root"), "fe80::1", 2222)),
        ] {
            assert_eq!(Hop::parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_refused() {
        for text in [
            "",
            "h:",
            "h:ssh",
            "h:0",
            ":22",
            "@h",
            "-oProxyCommand=x",
            "[::1",
            "[::1]22",
            "a b",
            "ssh://h",
        ] {
            assert!(Hop::parse(text).is_err(), "{text}");
        }
    }
}
