//! What was sent and what came, without a credential in it.

use std::{fmt::Write as _, sync::Arc, time::Instant};

use parking_lot::Mutex;
use portcullis_token::{base64url, fingerprint};
use serde::Serialize;

use crate::clock::CLOCK;

/// One connection of a case: both directions as text, with what is not printable escaped.
#[derive(Clone, Debug, Serialize)]
pub struct Exchange {
    /// What was tried.
    pub what: String,
    /// What was sent, at most 2 KiB of it.
    pub sent: String,
    /// What came, at most 2 KiB of it.
    pub received: String,
    /// How long it took, from the first byte sent.
    pub ms: u64,
}

/// The secrets that must not be in a report. Shared by all cases.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redactor(Arc<Mutex<Vec<(String, String)>>>);

impl Redactor {
    /// Learns one more text that is to be blacked out, in each spelling in which it may travel.
    pub(crate) fn learn(&self, secret: &str) {
        if secret.len() < SHORTEST {
            return;
        }
        let shown = format!("<{}>", fingerprint(secret));
        let mut known = self.0.lock();
        if known.iter().any(|(text, _)| text == secret) || known.len() >= MOST {
            return;
        }
        known.push((secret.to_owned(), shown.clone()));
        known.push((base64url::encode(secret.as_bytes()), shown));
        // The longest first, so that no piece of a longer one is left.
        known.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
    }

    /// `text` with every known secret, and everything that has the looks of a token, blacked out.
    pub(crate) fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (secret, shown) in self.0.lock().iter() {
            if text.contains(secret) {
                text = text.replace(secret, shown);
            }
        }
        without_tokens(&text)
    }
}

/// Blacks out what begins like a JWT (`eyJ`, or that in base64url once more), known or not.
fn without_tokens(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = ["eyJ", "ZXlK"].iter().filter_map(|start| rest.find(start)).min() {
        let run = rest[at..].find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c));
        let end = at + run.unwrap_or(rest.len() - at);
        out.push_str(&rest[..at]);
        if end - at >= SHORTEST {
            let _ = write!(out, "<{}>", fingerprint(&rest[at..end]));
        } else {
            out.push_str(&rest[at..end]);
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// The record of one connection, under way.
#[derive(Debug)]
pub(crate) struct Tape {
    what: String,
    sent: Track,
    received: Track,
    began: Instant,
    last: Instant,
}

#[derive(Debug, Default)]
struct Track {
    bytes: Vec<u8>,
    /// How many were not kept.
    left_off: usize,
}

impl Tape {
    pub(crate) fn new(what: &str) -> Self {
        let now = CLOCK.instant();
        Self {
            what: what.to_owned(),
            sent: Track::default(),
            received: Track::default(),
            began: now,
            last: now,
        }
    }

    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        self.sent.push(bytes);
    }

    /// A frame as it was before it was masked.
    pub(crate) fn sent_frame(&mut self, bytes: &[u8]) {
        self.sent.push(b"\n[masked] ");
        self.sent.push(bytes);
    }

    pub(crate) fn received(&mut self, bytes: &[u8]) {
        self.received.push(bytes);
        self.last = CLOCK.instant();
    }

    /// A line of ours among what came: how the connection ended.
    pub(crate) fn note(&mut self, text: &str) {
        let line = format!("\n[{text}]");
        self.received.bytes.extend_from_slice(line.as_bytes());
        self.last = CLOCK.instant();
    }

    pub(crate) fn exchange(&self, redactor: &Redactor) -> Exchange {
        Exchange {
            what: self.what.clone(),
            sent: self.sent.show(redactor),
            received: self.received.show(redactor),
            ms: u64::try_from(self.last.duration_since(self.began).as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Track {
    fn push(&mut self, bytes: &[u8]) {
        // Kept longer than it is shown: a token that is cut in two would not be known any more.
        let room = KEPT.saturating_sub(self.bytes.len()).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
        self.left_off += bytes.len() - room;
    }

    fn show(&self, redactor: &Redactor) -> String {
        let text = redactor.clean(&printable(&self.bytes));
        let cut = text.floor_char_boundary(SHOWN.min(text.len()));
        let left_off = self.left_off + text.len() - cut;
        let mut shown = text[..cut].to_owned();
        if left_off > 0 {
            let _ = write!(shown, "… ({left_off} more)");
        }
        shown
    }
}

/// Line ends as they are, the rest of what is not printable as `\x00`.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\r' => {}
                '\n' => out.push('\n'),
                c if c.is_control() => {
                    let _ = write!(out, "\\x{:02x}", u32::from(c));
                }
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// Shorter texts are found by chance.
const SHORTEST: usize = 16;
/// Secrets that are remembered; a run makes fewer.
const MOST: usize = 1024;
const KEPT: usize = 24 * 1024;
const SHOWN: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_blacked_out_known_or_not_and_in_each_spelling() {
        let redactor = Redactor::default();
        let token = "a-secret-that-has-no-looks";
        redactor.learn(token);
        let wrapped = base64url::encode(token.as_bytes());
        let shown = format!("<{}>", fingerprint(token));
        assert_eq!(redactor.clean(&format!("x {token} y {wrapped} z")), format!("x {shown} y {shown} z"));
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln";
        assert_eq!(redactor.clean(&format!("?token={jwt}&a")), format!("?token=<{}>&a", fingerprint(jwt)));
        assert_eq!(redactor.clean("eyJ is how they begin"), "eyJ is how they begin");
    }

    #[test]
    fn what_is_long_is_cut_after_it_was_cleaned() {
        let redactor = Redactor::default();
        let token = format!("eyJ{}", "a".repeat(3000));
        redactor.learn(&token);
        let mut tape = Tape::new("long");
        tape.sent(format!("{}{token}tail", "x".repeat(SHOWN - 100)).as_bytes());
        let shown = tape.exchange(&redactor).sent;
        assert!(!shown.contains("eyJ"), "{shown}");
        assert!(shown.len() < SHOWN + 100);
    }

    #[test]
    fn bytes_are_made_printable() {
        assert_eq!(printable(b"HTTP/1.1 200\r\nA: \x00\xff\x81"), "HTTP/1.1 200\nA: \\x00\\xff\\x81");
    }
}
