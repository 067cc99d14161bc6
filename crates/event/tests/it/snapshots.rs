//! One envelope of every type, in both formats, so that a change of the wire shows in review.

use portcullis_event::{MessageType, Wire};

use crate::samples::{envelope, messages};

fn lines(wire: Wire) -> String {
    let mut lines = Vec::new();
    for (message, seq) in messages().into_iter().zip(1..) {
        lines.push(String::from_utf8(envelope(message, seq).encode(wire).to_vec()).unwrap());
    }
    lines.join("\n")
}

#[test]
fn the_samples_cover_every_type() {
    let kinds: Vec<_> = messages().iter().map(portcullis_event::ServerMessage::kind).collect();
    assert_eq!(kinds, MessageType::ALL);
}

#[test]
fn v1() {
    insta::assert_snapshot!(lines(Wire::V1));
}

#[test]
fn legacy() {
    insta::assert_snapshot!(lines(Wire::Legacy));
}
