//! RFC 6455 at the level of frames: bytes in, events or a close code out.
//!
//! Rows are named by requirement: FR is section 5 (frames), CT section 5.5 (control frames), CL section 7 (ending). The
//! bytes are built here, not by the crate's encoder. Each row runs as one chunk, byte by byte and in a few chunk sizes
//! between, and has to end the same way each time. Left to the session, which decides when to answer: CT-02, CT-04,
//! CT-06, CT-07, CT-10, CL-01, CL-02 and CL-08 to CL-10; FR-13 binds intermediaries alone.

mod rows;

use std::collections::BTreeSet;

use portcullis_frame::{Decoder, Frame, FrameError, Message, Role, WireCode, shared_text};
use portcullis_reason::{CloseProfile, Reason};
use rows::{
    BINARY, BINARY_MORE, CLOSE, LIMITS, MORE, PING, Row, TEXT, TEXT_MORE, announce, control, ending, frame,
    frames, row, text,
};

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
        bytes.splice(1..2, [0x80 | 0x7E, 0x40, 0x00]);
        bytes
    };
    // The last byte of each is the first that can be known to be wrong.
    let cases: &[(&str, &str, Vec<u8>, u16)] = &[
        ("FR-03", "reserved bits, before the length", vec![0xC1, 0x80 | 0x7E], 1002),
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
    let rows = [frames(), control(), ending()];
    let ids: BTreeSet<&str> = rows.iter().flatten().map(|row| row.id).collect();
    let read = [
        "CL-03", "CL-05", "CL-06", "CT-01", "CT-05", "CT-08", "CT-09", "FR-01", "FR-03", "FR-04", "FR-05",
        "FR-06", "FR-07", "FR-08", "FR-09", "FR-10", "FR-12",
    ];
    assert!(ids.iter().eq(&read), "{ids:?}");
}
