//! Frames as they come, bent where not minding them is the defect.

use portcullis_frame::{Frame, Header, Opcode};

use super::State;

/// What to do with a frame.
pub(super) enum Bent {
    /// Give these bytes to the decoder.
    Bytes(Vec<u8>),
    /// Pass it over.
    Skipped,
    /// Answer with these bytes and go on.
    Answer(Vec<u8>),
    /// End with that code.
    Close(u16),
}

/// Takes one frame off `input`, or as much of one as a decoder should see. None until more has come.
pub(super) fn next(input: &mut Vec<u8>, state: &State) -> Option<Bent> {
    let (header, size) = Header::decode(input)?;
    if header.length > 1 << 20 {
        let bytes = std::mem::take(input);
        return Some(if state.is("rfc6455/10.4/huge-frame") { Bent::Skipped } else { Bent::Bytes(bytes) });
    }
    let end = size + usize::try_from(header.length).ok()?;
    if input.len() < end {
        return None;
    }
    let mut payload: Vec<u8> = input.drain(..end).skip(size).collect();
    if let Some(key) = header.mask {
        portcullis_frame::apply_mask(&mut payload, key);
    }
    Some(bend(header, payload, state))
}

fn bend(mut header: Header, mut payload: Vec<u8>, state: &State) -> Bent {
    let opcode = Opcode::from_bits(header.opcode);
    match state.defect {
        "rfc6455/5.1/unmasked" => header.mask = Some([0; 4]),
        "rfc6455/5.2/reserved-bits" => header.rsv = 0,
        "rfc6455/5.2/reserved-opcode" if opcode.is_none() => return Bent::Skipped,
        "rfc6455/5.5/long-control" if opcode == Some(Opcode::Ping) => payload.truncate(125),
        "rfc6455/5.5/fragmented-control" if opcode.is_some_and(Opcode::is_control) => header.fin = true,
        "rfc6455/5.4/orphan" if opcode == Some(Opcode::Continuation) => return Bent::Skipped,
        "rfc6455/8.1/utf-8" if opcode == Some(Opcode::Text) => {
            payload = String::from_utf8_lossy(&payload).into_owned().into_bytes();
        }
        "rfc6455/7.4.2/close-code" if opcode == Some(Opcode::Close) => {
            return Bent::Answer(Frame::new(Opcode::Close, payload).to_vec());
        }
        "rfc6455/5.4/endless-fragments" if !header.fin || opcode == Some(Opcode::Continuation) => {
            return Bent::Skipped;
        }
        "rfc6455/5.4/fragments" if opcode == Some(Opcode::Ping) && payload == b"between" => {
            return Bent::Skipped;
        }
        "rfc6455/5.5.2/pong" if opcode == Some(Opcode::Ping) => return Bent::Skipped,
        "rule/binary" if opcode == Some(Opcode::Binary) => return Bent::Close(1011),
        "rule/not-json" if opcode == Some(Opcode::Text) && payload == b"{" => return Bent::Close(1011),
        _ => {}
    }
    let mut frame = Frame::new(Opcode::Text, payload);
    let length = frame.header.length;
    frame.header = Header { length, form: portcullis_frame::LengthForm::shortest(length), ..header };
    Bent::Bytes(frame.to_vec())
}
