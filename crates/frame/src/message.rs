//! What a peer said, once its frames are put together.

use std::{borrow::Cow, fmt};

use crate::WireCode;

/// A message or control frame from the peer.
///
/// Borrowed where a whole frame lay inside the caller's chunk, owned where it was put together from several pieces. The
/// [`Debug`](fmt::Debug) output gives lengths, never content.
#[derive(Clone, PartialEq, Eq)]
pub enum Message<'c> {
    /// A whole text message.
    Text(Cow<'c, str>),
    /// A whole binary message.
    Binary(Cow<'c, [u8]>),
    /// A ping; the pong has to carry the same bytes, at most 125 (RFC 6455 §5.5.3).
    Ping(Cow<'c, [u8]>),
    /// A pong, asked for or not.
    Pong(Cow<'c, [u8]>),
    /// A close; none if its body was empty. Nothing comes after it (RFC 6455 §5.5.1).
    Close(Option<CloseFrame<'c>>),
}

/// The body of a close frame.
#[derive(Clone, PartialEq, Eq)]
pub struct CloseFrame<'c> {
    /// The code.
    pub code: WireCode,
    /// The reason, possibly empty, at most 123 bytes. Whatever the peer wrote: not to be trusted.
    pub reason: Cow<'c, str>,
}

impl Message<'_> {
    /// Detaches the message from the caller's chunk.
    pub fn into_owned(self) -> Message<'static> {
        match self {
            Self::Text(text) => Message::Text(Cow::Owned(text.into_owned())),
            Self::Binary(bytes) => Message::Binary(Cow::Owned(bytes.into_owned())),
            Self::Ping(bytes) => Message::Ping(Cow::Owned(bytes.into_owned())),
            Self::Pong(bytes) => Message::Pong(Cow::Owned(bytes.into_owned())),
            Self::Close(body) => Message::Close(body.map(CloseFrame::into_owned)),
        }
    }
}

impl CloseFrame<'_> {
    /// Detaches the body from the caller's chunk.
    pub fn into_owned(self) -> CloseFrame<'static> {
        CloseFrame { code: self.code, reason: Cow::Owned(self.reason.into_owned()) }
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Binary(bytes) => write!(f, "Binary({} bytes)", bytes.len()),
            Self::Ping(bytes) => write!(f, "Ping({} bytes)", bytes.len()),
            Self::Pong(bytes) => write!(f, "Pong({} bytes)", bytes.len()),
            Self::Close(body) => f.debug_tuple("Close").field(body).finish(),
        }
    }
}

impl fmt::Debug for CloseFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes of reason)", self.code.get(), self.reason.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_content() {
        let close = CloseFrame { code: WireCode::NORMAL, reason: "secret".into() };
        let messages = [
            Message::Text("secret".into()),
            Message::Binary(b"secret".into()),
            Message::Ping(b"secret".into()),
            Message::Pong(b"secret".into()),
            Message::Close(Some(close)),
        ];
        let shown = format!("{messages:?}");
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains("Text(6 bytes)") && shown.contains("1000 (6 bytes of reason)"), "{shown}");
    }
}
