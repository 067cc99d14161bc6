//! RFC 6455 at the level of frames: bytes in, events or a close code out.
//!
//! Rows are named by requirement: FR is section 5 (frames), CT section 5.5 (control frames), CL section 7 (ending). The
//! bytes are built here, not by the crate's encoder. Each row runs as one chunk, byte by byte and in a few chunk sizes
//! between, and has to end the same way each time. Left to the session, which decides when to answer: CT-02, CT-04,
//! CT-06, CT-07, CT-10, CL-01, CL-02 and CL-08 to CL-10; FR-13 binds intermediaries alone.

use portcullis_frame::{Decoder, Frame, FrameError, Limits, Message, Role, WireCode, shared_text};
use portcullis_reason::{CloseProfile, Reason};

/// What the decoder says, in a form that a failing test can show.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
    /// Failed; the connection is closed with this code.
    Fail(u16),
}

use Event::{Binary, Close, Fail, Ping, Pong, Text};

struct Row {
    id: &'static str,
    what: &'static str,
    bytes: Vec<u8>,
    expected: Vec<Event>,
}

fn row(id: &'static str, what: &'static str, bytes: impl Into<Vec<u8>>, expected: &[Event]) -> Row {
    Row { id, what, bytes: bytes.into(), expected: expected.to_vec() }
}

/// A masked frame: the first byte as given, the length in its shortest form.
fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=0xFFFF => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(KEY);
    bytes.extend(payload.iter().zip(KEY.into_iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// A masked header alone, with `length` written in so many bytes.
fn announce(first: u8, length: u64, bytes: usize) -> Vec<u8> {
    let short = if bytes == 2 { 126 } else { 127 };
    let mut header = vec![first, 0x80 | short];
    header.extend(&length.to_be_bytes()[8 - bytes..]);
    header.extend(KEY);
    header
}

fn close(code: u16, reason: impl AsRef<[u8]>) -> Vec<u8> {
    frame(CLOSE, [&code.to_be_bytes()[..], reason.as_ref()].concat())
}

fn text(text: &str) -> Event {
    Text(text.to_owned())
}

fn run(role: Role, bytes: &[u8], chunk: usize) -> Vec<Event> {
    let mut decoder = Decoder::new(role, LIMITS);
    let mut events = Vec::new();
    for chunk in bytes.to_vec().chunks_mut(chunk) {
        let mut input = chunk;
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(message)) => events.push(event(message)),
                Ok(None) => break,
                Err(error) => events.push(Fail(close_code(error))),
            }
        }
    }
    events
}

fn event(message: Message<'_>) -> Event {
    match message {
        Message::Text(text) => Text(text.into_owned()),
        Message::Binary(bytes) => Binary(bytes.into_owned()),
        Message::Ping(bytes) => Ping(bytes.into_owned()),
        Message::Pong(bytes) => Pong(bytes.into_owned()),
        Message::Close(body) => Close(body.map(|body| (body.code.get(), body.reason.into_owned()))),
    }
}

fn close_code(error: FrameError) -> u16 {
    error.reason().close_code(CloseProfile::Standard).expect("a frame error closes the connection")
}

fn check(role: Role, rows: &[Row]) {
    for Row { id, what, bytes, expected } in rows {
        for chunk in [usize::MAX, 1, 2, 3, 7, 64, 1021] {
            assert_eq!(&run(role, bytes, chunk), expected, "{id} {what}, in chunks of {chunk}");
        }
    }
}

fn frames() -> Vec<Row> {
    let mut rows = vec![
        row("FR-01", "an unmasked text frame", b"\x81\x05Hello", &[Fail(1002)]),
        row("FR-01", "an unmasked ping", b"\x89\x00", &[Fail(1002)]),
        row(
            "FR-01",
            "an unmasked frame after a good one",
            [frame(TEXT, "a"), b"\x81\x00".to_vec()].concat(),
            &[text("a"), Fail(1002)],
        ),
        row(
            "FR-01",
            "the masked text of RFC 6455 §5.7",
            b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
            &[text("Hello")],
        ),
        row("FR-05", "a 64-bit length with its top bit set", announce(BINARY, 1 << 63, 8), &[Fail(1002)]),
        row("FR-05", "the greatest 64-bit length", announce(BINARY, u64::MAX, 8), &[Fail(1002)]),
        row(
            "FR-06",
            "5 bytes announced in 16 bits",
            [announce(TEXT, 5, 2), vec![0; 5]].concat(),
            &[Fail(1002)],
        ),
        row("FR-06", "125 bytes announced in 16 bits", announce(TEXT, 125, 2), &[Fail(1002)]),
        row("FR-06", "126 bytes announced in 64 bits", announce(TEXT, 126, 8), &[Fail(1002)]),
        row("FR-06", "65,535 bytes announced in 64 bits", announce(BINARY, 65_535, 8), &[Fail(1002)]),
        row("FR-06", "an empty ping announced in 16 bits", announce(PING, 0, 2), &[Fail(1002)]),
        row(
            "FR-07",
            "two fragments",
            [frame(TEXT_MORE, "Hel"), frame(LAST, "lo")].concat(),
            &[text("Hello")],
        ),
        row(
            "FR-07",
            "three fragments with pings and a pong in between",
            [
                frame(BINARY_MORE, [1]),
                frame(PING, "first"),
                frame(MORE, [2]),
                frame(PONG, "second"),
                frame(PING, ""),
                frame(LAST, [3]),
            ]
            .concat(),
            &[Ping(b"first".into()), Pong(b"second".into()), Ping(vec![]), Binary(vec![1, 2, 3])],
        ),
        row(
            "FR-07",
            "empty fragments",
            [frame(TEXT_MORE, ""), frame(MORE, ""), frame(LAST, "")].concat(),
            &[text("")],
        ),
        row(
            "FR-07",
            "a close between fragments",
            [frame(TEXT_MORE, "a"), close(1001, "")].concat(),
            &[Close(Some((1001, String::new())))],
        ),
        row(
            "FR-07",
            "two fragmented messages",
            [frame(TEXT_MORE, "a"), frame(LAST, "b"), frame(BINARY_MORE, "c"), frame(LAST, "d")].concat(),
            &[text("ab"), Binary(b"cd".into())],
        ),
        row("FR-08", "a last fragment without a start", frame(LAST, "x"), &[Fail(1002)]),
        row("FR-08", "a fragment without a start", frame(MORE, "x"), &[Fail(1002)]),
        row(
            "FR-08",
            "a last fragment after a whole message",
            [frame(TEXT, "a"), frame(LAST, "x")].concat(),
            &[text("a"), Fail(1002)],
        ),
        row(
            "FR-08",
            "a text inside a message",
            [frame(TEXT_MORE, "a"), frame(TEXT, "b"), frame(LAST, "c")].concat(),
            &[Fail(1002)],
        ),
        row(
            "FR-08",
            "a fragmented binary inside a message",
            [frame(TEXT_MORE, "a"), frame(BINARY_MORE, "b")].concat(),
            &[Fail(1002)],
        ),
        row(
            "FR-09",
            "a message of one-byte fragments",
            [frame(TEXT_MORE, "H"), frame(MORE, "e"), frame(MORE, "l"), frame(MORE, "l"), frame(LAST, "o")]
                .concat(),
            &[text("Hello")],
        ),
        row("FR-10", "characters of one to four bytes", frame(TEXT, "aé€😀"), &[text("aé€😀")]),
        row("FR-10", "NUL and the last code point", frame(TEXT, "\0\u{10FFFF}"), &[text("\0\u{10FFFF}")]),
        row("FR-10", "binary is not text", frame(BINARY, [0xFF, 0xC0]), &[Binary(vec![0xFF, 0xC0])]),
        row(
            "FR-10",
            "a character cut between fragments",
            [frame(TEXT_MORE, b"\xE2"), frame(MORE, b"\x82"), frame(LAST, b"\xAC")].concat(),
            &[text("€")],
        ),
        row(
            "FR-10",
            "a character cut around a ping",
            [frame(TEXT_MORE, b"\xF0\x9F"), frame(PING, b"\xFF"), frame(LAST, b"\x98\x80")].concat(),
            &[Ping(vec![0xFF]), text("😀")],
        ),
        row(
            "FR-10",
            "a bad byte in the last fragment",
            [frame(TEXT_MORE, "good"), frame(LAST, b"\xFF")].concat(),
            &[Fail(1007)],
        ),
        row(
            "FR-10",
            "a character cut by the end of a fragmented message",
            [frame(TEXT_MORE, b"a\xE2\x82"), frame(LAST, "")].concat(),
            &[Fail(1007)],
        ),
        row(
            "FR-12",
            "a frame at the limit",
            frame(BINARY, vec![7; LIMITS.frame]),
            &[Binary(vec![7; LIMITS.frame])],
        ),
        row("FR-12", "a frame over the limit", announce(BINARY, LIMITS.frame as u64 + 1, 8), &[Fail(1009)]),
        row("FR-12", "a frame that only announces 2^40 bytes", announce(TEXT, 1 << 40, 8), &[Fail(1009)]),
        row("FR-12", "a frame that only announces 2^62 bytes", announce(BINARY, 1 << 62, 8), &[Fail(1009)]),
        row(
            "FR-12",
            "a message at the limit",
            [frame(BINARY_MORE, vec![1; 65_536]), frame(LAST, vec![1; 34_464])].concat(),
            &[Binary(vec![1; LIMITS.message])],
        ),
        row(
            "FR-12",
            "a message over the limit",
            [frame(BINARY_MORE, vec![1; 65_536]), announce(LAST, 34_465, 2)].concat(),
            &[Fail(1009)],
        ),
        row(
            "FR-12",
            "as many fragments as allowed",
            [frame(TEXT_MORE, "a"), frame(MORE, "b").repeat(8), frame(LAST, "c")].concat(),
            &[text("abbbbbbbbc")],
        ),
        row(
            "FR-12",
            "one fragment more",
            [frame(TEXT_MORE, ""), frame(MORE, "").repeat(9), frame(LAST, "")].concat(),
            &[Fail(1009)],
        ),
    ];
    for rsv in 1..8 {
        for first in [TEXT, BINARY, TEXT_MORE, PING, PONG, CLOSE] {
            rows.push(row("FR-03", "reserved bits", frame(first | rsv << 4, ""), &[Fail(1002)]));
        }
        rows.push(row(
            "FR-03",
            "reserved bits on a continuation",
            [frame(TEXT_MORE, "a"), frame(LAST | rsv << 4, "b")].concat(),
            &[Fail(1002)],
        ));
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        rows.push(row("FR-04", "a reserved opcode", frame(0x80 | opcode, "x"), &[Fail(1002)]));
        rows.push(row("FR-04", "a reserved opcode without FIN", frame(opcode, ""), &[Fail(1002)]));
    }
    for length in [0, 1, 125, 126, 127, 65_535, 65_536] {
        let bytes: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
        rows.push(row("FR-05", "a length", frame(BINARY, &bytes), &[Binary(bytes)]));
        let letters = "x".repeat(length);
        rows.push(row("FR-05", "a length", frame(TEXT, &letters), &[Text(letters)]));
    }
    for bad in BAD_UTF8 {
        rows.push(row("FR-10", "bad UTF-8", frame(TEXT, bad), &[Fail(1007)]));
        let (start, end) = bad.split_at(1);
        rows.push(row(
            "FR-10",
            "bad UTF-8 across fragments",
            [frame(TEXT_MORE, start), frame(MORE, ""), frame(LAST, end)].concat(),
            &[Fail(1007)],
        ));
    }
    rows
}

fn control() -> Vec<Row> {
    let full = vec![b'p'; 125];
    let mut rows = vec![
        row("CT-01", "a ping of 125 bytes", frame(PING, &full), &[Ping(full.clone())]),
        row("CT-05", "a pong nobody asked for", frame(PONG, "late"), &[Pong(b"late".into())]),
        row("CT-05", "an empty pong", frame(PONG, ""), &[Pong(vec![])]),
        row("CT-05", "a pong of 125 bytes", frame(PONG, &full), &[Pong(full)]),
        row("CT-08", "a close without a body", frame(CLOSE, ""), &[Close(None)]),
        row("CT-08", "a close body of one byte", frame(CLOSE, [3]), &[Fail(1002)]),
        row("CT-08", "a close body of two bytes", close(1000, ""), &[Close(Some((1000, String::new())))]),
        row(
            "CT-08",
            "a close body of 125 bytes",
            close(1000, "r".repeat(123)),
            &[Close(Some((1000, "r".repeat(123))))],
        ),
        row("CT-08", "a close body of 126 bytes", close(1000, "r".repeat(124)), &[Fail(1002)]),
        row("CT-09", "a reason in UTF-8", close(1001, "adiós €"), &[Close(Some((1001, "adiós €".into())))]),
    ];
    for first in [PING, PONG, CLOSE] {
        rows.push(row("CT-01", "a control frame of 126 bytes", frame(first, [0; 126]), &[Fail(1002)]));
        rows.push(row(
            "CT-01",
            "a control frame that announces 2^40 bytes",
            announce(first, 1 << 40, 8),
            &[Fail(1002)],
        ));
        rows.push(row("CT-01", "a control frame without FIN", frame(first & 0x7F, ""), &[Fail(1002)]));
        rows.push(row(
            "CT-01",
            "a control frame without FIN inside a message",
            [frame(TEXT_MORE, "a"), frame(first & 0x7F, "")].concat(),
            &[Fail(1002)],
        ));
    }
    for bad in BAD_UTF8 {
        rows.push(row("CT-09", "a reason in bad UTF-8", close(1000, bad), &[Fail(1007)]));
    }
    rows
}

fn ending() -> Vec<Row> {
    let mut rows = vec![
        row(
            "CL-03",
            "a message after a failure",
            [frame(0x83, ""), frame(TEXT, "x")].concat(),
            &[Fail(1002)],
        ),
        row("CL-03", "a second failure", [frame(TEXT, b"\xFF"), frame(LAST, "x")].concat(), &[Fail(1007)]),
        row(
            "CL-03",
            "a close after a failure",
            [announce(TEXT, 1 << 40, 8), close(1000, "")].concat(),
            &[Fail(1009)],
        ),
        row(
            "CL-03",
            "a message after a close",
            [frame(CLOSE, ""), frame(TEXT, "x")].concat(),
            &[Close(None)],
        ),
        row(
            "CL-03",
            "rubbish after a close",
            [close(1000, ""), vec![0xFF; 40]].concat(),
            &[Close(Some((1000, String::new())))],
        ),
    ];
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        rows.push(row("CL-05", "a close code that means nothing", close(code, "why"), &[Fail(1002)]));
    }
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014] {
        rows.push(row(
            "CL-05",
            "a registered close code",
            close(code, "why"),
            &[Close(Some((code, "why".into())))],
        ));
    }
    for code in [3000, 3999, 4000, 4999] {
        rows.push(row(
            "CL-06",
            "a close code of one's own",
            close(code, "why"),
            &[Close(Some((code, "why".into())))],
        ));
    }
    rows
}

#[test]
fn reads_frames() {
    check(Role::Server, &frames());
}

#[test]
fn reads_control_frames() {
    check(Role::Server, &control());
}

#[test]
fn reads_the_end() {
    check(Role::Server, &ending());
}

#[test]
fn as_a_client_refuses_masked_frames() {
    // RFC 6455 §5.1, the other half of FR-01 and FR-02.
    check(
        Role::Client,
        &[
            row("FR-02", "an unmasked text frame", b"\x81\x05Hello", &[text("Hello")]),
            row(
                "FR-02",
                "an unmasked ping within a message",
                b"\x01\x01a\x89\x00\x80\x01b",
                &[Ping(vec![]), text("ab")],
            ),
            row("FR-02", "a masked text frame", frame(TEXT, "Hello"), &[Fail(1002)]),
            row("FR-02", "a masked close", frame(CLOSE, ""), &[Fail(1002)]),
        ],
    );
}

/// FR-11, FR-12: what is known to be wrong is told at once, not when the frame or the message has arrived.
#[test]
fn notices_at_once() {
    let body = |payload: &[u8]| {
        let mut bytes = frame(TEXT, payload);
        // The frame goes on for long: only its start ever arrives.
        bytes.splice(1..2, [0x80 | 126, 0x40, 0x00]);
        bytes
    };
    // The last byte of each is the first that can be known to be wrong.
    let cases: &[(&str, &str, Vec<u8>, u16)] = &[
        ("FR-03", "reserved bits, before the length", vec![0xC1, 0x80 | 126], 1002),
        ("FR-01", "no mask, before the length", vec![TEXT, 126], 1002),
        ("CT-01", "a ping without FIN, before its key", vec![PING & 0x7F, 0x80], 1002),
        ("FR-11", "a byte that is never UTF-8, within a frame", body(b"good\xFF"), 1007),
        ("FR-11", "an overlong form, within a frame", body(b"\xE0\x80"), 1007),
        ("FR-11", "a surrogate, within a frame", body(b"a\xED\xA0"), 1007),
        ("FR-11", "a cut character, within a frame", body(b"\xE2\x82a"), 1007),
        ("FR-11", "a bad byte in the first fragment", frame(TEXT_MORE, b"a\xC0"), 1007),
        ("FR-12", "2^40 bytes, with the header", announce(BINARY, 1 << 40, 8), 1009),
        (
            "FR-12",
            "a message over the limit, with the header",
            { [frame(BINARY_MORE, vec![0; 65_536]), announce(MORE, 65_535, 2)].concat() },
            1009,
        ),
    ];
    for (id, what, bytes, code) in cases {
        for chunk in [1, usize::MAX] {
            assert_eq!(run(Role::Server, bytes, chunk), [Fail(*code)], "{id} {what}");
            assert_eq!(run(Role::Server, &bytes[..bytes.len() - 1], chunk), [], "{id} {what}: one byte less");
        }
    }
}

/// FR-02, FR-06, CT-01, CT-03: what a server sends.
#[test]
fn writes_frames() {
    let long = "x".repeat(70_000);
    let ping = [0xFF; 125];
    let cases: &[(&str, &str, Vec<u8>, Vec<u8>)] = &[
        ("FR-02", "text", Frame::text("Hello").to_vec(), b"\x81\x05Hello".into()),
        ("FR-02", "shared text", shared_text(5, |out| out.extend(b"Hello")).into(), b"\x81\x05Hello".into()),
        ("FR-06", "125 bytes", Frame::text(&long[..125]).to_vec()[..2].into(), [0x81, 125].into()),
        ("FR-06", "126 bytes", Frame::text(&long[..126]).to_vec()[..4].into(), [0x81, 126, 0, 126].into()),
        (
            "FR-06",
            "65,535 bytes",
            Frame::text(&long[..65_535]).to_vec()[..4].into(),
            [0x81, 126, 255, 255].into(),
        ),
        (
            "FR-06",
            "65,536 bytes",
            Frame::text(&long[..65_536]).to_vec()[..10].into(),
            [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0].into(),
        ),
        ("CT-03", "an empty pong", Frame::pong(b"").to_vec(), b"\x8a\x00".into()),
        (
            "CT-03",
            "a pong with the ping's bytes",
            Frame::pong(&ping).to_vec(),
            [&[0x8A, 125][..], &ping].concat(),
        ),
        ("CL-04", "a close without a code", Frame::empty_close().to_vec(), b"\x88\x00".into()),
        ("CL-04", "a close", Frame::close(WireCode::NORMAL, "bye").to_vec(), b"\x88\x05\x03\xe8bye".into()),
        (
            "CT-01",
            "a close with a long reason",
            Frame::close(WireCode::NORMAL, &long).to_vec()[..2].into(),
            [0x88, 125].into(),
        ),
    ];
    for (id, what, bytes, expected) in cases {
        assert_eq!(bytes, expected, "{id} {what}");
    }
}

/// CL-04: a code that may not stand in a frame cannot be written down.
#[test]
fn has_no_code_for_what_may_not_be_sent() {
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000] {
        assert_eq!(WireCode::new(code), None, "CL-04 {code}");
    }
    for reason in Reason::ALL.iter().copied() {
        let code = WireCode::of(reason, CloseProfile::Standard).map(WireCode::get);
        assert!(!matches!(code, Some(1005 | 1006 | 1015)), "CL-04 {reason}");
    }
}

/// No requirement of this level loses its rows unnoticed.
#[test]
fn covers_every_requirement_of_this_level() {
    let rows = [frames(), control(), ending()].concat_ids();
    let read = [
        "CL-03", "CL-05", "CL-06", "CT-01", "CT-05", "CT-08", "CT-09", "FR-01", "FR-03", "FR-04", "FR-05",
        "FR-06", "FR-07", "FR-08", "FR-09", "FR-10", "FR-12",
    ];
    assert_eq!(rows, read);
}

trait Ids {
    fn concat_ids(self) -> Vec<&'static str>;
}

impl<const N: usize> Ids for [Vec<Row>; N] {
    fn concat_ids(self) -> Vec<&'static str> {
        let ids: std::collections::BTreeSet<_> = self.into_iter().flatten().map(|row| row.id).collect();
        ids.into_iter().collect()
    }
}

const LIMITS: Limits = Limits { frame: 70_000, message: 100_000, fragments: 10 };
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

// First bytes: FIN and opcode.
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const LAST: u8 = 0x80;
const TEXT_MORE: u8 = 0x01;
const BINARY_MORE: u8 = 0x02;
const MORE: u8 = 0x00;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8A;

const BAD_UTF8: &[&[u8]] = &[
    b"\x80",                         // a continuation byte alone
    b"\xC0\xAF",                     // an overlong "/", of two bytes
    b"\xE0\x80\xAF",                 // of three
    b"\xF0\x80\x80\xAF",             // of four
    b"\xC1\xBF",                     // the longest overlong form of two
    b"\xED\xA0\x80",                 // a high surrogate
    b"\xED\xBF\xBF",                 // a low surrogate
    b"\xED\xA0\xBD\xED\xB8\x80",     // a pair of them (CESU-8)
    b"\xF4\x90\x80\x80",             // past U+10FFFF
    b"\xF8\x88\x80\x80\x80",         // five bytes
    b"\xFE\xFF",                     // a byte order mark of UTF-16
    b"\xE2\x82",                     // cut by the end
    b"\xF0\x9F\x98",                 // cut by the end
    b"\xE2\x28\xA1",                 // cut by ASCII
    b"a perfectly good start \xFF!", // in the middle
];
