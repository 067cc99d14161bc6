//! Origins and authorities: which pages may connect (the same origin and the configured list, nothing else).

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

    fn port(&self) -> Option<u16> {
        self.authority.port.or_else(|| self.default_port())
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

    /// Whether the page came from the host that it now asks. A proxy may have ended TLS before us, so either of `http`
    /// and `https` fits, each with its own default port.
    fn same_host(&self, host: Authority<'_>) -> bool {
        let Some(default) = self.default_port() else { return false };
        self.authority.host.eq_ignore_ascii_case(host.host)
            && self.authority.port.unwrap_or(default) == host.port.unwrap_or(default)
    }
}

/// A configured origin, read once, its default port spelled out.
#[derive(Clone, Debug)]
struct Listed {
    scheme: Box<str>,
    host: Box<str>,
    port: Option<u16>,
}

impl Listed {
    /// Whether both are the same origin (RFC 6454 §5).
    fn is(&self, origin: &Origin<'_>) -> bool {
        self.port == origin.port()
            && self.scheme.eq_ignore_ascii_case(origin.scheme)
            && self.host.eq_ignore_ascii_case(origin.authority.host)
    }
}

/// The origins that may connect.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    listed: Vec<Listed>,
    pub(crate) same: SameOrigin,
}

impl Origins {
    pub(crate) fn add(&mut self, origin: &str) -> Result<(), InvalidOrigin> {
        let read = Origin::parse(origin).ok_or_else(|| InvalidOrigin(origin.to_owned()))?;
        let (scheme, host, port) = (read.scheme.into(), read.authority.host.into(), read.port());
        self.listed.push(Listed { scheme, host, port });
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
        if self.listed.iter().any(|listed| listed.is(&origin)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(origins: &Origins, origin: &str, host: &str) -> bool {
        origins.check(origin.as_bytes(), Authority::parse(host)).is_ok()
    }

    #[test]
    fn authorities_are_a_host_and_an_optional_port() {
        for (text, host, port) in [
            ("example.com", "example.com", None),
            ("example.com:", "example.com", None),
            ("EXAMPLE.com:8000", "EXAMPLE.com", Some(8000)),
            ("127.0.0.1:1", "127.0.0.1", Some(1)),
            ("[::1]", "[::1]", None),
            ("[::1]:65535", "[::1]", Some(65535)),
            ("under_score", "under_score", None),
        ] {
            let read = Authority::parse(text).unwrap();
            assert_eq!((read.host, read.port), (host, port), "{text}");
        }
        for text in [
            "", ":80", "a,b", "a b", "u@h", "h:80:80", "h:x", "h:-1", "h:65536", "[::1", "::1", "[]", "[h]",
            "[::1]x", "h/p", "h?", "h#", "h\\", "h%41", "\u{e9}",
        ] {
            assert_eq!(Authority::parse(text), None, "{text}");
        }
    }

    #[test]
    fn same_origin_compares_host_and_port() {
        let any = Origins { same: SameOrigin::Any, ..Origins::default() };
        for (origin, host, good) in [
            ("https://gate.example", "gate.example", true),
            ("http://gate.example", "gate.example", true),
            ("https://gate.example:443", "gate.example", true),
            ("https://gate.example", "gate.example:443", true),
            ("http://GATE.example:8000", "gate.EXAMPLE:8000", true),
            ("https://gate.example", "gate.example:80", false),
            ("https://gate.example:8443", "gate.example", false),
            ("https://gate.example.evil.example", "gate.example", false),
            ("https://evilgate.example", "gate.example", false),
            ("https://gate.example.", "gate.example", false),
            ("ftp://gate.example", "gate.example", false),
            ("chrome-extension://gate.example", "gate.example", false),
            ("null", "gate.example", false),
            ("", "gate.example", false),
            ("gate.example", "gate.example", false),
            ("https://gate.example/", "gate.example", false),
            ("https://user@gate.example", "gate.example", false),
            ("https://gate.example https://gate.example", "gate.example", false),
            ("https://gate.example,https://gate.example", "gate.example", false),
        ] {
            assert_eq!(verdict(&any, origin, host), good, "{origin} at {host}");
        }
        assert!(any.check(b"https://gate.example", None).is_err());
    }

    #[test]
    fn on_loopback_only_its_own_names_count() {
        let loopback = Origins::default();
        for (host, good) in [
            ("localhost:8000", true),
            ("127.0.0.1:8000", true),
            ("127.9.9.9:8000", true),
            ("[::1]:8000", true),
            ("rebound.evil.example:8000", false),
            ("localhost.evil.example:8000", false),
            ("127.0.0.1.evil.example:8000", false),
            ("10.0.0.1:8000", false),
            ("[::2]:8000", false),
        ] {
            assert_eq!(verdict(&loopback, &format!("http://{host}"), host), good, "{host}");
        }
        assert!(!verdict(&loopback, "http://localhost:3000", "localhost:8000"));
        let named = Origins { same: SameOrigin::Hosts(vec!["gate.example".into()]), ..Origins::default() };
        assert!(verdict(&named, "https://gate.example", "gate.example"));
        assert!(!verdict(&named, "https://other.example", "other.example"));
    }

    #[test]
    fn listed_origins_are_exact() {
        let mut origins = Origins::default();
        origins.add("https://app.example").unwrap();
        origins.add("HTTP://dev.example:3000").unwrap();
        origins.add("chrome-extension://abcdefgh").unwrap();
        for (origin, good) in [
            ("https://app.example", true),
            ("https://APP.example:443", true),
            ("http://app.example", false),
            ("https://app.example:8443", false),
            ("https://sub.app.example", false),
            ("https://app.example.evil.example", false),
            ("http://dev.example:3000", true),
            ("http://dev.example", false),
            ("chrome-extension://abcdefgh", true),
            ("chrome-extension://abcdefgi", false),
        ] {
            assert_eq!(verdict(&origins, origin, "gate.example"), good, "{origin}");
        }
        for bad in ["*", "null", "app.example", "https://app.example/", "https://*.example", "https://"] {
            assert_eq!(origins.add(bad), Err(InvalidOrigin(bad.to_owned())), "{bad}");
        }
    }
}
