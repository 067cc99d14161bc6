//! What free text tells: signatures, and the numbers that clients and servers print.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use portcullis_reason::Reason;

use crate::{
    signal::{Finding, Hop, Symptom},
    signature,
};

/// What `text` tells of a failure, if anything.
pub(crate) fn tell(text: &str) -> Option<Finding> {
    told(text, false, Marks::of(text))
}

/// The same for a line that its program marked as no trouble (`INFO`, `DEBUG`).
pub(crate) fn tell_quiet(text: &str) -> Option<Finding> {
    let marks = Marks::of(text);
    if marks.has(Mark::Talk) { None } else { told(text, true, marks) }
}

fn told(text: &str, quiet: bool, marks: Marks) -> Option<Finding> {
    let found = signature::find(text, quiet);
    let numbers = || status(text, marks).or_else(|| close_code(text, marks)).or_else(|| failed(text, marks));
    match found {
        Some(finding) if finding.symptom.is_some() => Some(finding),
        Some(finding) => Some(match numbers() {
            Some(number) if number.symptom.zip(finding.reason).is_some_and(|(s, reason)| s.fits(reason)) => {
                Finding { symptom: number.symptom, ..finding }
            }
            _ => finding,
        }),
        None if is_ordinary_close(text, marks) => None,
        None => numbers(),
    }
}

/// What a line has that makes it worth a closer look, found in one pass.
#[derive(Clone, Copy, Debug, Default)]
struct Marks(u8);

#[derive(Clone, Copy, Debug)]
enum Mark {
    /// What clients put before a status.
    Status = 1,
    /// A word of WebSockets.
    Socket = 2,
    /// `connection closed`.
    Closed = 4,
    /// What browsers put before `failed`.
    Failed = 8,
    /// It is about failures rather than one: a question, a test, a list of handlers.
    Talk = 16,
}

const MARKS: [(&str, Mark); 22] = [
    ("unexpected response code: ", Mark::Status),
    ("unexpected server response: ", Mark::Status),
    ("rejected websocket connection: http ", Mark::Status),
    ("http 101 response but was '", Mark::Status),
    ("bad response code from server: ", Mark::Status),
    ("handshake status ", Mark::Status),
    ("connection rejected (", Mark::Status),
    ("websocket: bad handshake (status ", Mark::Status),
    ("socket", Mark::Socket),
    ("wss:", Mark::Socket),
    ("ws:", Mark::Socket),
    ("wasclean", Mark::Socket),
    ("closeevent", Mark::Socket),
    ("/ws", Mark::Socket),
    ("connection closed", Mark::Closed),
    ("websocket connection to '", Mark::Failed),
    ("passed", Mark::Talk),
    ("registered", Mark::Talk),
    ("asked", Mark::Talk),
    ("handlers", Mark::Talk),
    ("documentation", Mark::Talk),
    ("skipped", Mark::Talk),
];

impl Marks {
    fn of(text: &str) -> Self {
        static SEARCH: LazyLock<AhoCorasick> =
            LazyLock::new(|| signature::automaton(MARKS.iter().map(|(text, _)| text)));
        let found = SEARCH.find_overlapping_iter(text);
        Self(found.fold(0, |marks, found| marks | MARKS[found.pattern().as_usize()].1 as u8))
    }

    const fn has(self, mark: Mark) -> bool {
        self.0 & mark as u8 != 0
    }
}

/// A client's word for the status that it was refused with.
fn status(text: &str, marks: Marks) -> Option<Finding> {
    if !marks.has(Mark::Status) {
        return None;
    }
    let lower = Lower(text);
    let mut leads = MARKS.iter().filter(|(_, mark)| matches!(mark, Mark::Status)).map(|(lead, _)| lead);
    let at = leads.find_map(|lead| Some(lower.find(lead)? + lead.len()))?;
    let status: u16 = text.get(at..at + 3)?.parse().ok()?;
    match status {
        101 => None,
        // The server, or what stands before it, took the upgrade for a plain request.
        200 | 426 => Some(
            Finding::cause(VOICE_STATUS, Reason::BadUpgrade)
                .vague()
                .at(Hop::Proxy)
                .seen_as(Symptom::Refused(status)),
        ),
        _ => Some(Finding::symptom(VOICE_STATUS, Symptom::Refused(status))),
    }
}

/// A close code that is no ordinary one, where the text speaks of closing.
fn close_code(text: &str, marks: Marks) -> Option<Finding> {
    let (code, _) = close_codes(text, marks).find(|(code, _)| !matches!(code, 1000 | 1001 | 1005))?;
    Some(Finding::symptom(VOICE_CLOSE, Symptom::Closed(code)))
}

fn is_ordinary_close(text: &str, marks: Marks) -> bool {
    let mut codes = close_codes(text, marks).peekable();
    codes.peek().is_some() && codes.all(|(code, _)| matches!(code, 1000 | 1001 | 1005))
}

/// The close codes of a text, with their places.
fn close_codes(text: &str, marks: Marks) -> impl Iterator<Item = (u16, usize)> {
    const WORDS: [&str; 9] = [
        "code",
        "close",
        "closed",
        "with",
        "received",
        "sent",
        "disconnect",
        "websocketdisconnect",
        "closecode",
    ];
    let of_sockets = marks.has(Mark::Socket);
    let closing = of_sockets || marks.has(Mark::Closed);
    let bytes = text.as_bytes();
    let digits = move |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let starts = memchr::memchr_iter(b'1', bytes)
        .chain(memchr::memchr_iter(b'3', bytes))
        .chain(memchr::memchr_iter(b'4', bytes));
    let mut starts: Vec<usize> = if closing {
        starts
            .filter(|&at| {
                (at == 0 || !bytes[at - 1].is_ascii_alphanumeric() && bytes[at - 1] != b'.')
                    && (at + 1..at + 4).all(digits)
                    && !bytes.get(at + 4).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'.')
            })
            .take(16)
            .collect()
    } else {
        Vec::new()
    };
    starts.sort_unstable();
    starts.into_iter().filter_map(move |at| {
        let code: u16 = text.get(at..at + 4)?.parse().ok()?;
        let registered = matches!(code, 1000..=1003 | 1005..=1015);
        if !(registered || of_sockets && matches!(code, 3000..=4999)) {
            return None;
        }
        let before = text[..at].trim_end_matches([' ', ':', '=', '(', '[', '"', '\'', '\\', '/']);
        let word = before.rsplit(|c: char| !c.is_ascii_alphabetic()).next()?;
        WORDS.iter().any(|known| word.eq_ignore_ascii_case(known)).then_some((code, at))
    })
}

/// A browser that says nothing but `failed`.
fn failed(text: &str, marks: Marks) -> Option<Finding> {
    if !marks.has(Mark::Failed) {
        return None;
    }
    let lower = Lower(text);
    let at = lower.find("websocket connection to '")?;
    let rest = Lower(&text[at..]);
    (rest.find("' failed").is_some()).then(|| Finding::symptom(VOICE_FAILED, Symptom::Failed))
}

/// Searching without regard to the case of ASCII letters.
struct Lower<'t>(&'t str);

impl Lower<'_> {
    fn find(&self, needle: &str) -> Option<usize> {
        let (bytes, needle) = (self.0.as_bytes(), needle.as_bytes());
        let first = needle[0];
        memchr::memchr2_iter(first, first.to_ascii_uppercase(), bytes).find(|&at| {
            bytes.get(at..at + needle.len()).is_some_and(|here| here.eq_ignore_ascii_case(needle))
        })
    }
}

const VOICE_STATUS: u32 = 1;
const VOICE_CLOSE: u32 = 2;
const VOICE_FAILED: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn symptom(text: &str) -> Option<Symptom> {
        tell(text).and_then(|finding| finding.symptom)
    }

    #[test]
    fn numbers_that_clients_print() {
        for (text, expected) in [
            (
                "WebSocket connection to 'wss://h/ws' failed: Error during WebSocket handshake: Unexpected response code: 403",
                Symptom::Refused(403),
            ),
            ("Error: Unexpected server response: 401", Symptom::Refused(401)),
            (
                "websockets.exceptions.InvalidStatus: server rejected WebSocket connection: HTTP 403",
                Symptom::Refused(403),
            ),
            (
                "java.net.ProtocolException: Expected HTTP 101 response but was '401 Unauthorized'",
                Symptom::Refused(401),
            ),
            ("app.js:3 WebSocket closed: code=1006 reason= wasClean=false", Symptom::Closed(1006)),
            ("CloseEvent {isTrusted: true, wasClean: false, code: 1008, reason: ''}", Symptom::Closed(1008)),
            ("starlette.websockets.WebSocketDisconnect: (1006, None)", Symptom::Closed(1006)),
            ("received 1011 (internal error); then sent 1011 on the websocket", Symptom::Closed(1011)),
            ("socket closed with 4401", Symptom::Closed(4401)),
            ("Connection closed with 1008 / 1011 / 1006", Symptom::Closed(1008)),
            ("WebSocket connection to 'wss://h/ws' failed: ", Symptom::Failed),
        ] {
            assert_eq!(symptom(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn ordinary_ends_and_other_numbers_tell_nothing() {
        for text in [
            "WebSocket closed: code=1000 reason=bye wasClean=true",
            "starlette.websockets.WebSocketDisconnect: (1001, '')",
            "websocket connection open, 1006 clients",
            "socket listens on 127.0.0.1:1008",
            "ticket closed with 4000 comments",
            "connection closed after 1011 ms",
            "HTTP 403 for the websocket page",
            "",
        ] {
            assert_eq!(tell(text), None, "{text}");
        }
    }

    #[test]
    fn a_reason_in_the_close_frame_counts() {
        let found =
            tell("websocket: close 1008 (policy violation): TOKEN_EXPIRED: The token has expired").unwrap();
        assert_eq!((found.reason, found.symptom), (Some(Reason::TokenExpired), Some(Symptom::Closed(1008))));
    }
}
