//! What this crate and tungstenite make of the same bytes. The fuzz target `frames` reads this file as well.

use std::io::{self, Read, Write};

use portcullis_frame::{Decoder, FrameError, Header, LengthForm, Limits, Message, Opcode, Role};
use tungstenite::{
    Message as Theirs,
    protocol::{CloseFrame, Role as TheirRole, WebSocket, WebSocketConfig, frame::coding::CloseCode},
};

/// More than either judges by.
const LIMITS: Limits = Limits { frame: 68_000, message: 69_000, fragments: u32::MAX };

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// More bytes are welcome.
    Open,
    Closed,
    Failed,
}

fn event(message: Message<'_>) -> Event {
    match message {
        Message::Text(text) => Event::Text(text.into_owned()),
        Message::Binary(bytes) => Event::Binary(bytes.into_owned()),
        Message::Ping(bytes) => Event::Ping(bytes.into_owned()),
        Message::Pong(bytes) => Event::Pong(bytes.into_owned()),
        Message::Close(body) => Event::Close(body.map(|body| (body.code.get(), body.reason.into_owned()))),
    }
}

/// What comes of `bytes`, cut into pieces of the sizes in `cuts`, again and again.
pub(crate) fn ours(role: Role, mut bytes: &[u8], cuts: &[usize]) -> (Vec<Event>, End, Option<FrameError>) {
    let mut decoder = Decoder::new(role, LIMITS);
    let mut events = Vec::new();
    let mut sizes = cuts.iter().copied().cycle();
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(sizes.next().unwrap_or(usize::MAX).min(bytes.len()));
        bytes = rest;
        let mut piece = piece.to_vec();
        let mut input = &mut piece[..];
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(message)) => events.push(event(message)),
                Ok(None) => break,
                Err(error) => return (events, End::Failed, Some(error)),
            }
        }
    }
    let end = if decoder.is_done() { End::Closed } else { End::Open };
    (events, end, None)
}

/// Gives its bytes once, then has no more for now; swallows what is written.
struct Stream<'a>(&'a [u8]);

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.0.read(buffer) }
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn theirs(role: Role, bytes: &[u8]) -> (Vec<Event>, End) {
    let role = match role {
        Role::Server => TheirRole::Server,
        Role::Client => TheirRole::Client,
    };
    let config = WebSocketConfig::default()
        .max_frame_size(Some(LIMITS.frame))
        .max_message_size(Some(LIMITS.message))
        .read_buffer_size(4096);
    let mut socket = WebSocket::from_raw_socket(Stream(bytes), role, Some(config));
    let mut events = Vec::new();
    loop {
        match socket.read() {
            Ok(Theirs::Text(text)) => events.push(Event::Text(text.as_str().to_owned())),
            Ok(Theirs::Binary(bytes)) => events.push(Event::Binary(bytes.into())),
            Ok(Theirs::Ping(bytes)) => events.push(Event::Ping(bytes.into())),
            Ok(Theirs::Pong(bytes)) => events.push(Event::Pong(bytes.into())),
            // A close code that is not allowed is not an error there: it is replaced by this one.
            Ok(Theirs::Close(Some(CloseFrame { code: CloseCode::Protocol, reason })))
                if reason.as_str() == "Protocol violation" =>
            {
                return (events, End::Failed);
            }
            Ok(Theirs::Close(body)) => {
                events
                    .push(Event::Close(body.map(|body| (body.code.into(), body.reason.as_str().to_owned()))));
                return (events, End::Closed);
            }
            Ok(Theirs::Frame(_)) => unreachable!("raw frames are never read"),
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return (events, End::Open);
            }
            Err(_) => return (events, End::Failed),
        }
    }
}

/// `bytes` up to the first frame that is not all there, or on which tungstenite is known to differ:
/// it takes lengths that are not in their shortest form, and it does not know the close code 1014.
pub(crate) fn comparable(bytes: &[u8]) -> &[u8] {
    let mut at = 0;
    while let Some((header, size)) = Header::decode(&bytes[at..]) {
        let Some(end) =
            usize::try_from(header.length).ok().and_then(|length| (at + size).checked_add(length))
        else {
            break;
        };
        if end > bytes.len() || header.form != LengthForm::shortest(header.length) {
            break;
        }
        let mut code = bytes[at + size..end].iter().take(2).copied().collect::<Vec<u8>>();
        portcullis_frame::apply_mask(&mut code, header.mask.unwrap_or_default());
        if header.opcode == Opcode::Close.bits() && code == 1014_u16.to_be_bytes() {
            break;
        }
        at = end;
    }
    &bytes[..at]
}
