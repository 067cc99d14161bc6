//! Where the server is.

use std::{fmt, str::FromStr};

/// The place to test: scheme, host, port and request target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `wss` or `https`.
    pub secure: bool,
    /// Name or address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and query.
    pub path: String,
}

/// Why a URL is not one to test.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Another scheme, or none.
    #[error("`{0}` does not begin with ws://, wss://, http:// or https://")]
    Scheme(String),
    /// A user or password in the URL.
    #[error("a URL with a user name in it is not taken: credentials go into --token-file or --secret-file")]
    UserInfo,
    /// No host, or one that cannot be.
    #[error("`{0}` has no host that can be reached")]
    Host(String),
    /// A port that is none.
    #[error("`{0}` is not a port")]
    Port(String),
    /// Spaces or control characters.
    #[error("the URL holds a space or a control character; write it percent-encoded")]
    Character,
}

impl Target {
    /// Reads `ws://host:port/path?query`, and the same with `wss`, `http` and `https`.
    ///
    /// # Errors
    /// Whatever is wrong with it.
    pub fn parse(url: &str) -> Result<Self, TargetError> {
        if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(TargetError::Character);
        }
        let (scheme, rest) = url.split_once("://").ok_or_else(|| TargetError::Scheme(url.to_owned()))?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "ws" | "http" => false,
            "wss" | "https" => true,
            _ => return Err(TargetError::Scheme(url.to_owned())),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(TargetError::UserInfo);
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(inner) => {
                let (host, rest) =
                    inner.split_once(']').ok_or_else(|| TargetError::Host(authority.to_owned()))?;
                (host, rest.strip_prefix(':'))
            }
            None => match authority.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        if host.is_empty() || host.contains(['/', '\\']) {
            return Err(TargetError::Host(authority.to_owned()));
        }
        let port = match port {
            Some(text) => text.parse().map_err(|_| TargetError::Port(text.to_owned()))?,
            None if secure => 443,
            None => 80,
        };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { secure, host: host.to_owned(), port, path })
    }

    /// The value of `Host`.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = if self.secure { 443 } else { 80 };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }

    /// The origin of pages that the same server would serve.
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.authority())
    }

    /// Whether it is on this machine, by its name.
    pub fn is_loopback(&self) -> bool {
        let name = self.host.to_ascii_lowercase();
        name == "localhost"
            || name.ends_with(".localhost")
            || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// The path without its query.
    pub fn bare_path(&self) -> &str {
        self.path.split('?').next().unwrap_or("/")
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(url: &str) -> Result<Self, TargetError> {
        Self::parse(url)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.secure { "wss" } else { "ws" }, self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (url, shown, origin) in [
            ("ws://127.0.0.1:8000/ws", "ws://127.0.0.1:8000/ws", "http://127.0.0.1:8000"),
            ("wss://chat.example", "wss://chat.example/", "https://chat.example"),
            (
                "https://chat.example:443/ws?mode=main#x",
                "wss://chat.example/ws?mode=main",
                "https://chat.example",
            ),
            ("ws://[::1]:80?a=b", "ws://[::1]/?a=b", "http://[::1]"),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!(target.to_string(), shown);
            assert_eq!(target.origin(), origin);
        }
    }

    #[test]
    fn what_is_no_url_is_told() {
        for (url, error) in [
            ("chat.example", TargetError::Scheme("chat.example".into())),
            ("ftp://a/", TargetError::Scheme("ftp://a/".into())),
            ("ws://u:p@a/", TargetError::UserInfo),
            ("ws:///ws", TargetError::Host(String::new())),
            ("ws://a:http/", TargetError::Port("http".into())),
            ("ws://a/b c", TargetError::Character),
        ] {
            assert_eq!(Target::parse(url), Err(error));
        }
    }

    #[test]
    fn loopback_is_known_by_name() {
        for (url, loopback) in [
            ("ws://localhost/", true),
            ("ws://[::1]/", true),
            ("ws://127.8.8.8/", true),
            ("ws://10.0.0.1/", false),
        ] {
            assert_eq!(Target::parse(url).unwrap().is_loopback(), loopback, "{url}");
        }
    }
}
