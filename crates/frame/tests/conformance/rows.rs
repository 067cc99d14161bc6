//! The rows, and the bytes that they are made of.

use portcullis_frame::Limits;

use crate::Event::{self, Binary, Close, Fail, Ping, Pong, Text};

/// What has to come of some bytes.
pub(crate) struct Row {
    /// The requirement.
    pub(crate) id: &'static str,
    pub(crate) what: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) expected: Vec<Event>,
}

pub(crate) fn row(
    id: &'static str,
    what: &'static str,
    bytes: impl Into<Vec<u8>>,
    expected: &[Event],
) -> Row {
    Row { id, what, bytes: bytes.into(), expected: expected.to_vec() }
}

/// A masked frame: the first byte as given, the length in its shortest form.
pub(crate) fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=0xFFFF => {
            bytes.push(0x80 | 0x7E);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 0x7F);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(KEY);
    bytes.extend(payload.iter().zip(KEY.into_iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// A masked header alone, with `length` written in so many bytes.
pub(crate) fn announce(first: u8, length: u64, bytes: usize) -> Vec<u8> {
    let short = if bytes == 2 { 126 } else { 127 };
    let mut header = vec![first, 0x80 | short];
    header.extend(&length.to_be_bytes()[8 - bytes..]);
    header.extend(KEY);
    header
}

fn close(code: u16, reason: impl AsRef<[u8]>) -> Vec<u8> {
    frame(CLOSE, [&code.to_be_bytes()[..], reason.as_ref()].concat())
}

pub(crate) fn text(text: &str) -> Event {
    Text(text.to_owned())
}

pub(crate) fn frames() -> Vec<Row> {
    [headers(), fragments(), utf8(), limits()].into_iter().flatten().collect()
}

/// FR-01, FR-03 to FR-06: what a header may say.
fn headers() -> Vec<Row> {
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
    rows
}

/// FR-07 to FR-09: messages in several frames.
fn fragments() -> Vec<Row> {
    vec![
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
    ]
}

/// FR-10: text is UTF-8.
fn utf8() -> Vec<Row> {
    let mut rows = vec![
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
    ];
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

/// FR-12: limits.
fn limits() -> Vec<Row> {
    vec![
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
    ]
}

pub(crate) fn control() -> Vec<Row> {
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

pub(crate) fn ending() -> Vec<Row> {
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

pub(crate) const LIMITS: Limits = Limits { frame: 70_000, message: 100_000, fragments: 10 };
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

// First bytes: FIN and opcode.
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
const LAST: u8 = 0x80;
pub(crate) const TEXT_MORE: u8 = 0x01;
pub(crate) const BINARY_MORE: u8 = 0x02;
pub(crate) const MORE: u8 = 0x00;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
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
