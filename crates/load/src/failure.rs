//! How an operation can fail, and the kinds by which failures are counted.

use std::{collections::BTreeMap, fmt, io};

use portcullis_frame::FrameError;
use portcullis_handshake::ClientError;
use serde::Serialize;

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No TCP connection came about.
    Connect(io::ErrorKind),
    /// No TLS session came about.
    Tls(String),
    /// It took longer than it may; named is what was waited for.
    Timeout(&'static str),
    /// The server refused the handshake.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The `reason` of its problem document, where it has one.
        reason: Option<String>,
    },
    /// The answer to the handshake was none.
    Answer(ClientError),
    /// The server broke the framing.
    Framing(FrameError),
    /// The server sent a close frame.
    Closed {
        /// Its code.
        code: Option<u16>,
        /// Its text.
        reason: String,
    },
    /// The connection ended without a close frame.
    Lost(io::ErrorKind),
    /// A credential that should be refused was accepted; with the close that came behind it, if one came.
    Accepted(Option<u16>),
    /// The server answered a message with an error of its own protocol.
    Answered(String),
}

impl Failure {
    /// The kind by which it is counted. What the server wrote is cut to a line that can be shown anywhere.
    pub fn kind(&self) -> Kind {
        let mut kind = self.raw_kind();
        kind.reason = kind.reason.map(|reason| one_line(&reason));
        kind
    }

    fn raw_kind(&self) -> Kind {
        let kind = |name| Kind { kind: name, status: None, code: None, reason: None };
        match self {
            Self::Connect(error) => Kind { reason: Some(phrase(*error)), ..kind("connect") },
            Self::Tls(reason) => Kind { reason: Some(reason.clone()), ..kind("tls") },
            Self::Timeout(phase) => Kind { reason: Some((*phase).to_owned()), ..kind("timeout") },
            Self::Refused { status, reason } => {
                Kind { status: Some(*status), reason: reason.clone(), ..kind("refused") }
            }
            Self::Answer(error) => Kind { reason: Some(error.to_string()), ..kind("answer") },
            Self::Framing(error) => Kind { reason: Some(error.to_string()), ..kind("framing") },
            Self::Closed { code, reason } => {
                Kind { code: *code, reason: (!reason.is_empty()).then(|| reason.clone()), ..kind("closed") }
            }
            Self::Lost(error) => Kind { reason: Some(phrase(*error)), ..kind("lost") },
            Self::Accepted(None) => kind("accepted"),
            Self::Accepted(code) => Kind { code: *code, ..kind("accepted_then_closed") },
            Self::Answered(reason) => Kind { reason: Some(reason.clone()), ..kind("answered") },
        }
    }
}

/// What failures are counted by. What the server wrote is cut to a line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Kind {
    /// `connect`, `tls`, `timeout`, `refused`, `answer`, `framing`, `closed`, `lost`, `accepted`,
    /// `accepted_then_closed`, `answered`, or `other` beyond the most kinds that are kept apart.
    pub kind: &'static str,
    /// The HTTP status, of refusals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The close code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// What the server or the system said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind.replace('_', " "))?;
        for number in [self.status, self.code].into_iter().flatten() {
            write!(f, " {number}")?;
        }
        self.reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
    }
}

/// Failures, counted by kind. Servers write reasons as they like, so the number of kinds is bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures(BTreeMap<Kind, u64>);

impl Failures {
    /// Counts one.
    pub fn add(&mut self, failure: &Failure) {
        self.count(failure.kind(), 1);
    }

    /// Counts those of another.
    pub fn merge(&mut self, other: &Self) {
        for (kind, count) in &other.0 {
            self.count(kind.clone(), *count);
        }
    }

    /// How many in all.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The kinds, most frequent first.
    pub fn kinds(&self) -> Vec<(&Kind, u64)> {
        let mut kinds: Vec<_> = self.0.iter().map(|(kind, count)| (kind, *count)).collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        kinds
    }

    fn count(&mut self, kind: Kind, count: u64) {
        let known = self.0.len() < MOST_KINDS || self.0.contains_key(&kind);
        let kind = if known { kind } else { Kind { kind: "other", status: None, code: None, reason: None } };
        *self.0.entry(kind).or_default() += count;
    }
}

/// What a server wrote, as far as a table shows it: nothing that a terminal would obey, or that is there unseen.
fn one_line(text: &str) -> String {
    let shown = |c: char| if c.is_control() || is_unseen(c) { ' ' } else { c };
    let clean: String = text.chars().map(shown).take(MOST_CHARACTERS + 1).collect();
    match clean.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean,
    }
}

/// Characters without width, and those that turn the direction of writing.
const fn is_unseen(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// An error of the system in words.
fn phrase(error: io::ErrorKind) -> String {
    match error {
        // What it is called where a read found the end.
        io::ErrorKind::UnexpectedEof => "the connection ended".to_owned(),
        other => other.to_string(),
    }
}

const MOST_KINDS: usize = 50;

const MOST_CHARACTERS: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_tell_failures_apart_and_read_well() {
        let mut failures = Failures::default();
        for failure in [
            Failure::Refused { status: 401, reason: Some("NO_TOKEN".into()) },
            Failure::Refused { status: 401, reason: Some("TOKEN_EXPIRED".into()) },
            Failure::Refused { status: 401, reason: Some("NO_TOKEN".into()) },
            Failure::Closed { code: Some(1013), reason: "SLOW_CONSUMER".into() },
            Failure::Closed { code: None, reason: String::new() },
            Failure::Timeout("the 101"),
            Failure::Accepted(Some(1008)),
            Failure::Connect(io::ErrorKind::ConnectionRefused),
        ] {
            failures.add(&failure);
        }
        let shown: Vec<String> =
            failures.kinds().iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        assert_eq!(
            shown,
            [
                "2 refused 401: NO_TOKEN",
                "1 accepted then closed 1008",
                "1 closed",
                "1 closed 1013: SLOW_CONSUMER",
                "1 connect: connection refused",
                "1 refused 401: TOKEN_EXPIRED",
                "1 timeout: the 101",
            ]
        );
        assert_eq!(failures.total(), 8);
    }

    #[test]
    fn a_server_cannot_make_endless_kinds_or_lines() {
        let mut failures = Failures::default();
        for number in 0..200 {
            failures.add(&Failure::Closed { code: Some(4000), reason: format!("{number}\n\x1b[31m") });
        }
        assert_eq!((failures.kinds().len(), failures.total()), (MOST_KINDS + 1, 200));
        assert_eq!(failures.kinds()[0].0.kind, "other");
        let mut failures = Failures::default();
        failures.add(&Failure::Answered("€".repeat(500)));
        let (kind, _) = failures.kinds()[0];
        assert_eq!(kind.reason.as_deref(), Some(format!("{}…", "€".repeat(MOST_CHARACTERS)).as_str()));
        assert!(!format!("{failures:?}").contains("\\u{1b}"));
    }
}
