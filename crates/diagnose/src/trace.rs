//! Tracebacks of Python: many lines, one event.

use crate::{
    signal::{Finding, Symptom},
    text,
};

/// What a traceback has come to so far. It keeps one exception and no line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    best: Option<(Finding, String)>,
    last: String,
    /// The exception's line was read, so a line that goes on with nothing of a traceback ends it.
    concluded: bool,
    /// A frame of the server's WebSocket code, or of its plain HTTP code, was seen.
    of_socket: bool,
    of_http: bool,
}

impl Trace {
    /// Whether `line` begins a traceback.
    pub(crate) fn begins(line: &str) -> bool {
        line.trim_start_matches([' ', '|', '+', '-']).contains("Traceback (most recent call last)")
    }

    /// Takes the next line; says no if it is no part of it.
    pub(crate) fn take(&mut self, line: &str) -> bool {
        let bare = line.trim_start_matches([' ', '\t', '|', '+', '-']);
        if bare.is_empty() || Self::begins(line) || goes_on(bare) {
            return true;
        }
        let indented = line.starts_with([' ', '\t']);
        let of_group = line.trim_start().starts_with('|');
        if indented && !of_group {
            self.of_socket |= bare.contains("websocket");
            self.of_http |= bare.contains("/protocols/http/");
            return true;
        }
        if of_group && !is_exception(bare) {
            return true;
        }
        if self.concluded && !is_exception(bare) {
            return false;
        }
        if !is_exception(bare) {
            // Something was written in between; an exception may still follow.
            return false;
        }
        self.concluded = true;
        self.last = bare.chars().take(512).collect();
        if let Some(finding) = text::tell(bare)
            && self.best.as_ref().is_none_or(|(known, _)| known.certainty <= finding.certainty)
        {
            self.best = Some((finding, self.last.clone()));
        }
        true
    }

    /// What it says, with the exception's line.
    pub(crate) fn end(self) -> Option<(Finding, String)> {
        self.best
    }

    /// Whether an exception without a reason is none of a WebSocket's: a client has just left, which frameworks print as an
    /// exception as well, or it was raised for a plain request.
    pub(crate) fn is_of_no_concern(&self) -> bool {
        is_of_someone_leaving(&self.last) || self.of_http && !self.of_socket
    }
}

/// Whether an exception's line says no more than that a peer, or the server itself, has left.
pub(crate) fn is_of_someone_leaving(line: &str) -> bool {
    let left = ["Disconnect", "ConnectionClosedOK", "CancelledError", "KeyboardInterrupt", "SystemExit"];
    is_exception(line) && left.iter().any(|name| line.contains(name)) && text::tell(line).is_none()
}

/// An exception that was raised in the server.
pub(crate) const fn raised(finding: Finding) -> Finding {
    match finding.symptom {
        Some(_) => finding,
        None => finding.seen_as(Symptom::ServerError),
    }
}

/// What Python writes between the parts of one traceback.
fn goes_on(line: &str) -> bool {
    line.starts_with("The above exception was the direct cause")
        || line.starts_with("During handling of the above exception")
        || line.starts_with("[Previous line repeated")
}

/// `ValueError: text`, `jwt.exceptions.DecodeError: text`, `KeyError`.
pub(crate) fn is_exception(line: &str) -> bool {
    let name = line.split([':', '(']).next().unwrap_or(line).trim_end();
    !name.is_empty()
        && name.len() <= 128
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
        && name.rsplit('.').next().is_some_and(|last| {
            last.starts_with(|c: char| c.is_ascii_uppercase())
                && [
                    "Error",
                    "Exception",
                    "Disconnect",
                    "Exit",
                    "Interrupt",
                    "Warning",
                    "OK",
                    "Closed",
                    "Group",
                    "Timeout",
                    "Disconnected",
                    "Status",
                ]
                .iter()
                .any(|end| last.ends_with(end))
        })
}
