//! Origins and authorities: which pages may connect (design: same origin and the configured list, nothing else).

use std::net::Ipv6Addr;

/// Which `Host` a page of the same origin may have come from.
///
/// A name that resolves to loopback can be made by anyone (DNS rebinding): there the `Host` that the attacker chose and
/// the `Origin` of the attacker's page agree. So on loopback only loopback's own names count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SameOrigin {
    /// Any host: for listeners behind a proxy or on a public address.
    Any,
    /// `localhost`, `127.0.0.0/8` and `[::1]`: for listeners on loopback.
    #[default]
    Loopback,
    /// These hosts (without port), in lower case. An empty list leaves only the configured origins.
    Hosts(Vec<Box<str>>),
}

impl SameOrigin {
    fn counts(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Loopback => is_loopback(host),
            Self::Hosts(hosts) => hosts.iter().any(|known| known.eq_ignore_ascii_case(host)),
        }
    }
}

/// A configured origin is not of the form `scheme://host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an origin: write scheme://host or scheme://host:port, without path or wildcard")]
pub struct InvalidOrigin(pub String);

/// A host with an optional port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Authority<'b> {
    pub(crate) text: &'b str,
    pub(crate) host: &'b str,
    pub(crate) port: Option<u16>,
}

impl<'b> Authority<'b> {
    /// Reads `uri-host [ ":" port ]` (RFC 3986 §3.2), without user information and not empty.
    pub(crate) fn parse(text: &'b str) -> Option<Self> {
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let close = rest.find(']')?;
            rest[..close].parse::<Ipv6Addr>().ok()?;
            let (host, rest) = text.split_at(close + 2);
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        } else {
            let (host, port) = match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            };
            if host.is_empty() || !host.bytes().all(is_host_byte) {
                return None;
            }
            (host, port)
        };
        let port = match port {
            // `port = *DIGIT`: an empty one says the default.
            None | Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            Some(_) => return None,
        };
        Some(Self { text, host, port })
    }
}

/// The `Origin` of a request or of the configured list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'b> {
    scheme: &'b str,
    authority: Authority<'b>,
}

impl<'b> Origin<'b> {
    /// Reads `scheme "://" host [ ":" port ]` and nothing else: no path, no list, no `null` (RFC 6454 §6.2).
    pub(crate) fn parse(text: &'b str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let mut bytes = scheme.bytes();
        if !bytes.next()?.is_ascii_alphabetic()
            || !bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        {
            return None;
        }
        Some(Self { scheme, authority: Authority::parse(rest)? })
    }

    fn default_port(&self) -> Option<u16> {
        if self.scheme.eq_ignore_ascii_case("https") {
            Some(443)
        } else if self.scheme.eq_ignore_ascii_case("http") {
            Some(80)
        } else {
            None
        }
    }

    /// Whether both are the same origin (RFC 6454 §5), default ports spelled out or not.
    fn same(&self, other: &Origin<'_>) -> bool {
        self.scheme.eq_ignore_ascii_case(other.scheme)
            && self.authority.host.eq_ignore_ascii_case(other.authority.host)
            && self.authority.port.or(self.default_port()) == other.authority.port.or(other.default_port())
    }

    /// Whether the page came from the host that it now asks. A proxy may have ended TLS before us, so either of `http`
    /// and `https` fits, each with its own default port.
    fn same_host(&self, host: Authority<'_>) -> bool {
        let Some(default) = self.default_port() else { return false };
        self.authority.host.eq_ignore_ascii_case(host.host)
            && self.authority.port.unwrap_or(default) == host.port.unwrap_or(default)
    }
}

/// The origins that may connect.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    pub(crate) listed: Vec<Box<str>>,
    pub(crate) same: SameOrigin,
}

impl Origins {
    pub(crate) fn add(&mut self, origin: &str) -> Result<(), InvalidOrigin> {
        if Origin::parse(origin).is_none() {
            return Err(InvalidOrigin(origin.to_owned()));
        }
        self.listed.push(origin.into());
        Ok(())
    }

    /// Whether a page of `origin` may connect to `host`; the error says why not, for the log.
    pub(crate) fn check(&self, origin: &[u8], host: Option<Authority<'_>>) -> Result<(), &'static str> {
        if origin == b"null" {
            return Err("the origin is null: a sandboxed frame, a file or a redirect");
        }
        let Some(origin) = str::from_utf8(origin).ok().and_then(Origin::parse) else {
            return Err("the Origin field is not an origin");
        };
        if self.listed.iter().filter_map(|listed| Origin::parse(listed)).any(|listed| listed.same(&origin)) {
            return Ok(());
        }
        match host {
            Some(host) if origin.same_host(host) && self.same.counts(host.host) => Ok(()),
            Some(host) if origin.same_host(host) => Err(
                "the origin equals Host, but this listener does not count that host as its own (DNS rebinding)",
            ),
            _ => Err("the origin is neither the server's own nor on the list"),
        }
    }
}

fn is_host_byte(byte: u8) -> bool {
    // Unreserved characters alone: percent-encoded and sub-delimiter names exist on paper only, and `,` or `@` there
    // is somebody trying.
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .and_then(|address| address.parse::<Ipv6Addr>().ok())
            .is_some_and(|address| address.is_loopback())
}
