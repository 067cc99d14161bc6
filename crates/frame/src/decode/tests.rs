//! What the decoder holds and lends. Which bytes it takes is in `tests/conformance/`.

use proptest::prelude::*;

use super::*;
use crate::Frame;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn server(limits: Limits) -> Decoder {
    Decoder::new(Role::Server, limits)
}

/// Everything that comes of `bytes` in chunks of `size`, and the error if there is one.
fn decode(
    decoder: &mut Decoder,
    bytes: &[u8],
    size: usize,
) -> (Vec<Message<'static>>, Result<(), FrameError>) {
    let mut messages = Vec::new();
    for chunk in bytes.to_vec().chunks_mut(size) {
        let mut input = chunk;
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(message)) => messages.push(message.into_owned()),
                Ok(None) => break,
                Err(error) => return (messages, Err(error)),
            }
        }
        assert!(input.is_empty(), "without a message all of the input is used up");
    }
    (messages, Ok(()))
}

fn wire<'a>(frames: impl IntoIterator<Item = Frame<'a>>) -> Vec<u8> {
    frames.into_iter().flat_map(|frame| frame.masked(KEY).to_vec()).collect()
}

#[test]
fn is_small() {
    assert!(size_of::<Decoder>() <= 64, "{}", size_of::<Decoder>());
}

#[test]
fn holds_no_heap_between_messages() {
    /// Only `progress` can own memory: the other fields are `Copy`. A new field has to be added here.
    fn assert_nothing_held(decoder: &Decoder) {
        fn copy<T: Copy>(_: &T) {}
        let Decoder { limits, progress, head, head_len, role, done } = decoder;
        copy(limits);
        copy(head);
        copy(head_len);
        copy(role);
        copy(done);
        assert!(progress.is_none());
        assert_eq!(decoder.heap_size(), 0);
        assert!(decoder.is_between_messages());
    }

    let big = "x".repeat(100_000);
    let streams = [
        wire([Frame::text("whole")]),
        wire([Frame::text(&big)]),
        wire([Frame::binary(&[])]),
        wire([Frame::text("a").unfinished(), Frame::ping(b"p"), Frame::continuation(b"b")]),
        wire([
            Frame::binary(b"a").unfinished(),
            Frame::continuation(b"").unfinished(),
            Frame::continuation(b""),
        ]),
        wire([Frame::pong(&[7; 125])]),
    ];
    let mut decoder = server(Limits::default());
    assert_nothing_held(&decoder);
    for stream in streams {
        for size in [1, 2, 3, 1000, usize::MAX] {
            let (messages, end) = decode(&mut decoder, &stream, size);
            assert!(!messages.is_empty() && end.is_ok());
            assert_nothing_held(&decoder);
        }
    }
    // Nor after the end.
    let failed = wire([Frame::text("under way").unfinished(), Frame::text("again")]);
    let (_, end) = decode(&mut decoder, &failed, 5);
    assert_eq!(end, Err(FrameError::ExpectedContinuation));
    assert!(decoder.progress.is_none() && decoder.is_done());
}

#[test]
fn lends_a_frame_that_lies_in_one_chunk() {
    let mut bytes = wire([
        Frame::text("text"),
        Frame::binary(b"binary"),
        Frame::ping(b"ping"),
        Frame::pong(b"pong"),
        Frame::close(WireCode::NORMAL, "bye"),
    ]);
    let range = bytes.as_ptr_range();
    let mut decoder = server(Limits::default());
    let mut input = &mut bytes[..];
    let mut seen = 0;
    while let Some(message) = decoder.decode(&mut input).unwrap() {
        let lent = match &message {
            Message::Text(Cow::Borrowed(text)) => text.as_bytes(),
            Message::Binary(Cow::Borrowed(bytes))
            | Message::Ping(Cow::Borrowed(bytes))
            | Message::Pong(Cow::Borrowed(bytes)) => bytes,
            Message::Close(Some(CloseFrame { reason: Cow::Borrowed(reason), .. })) => reason.as_bytes(),
            copied => panic!("{copied:?} was copied"),
        };
        assert!(range.contains(&lent.as_ptr()));
        seen += 1;
    }
    assert_eq!(seen, 5);
}

#[test]
fn leaves_what_it_has_not_looked_at() {
    let mut bytes = wire([Frame::text("one"), Frame::text("two")]);
    let second = wire([Frame::text("two")]);
    let mut decoder = server(Limits::default());
    let mut input = &mut bytes[..];
    assert_eq!(decoder.decode(&mut input), Ok(Some(Message::Text("one".into()))));
    assert_eq!(*input, second);
}

#[test]
fn says_where_the_stream_stands() {
    let mut decoder = server(Limits::default());
    let mut at = |bytes: &[u8]| {
        let (messages, end) = decode(&mut decoder, bytes, usize::MAX);
        assert_eq!(end, Ok(()));
        (messages.len(), decoder.is_between_messages())
    };
    let first = wire([Frame::text("ab").unfinished()]);
    assert_eq!(at(&first[..1]), (0, false), "within a header");
    assert_eq!(at(&first[1..7]), (0, false), "within a payload");
    assert_eq!(at(&first[7..]), (0, false), "between two frames of a message");
    let ping = wire([Frame::ping(b"p")]);
    assert_eq!(at(&ping[..6]), (0, false), "within a control frame");
    assert_eq!(at(&ping[6..]), (1, false), "still within the message");
    assert_eq!(at(&wire([Frame::continuation(b"c")])), (1, true), "after it");
}

#[test]
fn announced_bytes_cost_nothing() {
    // A header that promises 1 MiB, and ten bytes of it.
    let mut decoder = server(Limits::default());
    let bytes = Frame::binary(b"0123456789").announcing(1 << 20).masked(KEY).to_vec();
    assert_eq!(decode(&mut decoder, &bytes, usize::MAX), (vec![], Ok(())));
    assert!(decoder.heap_size() < 1024, "{}", decoder.heap_size());
}

#[test]
fn empty_fragments_cost_nothing() {
    let limits = Limits { fragments: 10_000, ..Limits::default() };
    let mut decoder = server(limits);
    let first = wire([Frame::text("").unfinished()]);
    let more = wire([Frame::continuation(b"").unfinished()]);
    assert_eq!(decode(&mut decoder, &first, 100).1, Ok(()));
    let held = decoder.heap_size();
    for _ in 1..10_000 {
        assert_eq!(decode(&mut decoder, &more, 100).1, Ok(()));
    }
    assert_eq!(decoder.heap_size(), held);
    assert_eq!(decode(&mut decoder, &more, 100).1, Err(FrameError::TooManyFragments { limit: 10_000 }));
}

#[test]
fn a_control_frame_is_not_subject_to_the_limits() {
    let mut decoder = server(Limits { frame: 0, message: 0, fragments: 0 });
    let bytes = wire([Frame::ping(&[1; 125]), Frame::text("")]);
    let (messages, end) = decode(&mut decoder, &bytes, usize::MAX);
    assert_eq!((messages.len(), end), (2, Ok(())));
}

#[test]
fn debug_output_shows_no_content() {
    let mut decoder = server(Limits::default());
    let bytes = wire([Frame::text("secret").unfinished()]);
    assert_eq!(decode(&mut decoder, &bytes, usize::MAX).1, Ok(()));
    let shown = format!("{decoder:?}");
    assert!(!shown.contains("secret") && shown.contains("between_messages: false"), "{shown}");
}

proptest! {
    /// What is held never exceeds twice what has arrived (or the smallest buffer), nor the limit.
    #[test]
    fn memory_follows_what_arrived(
        sizes in prop::collection::vec(0_usize..700, 1..20), chunk in 1_usize..400, wide: bool,
    ) {
        let total: usize = sizes.iter().sum();
        let limits = Limits { frame: 1 << 20, message: total, fragments: 100 };
        let text = if wide { "é".repeat(total) } else { "e".repeat(total) };
        let mut rest = &text.as_bytes()[..total];
        let mut bytes = Vec::new();
        for (index, &size) in sizes.iter().enumerate() {
            let (piece, after) = rest.split_at(size);
            rest = after;
            let opcode = if index == 0 { Opcode::Text } else { Opcode::Continuation };
            bytes.extend(Frame::new(opcode, piece).unfinished().masked(KEY).to_vec());
        }
        let mut decoder = server(limits);
        for chunk in bytes.chunks(chunk) {
            prop_assert_eq!(decode(&mut decoder, chunk, usize::MAX).1, Ok(()));
            let held = decoder.heap_size().saturating_sub(size_of::<Progress>());
            let arrived = decoder.message().map_or(0, |message| message.body.len());
            prop_assert!(held <= total, "{held} > {total}");
            prop_assert!(held <= (2 * arrived).max(SMALLEST_BUFFER), "{held} for {arrived}");
        }
    }

    #[test]
    fn nothing_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..400), size in 1_usize..40, client: bool, limit in 0_usize..200,
    ) {
        let role = if client { Role::Client } else { Role::Server };
        let mut decoder = Decoder::new(role, Limits { frame: limit, message: limit, fragments: 3 });
        let (_, end) = decode(&mut decoder, &bytes, size);
        prop_assert!(end.is_ok() || decoder.is_done());
    }
}
