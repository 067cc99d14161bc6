//! How the server's messages are written on a connection.

use crate::MessageType;

/// How the server's messages are written on a connection. It is the connection's own: what its subprotocol or, for older
/// clients, its path stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Wire {
    /// The envelope of protocol v1.
    #[default]
    V1,
    /// `{"type","data","timestamp"}` of older clients.
    Legacy,
}

impl Wire {
    /// How many there are.
    pub const COUNT: usize = 2;

    /// Whether a client can tell where it stands in a stream, so that it may resume.
    pub const fn is_resumable(self) -> bool {
        matches!(self, Self::V1)
    }

    /// Whether it has a form for messages of that type. Older clients take every `user_message` for one of their own kind.
    pub const fn has(self, kind: MessageType) -> bool {
        match self {
            Self::V1 => true,
            Self::Legacy => !matches!(kind, MessageType::UserMessage),
        }
    }
}
