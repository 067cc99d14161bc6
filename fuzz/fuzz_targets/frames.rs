//! Any bytes as frames, in either role: no panic, the same for every cut, within the limits, and what tungstenite makes of
//! the same bytes.
#![no_main]

#[path = "../../crates/frame/tests/differential/mod.rs"]
mod differential;

use differential::{End, comparable, ours, theirs};
use libfuzzer_sys::fuzz_target;
use portcullis_frame::{Decoder, Limits, Role};

/// So small that an input of some hundred bytes meets each of them.
const TIGHT: Limits = Limits { frame: 96, message: 160, fragments: 6 };

/// What a message that is at its limit may take: its buffer has grown by doubling, and a control frame stands between its
/// frames.
const ROOM: usize = 2 * TIGHT.message + 256;

fuzz_target!(|input: &[u8]| {
    let Some((&choice, bytes)) = input.split_first() else { return };
    let role = if choice & 1 == 0 { Role::Server } else { Role::Client };
    let cuts = [1 + usize::from(choice >> 1) % 61, 1 + usize::from(choice >> 4)];

    let whole = ours(role, bytes, &[]);
    assert_eq!(ours(role, bytes, &cuts), whole, "the cut changed the result");

    let same = comparable(bytes);
    let (events, end, error) = ours(role, same, &cuts);
    assert_eq!((events, end), theirs(role, same), "{error:?}");
    let (their_events, _) = theirs(role, bytes);
    if whole.1 == End::Failed {
        assert!(their_events.starts_with(&whole.0), "refused later than there");
    }
    bounded(role, bytes, cuts[0]);
});

/// What has begun takes no more room than its limits, whatever it announces.
fn bounded(role: Role, bytes: &[u8], cut: usize) {
    let mut decoder = Decoder::new(role, TIGHT);
    for piece in bytes.chunks(cut) {
        let mut piece = piece.to_vec();
        let mut input = &mut piece[..];
        while let Ok(Some(_)) = decoder.decode(&mut input) {
            assert!(decoder.heap_size() <= ROOM);
        }
        assert!(decoder.heap_size() <= ROOM, "{} bytes are held", decoder.heap_size());
        assert!(!decoder.is_between_messages() || decoder.heap_size() == 0);
    }
}
