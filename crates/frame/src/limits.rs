//! What a decoder is told once: which side it serves, and how much it may be sent.

/// Which side of the connection is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// We are the server: what comes in must be masked, what goes out must not be (RFC 6455 §5.1).
    Server,
    /// We are the client: what comes in must not be masked, what goes out must be (RFC 6455 §5.1).
    Client,
}

/// How much one message may take (RFC 6455 §10.4). Whatever exceeds a limit ends the connection with 1009.
///
/// Limits are judged by what a frame's header announces, before its payload arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most payload bytes of one frame. Default: 1 MiB.
    pub frame: usize,
    /// The most bytes of one message, all its frames together. Default: 1 MiB.
    pub message: usize,
    /// The most frames of one message, empty ones included; one frame is always allowed. Default: 4,096.
    ///
    /// Fragments are appended to one buffer, so each costs time but no memory of its own.
    pub fragments: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { frame: 1 << 20, message: 1 << 20, fragments: 4096 }
    }
}
