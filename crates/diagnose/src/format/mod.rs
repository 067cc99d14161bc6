//! The formats that are read, and what one line or entry of any of them comes to.

pub(crate) mod access;
pub(crate) mod context;
pub(crate) mod har;
pub(crate) mod json;
pub(crate) mod nginx;
pub(crate) mod plain;

use std::borrow::Cow;

use serde::Serialize;

use crate::{keys::Keys, signal::Finding, time::Millis};

/// What kind of log a line is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// The log of Portcullis, as JSON or as text.
    Portcullis,
    /// Uvicorn's lines, and those of servers that write the same.
    Uvicorn,
    /// Access logs in the combined format: nginx, Apache, gunicorn, Daphne.
    Access,
    /// nginx's error log.
    NginxError,
    /// `HAProxy`'s HTTP log.
    Haproxy,
    /// Cloud Logging entries, as exported from Cloud Run and others.
    Gcp,
    /// One JSON object a line, of any other program.
    Json,
    /// A browser's console.
    Console,
    /// An HTTP archive.
    Har,
    /// Lines with a time or a level, of any other program.
    Plain,
}

impl Format {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portcullis => "Portcullis",
            Self::Uvicorn => "Uvicorn",
            Self::Access => "access log",
            Self::NginxError => "nginx error log",
            Self::Haproxy => "HAProxy",
            Self::Gcp => "Cloud Logging",
            Self::Json => "JSON lines",
            Self::Console => "browser console",
            Self::Har => "HAR",
            Self::Plain => "plain log",
        }
    }
}

/// What a line comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Of no format that is known, and with nothing in it that is.
    Unknown,
    /// Understood, and of no concern.
    Ordinary,
    /// A handshake succeeded.
    Accepted,
    /// So many refusals were not logged one by one.
    Suppressed(u64),
    /// A failure.
    Found(Finding),
}

/// A line or entry that was read.
#[derive(Clone, Debug)]
pub(crate) struct Parsed<'t> {
    pub(crate) format: Option<Format>,
    pub(crate) at: Option<Millis>,
    pub(crate) keys: Keys,
    pub(crate) outcome: Outcome,
    /// What is shown as evidence, before it is redacted.
    pub(crate) shown: Cow<'t, str>,
}

impl<'t> Parsed<'t> {
    pub(crate) fn new(format: Format, shown: impl Into<Cow<'t, str>>) -> Self {
        Self {
            format: Some(format),
            at: None,
            keys: Keys::default(),
            outcome: Outcome::Ordinary,
            shown: shown.into(),
        }
    }

    pub(crate) const fn at(mut self, at: Option<Millis>) -> Self {
        self.at = at;
        self
    }

    pub(crate) fn keys(mut self, keys: Keys) -> Self {
        self.keys = keys.seen_by(self.format.map_or(0, |format| format as u8 + 1));
        self
    }

    pub(crate) fn finding(mut self, finding: Option<Finding>) -> Self {
        self.outcome = finding.map_or(self.outcome, Outcome::Found);
        self
    }
}

/// Paths at which upgrades were seen to succeed; others are known by their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paths {
    learned: Vec<Box<str>>,
}

impl Paths {
    const MOST: usize = 32;

    /// Remembers the path of a handshake that succeeded.
    pub(crate) fn learn(&mut self, target: &str) {
        let path = path_of(target);
        if self.learned.len() < Self::MOST && path.len() <= 256 && !self.is_socket(target) {
            self.learned.push(path.into());
        }
    }

    /// Whether a request for `target` is, as far as its path tells, for a WebSocket.
    pub(crate) fn is_socket(&self, target: &str) -> bool {
        const NAMES: [&str; 9] =
            ["ws", "wss", "websocket", "websockets", "socket", "sockets", "cable", "graphql-ws", "sockjs"];
        // Plain HTTP routes beside a socket's path.
        const PLAIN: [&str; 9] =
            ["health", "healthz", "config", "preflight", "stats", "status", "info", "metrics", "docs"];
        let path = path_of(target);
        if self.learned.iter().any(|known| **known == *path) {
            return true;
        }
        let query = target.split_once('?').map_or("", |(_, query)| query);
        if query.contains("transport=websocket") {
            return true;
        }
        let last = path.rsplit('/').next().unwrap_or_default();
        let is_file = last.contains('.');
        !is_file
            && !PLAIN.contains(&last)
            && path.split('/').any(|part| NAMES.iter().any(|name| part.eq_ignore_ascii_case(name)))
    }
}

/// The path of a target, which may be in absolute form.
pub(crate) fn path_of(target: &str) -> &str {
    let rest = match target.split_once("://") {
        Some((scheme, rest)) if scheme.len() <= 5 => rest.find('/').map_or("/", |at| &rest[at..]),
        _ => target,
    };
    rest.split(['?', '#']).next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_sockets_are_known_by_name_or_learned() {
        let mut paths = Paths::default();
        for target in [
            "/ws",
            "/ws/main?x=1",
            "/api/v1/websocket",
            "wss://h/ws",
            "/cable",
            "/socket.io/?EIO=4&transport=websocket",
        ] {
            assert!(paths.is_socket(target), "{target}");
        }
        for target in [
            "/",
            "/ws/health",
            "/news",
            "/assets/ws.js",
            "/ws/app.js",
            "/socket.io/?EIO=4&transport=polling",
            "/chat",
        ] {
            assert!(!paths.is_socket(target), "{target}");
        }
        paths.learn("/chat?room=1");
        assert!(paths.is_socket("/chat"));
        for at in 0..1000 {
            paths.learn(&format!("/{at}"));
        }
        assert!(paths.learned.len() <= Paths::MOST);
    }
}
