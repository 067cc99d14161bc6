//! Messages into bytes.

use std::{borrow::Cow, fmt};

use bytes::{Buf as _, Bytes};
use portcullis_reason::MAX_CLOSE_REASON;

use crate::{
    Header, MAX_CONTROL_PAYLOAD, Opcode, WireCode, apply_mask,
    header::{LengthForm, MAX_HEADER},
};

/// One frame to send.
///
/// The constructors make whole, unmasked frames: what a server sends. A client adds [`masked`](Self::masked). The
/// header is public so that a tester can make frames that break the rules, byte by byte.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The header, as it will be written.
    pub header: Header,
    /// The payload, before masking. Where its length is not what the header announces, the frame is a broken one.
    pub payload: Cow<'a, [u8]>,
}

impl<'a> Frame<'a> {
    /// A whole frame of any kind; nothing is checked.
    pub fn new(opcode: Opcode, payload: impl Into<Cow<'a, [u8]>>) -> Self {
        let payload = payload.into();
        Self { header: Header::new(opcode, payload.len() as u64), payload }
    }

    /// A text message.
    pub fn text(payload: &'a str) -> Self {
        Self::new(Opcode::Text, payload.as_bytes())
    }

    /// A binary message.
    pub fn binary(payload: &'a [u8]) -> Self {
        Self::new(Opcode::Binary, payload)
    }

    /// A further frame of a fragmented message, and its last unless [`unfinished`](Self::unfinished).
    pub fn continuation(payload: &'a [u8]) -> Self {
        Self::new(Opcode::Continuation, payload)
    }

    /// A ping.
    ///
    /// # Panics
    /// If `payload` is longer than 125 bytes (RFC 6455 §5.5).
    pub fn ping(payload: &'a [u8]) -> Self {
        Self::control(Opcode::Ping, payload)
    }

    /// A pong; `payload` is the ping's (RFC 6455 §5.5.3).
    ///
    /// # Panics
    /// If `payload` is longer than 125 bytes, which the payload of a decoded ping never is (RFC 6455 §5.5).
    pub fn pong(payload: &'a [u8]) -> Self {
        Self::control(Opcode::Pong, payload)
    }

    /// A close with a code and a reason, which is cut to 123 bytes at the end of a character (RFC 6455 §5.5.1).
    pub fn close(code: WireCode, reason: &str) -> Self {
        let reason = &reason[..reason.floor_char_boundary(MAX_CLOSE_REASON)];
        let mut body = Vec::with_capacity(2 + reason.len());
        body.extend_from_slice(&code.get().to_be_bytes());
        body.extend_from_slice(reason.as_bytes());
        Self::new(Opcode::Close, body)
    }

    /// A close that says nothing (RFC 6455 §5.5.1).
    pub fn empty_close() -> Self {
        Self::new(Opcode::Close, &[][..])
    }

    fn control(opcode: Opcode, payload: &'a [u8]) -> Self {
        assert!(payload.len() <= MAX_CONTROL_PAYLOAD, "a control frame holds at most 125 bytes");
        Self::new(opcode, payload)
    }

    /// Masks the payload with `key`, as a client must (RFC 6455 §5.3). The key has to come from strong random bytes.
    #[must_use]
    pub const fn masked(mut self, key: [u8; 4]) -> Self {
        self.header.mask = Some(key);
        self
    }

    /// Clears FIN: more frames of the message follow (RFC 6455 §5.4).
    #[must_use]
    pub const fn unfinished(mut self) -> Self {
        self.header.fin = false;
        self
    }

    /// Announces `length` whatever the payload is, in its shortest form. For testers.
    #[must_use]
    pub const fn announcing(mut self, length: u64) -> Self {
        self.header.length = length;
        self.header.form = LengthForm::shortest(length);
        self
    }

    /// How many bytes the frame takes.
    pub fn size(&self) -> usize {
        self.header.size() + self.payload.len()
    }

    /// Appends the frame to `out`.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        out.reserve(self.size());
        self.header.append_to(out);
        let start = out.len();
        out.extend_from_slice(&self.payload);
        if let Some(key) = self.header.mask {
            apply_mask(&mut out[start..], key);
        }
    }

    /// The frame's bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size());
        self.append_to(&mut out);
        out
    }

    /// The frame in one shared buffer: each clone costs a reference count, so one event serves every socket.
    pub fn to_bytes(&self) -> Bytes {
        self.to_vec().into()
    }
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The payload may be a credential.
        write!(f, "Frame({:?}, {} bytes)", self.header, self.payload.len())
    }
}

/// A server's text message whose payload is written straight into the buffer that is sent: nothing is copied after.
///
/// `write` appends the payload, which has to be UTF-8, to the vector and leaves what is in it alone; `capacity` says
/// how long it will probably be. The result is the same as [`Frame::text`]'s, and as cheap to clone.
pub fn shared_text(capacity: usize, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    // The header's size follows from the payload's: leave room for the longest, and start at what is needed.
    let mut buffer = Vec::with_capacity(UNMASKED_HEADER + capacity);
    buffer.extend_from_slice(&[0; UNMASKED_HEADER]);
    write(&mut buffer);
    debug_assert!(str::from_utf8(&buffer).is_ok(), "a text message is UTF-8");
    let (header, size) = Header::new(Opcode::Text, (buffer.len() - UNMASKED_HEADER) as u64).to_array();
    let start = UNMASKED_HEADER - size;
    buffer[start..UNMASKED_HEADER].copy_from_slice(&header[..size]);
    let mut frame = Bytes::from(buffer);
    frame.advance(start);
    frame
}

/// The payload of a whole frame without a key, as [`shared_text`] and [`Frame::to_bytes`] make them; it shares their memory.
pub fn payload_of(frame: &Bytes) -> Bytes {
    // RFC 6455 §5.2: a length of up to 125 bytes stands in the second byte, longer ones in the two or eight behind it.
    let header = match frame.get(1) {
        None => frame.len(),
        Some(..126) => 2,
        Some(126) => 4,
        Some(127..) => 10,
    };
    frame.slice(header.min(frame.len())..)
}

/// The longest header without a key.
const UNMASKED_HEADER: usize = MAX_HEADER - 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_what_the_frame_was_made_of() {
        for size in [0, 1, 125, 126, 127, 65_535, 65_536] {
            let text = "x".repeat(size);
            assert_eq!(payload_of(&shared_text(size, |out| out.extend_from_slice(text.as_bytes()))), text);
            assert_eq!(payload_of(&Frame::text(&text).to_bytes()), text);
        }
    }

    #[test]
    fn writes_the_examples_of_the_rfc() {
        // RFC 6455 §5.7.
        let cases: [(Frame<'_>, &[u8]); 6] = [
            (Frame::text("Hello"), b"\x81\x05Hello"),
            (
                Frame::text("Hello").masked([0x37, 0xfa, 0x21, 0x3d]),
                &[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58],
            ),
            (Frame::text("Hel").unfinished(), b"\x01\x03Hel"),
            (Frame::continuation(b"lo"), b"\x80\x02lo"),
            (Frame::ping(b"Hello"), b"\x89\x05Hello"),
            (
                Frame::pong(b"Hello").masked([0x37, 0xfa, 0x21, 0x3d]),
                &[0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58],
            ),
        ];
        for (frame, expected) in cases {
            assert_eq!(frame.to_vec(), expected, "{frame:?}");
            assert_eq!(frame.size(), expected.len(), "{frame:?}");
            assert_eq!(frame.to_bytes(), expected, "{frame:?}");
        }
    }

    #[test]
    fn appends_behind_what_is_there() {
        let mut out = b"before".to_vec();
        Frame::binary(&[1, 2]).masked([0xFF; 4]).append_to(&mut out);
        Frame::empty_close().append_to(&mut out);
        assert_eq!(out, b"before\x82\x82\xFF\xFF\xFF\xFF\xFE\xFD\x88\x00");
    }

    #[test]
    fn cuts_a_close_reason_at_the_end_of_a_character() {
        let cases = [
            ("a".repeat(123), 123),
            ("a".repeat(124), 123),
            ("é".repeat(62), 122),
            ("€".repeat(42), 123),
            (format!("a{}", "€".repeat(42)), 121),
            ("😀".repeat(31), 120),
        ];
        for (reason, kept) in cases {
            let frame = Frame::close(WireCode::NORMAL, &reason);
            assert_eq!(frame.payload[..2], [0x03, 0xE8]);
            assert_eq!(str::from_utf8(&frame.payload[2..]), Ok(&reason[..kept]));
            assert_eq!(frame.header.length, 2 + kept as u64);
        }
    }

    #[test]
    fn writes_a_shared_text_as_any_other() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let text = "x".repeat(length);
            for capacity in [0, length] {
                let shared = shared_text(capacity, |buffer| buffer.extend_from_slice(text.as_bytes()));
                assert_eq!(shared, Frame::text(&text).to_bytes(), "{length} with capacity {capacity}");
            }
        }
    }

    #[test]
    fn clones_share_one_buffer() {
        for frame in [Frame::text("one for all").to_bytes(), shared_text(0, |buffer| buffer.push(b'x'))] {
            assert_eq!(frame.clone().as_ptr(), frame.as_ptr());
        }
    }

    #[test]
    #[should_panic(expected = "at most 125 bytes")]
    fn refuses_to_make_a_long_ping() {
        let _ = Frame::ping(&[0; 126]);
    }

    #[test]
    fn debug_output_shows_no_content() {
        let shown = format!("{:?}", Frame::text("secret"));
        assert!(!shown.contains("secret") && shown.ends_with("6 bytes)"), "{shown}");
    }
}
