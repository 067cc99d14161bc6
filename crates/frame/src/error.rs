//! Every way in which a peer can break the framing rules.

use portcullis_reason::{Reason, Rejection};

use crate::MAX_CONTROL_PAYLOAD;

/// The peer broke a rule of RFC 6455, or a limit. The connection cannot go on (RFC 6455 §7.1.7).
///
/// No variant carries payload bytes, so that errors can be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A reserved bit is set and no extension gives it a meaning. Holds RSV1 to RSV3 as bits 2 to 0.
    #[error("reserved bits {0:03b} set without an extension")]
    ReservedBits(u8),
    /// Opcodes 0x3-0x7 and 0xB-0xF are reserved.
    #[error("reserved opcode {0:#x}")]
    ReservedOpcode(u8),
    /// A client must mask every frame.
    #[error("unmasked frame from a client")]
    Unmasked,
    /// A server must not mask any frame.
    #[error("masked frame from a server")]
    Masked,
    /// A control frame without FIN.
    #[error("fragmented control frame")]
    ControlFragmented,
    /// A control frame that announces more than 125 bytes.
    #[error("control frame of more than {MAX_CONTROL_PAYLOAD} bytes")]
    ControlTooLong,
    /// A continuation frame while no message is under way.
    #[error("continuation frame without a message to continue")]
    UnexpectedContinuation,
    /// A text or binary frame while a fragmented message is under way.
    #[error("new message inside a fragmented message")]
    ExpectedContinuation,
    /// A payload length in a longer form than it needs.
    #[error("payload length {0} not in its shortest form")]
    LengthNotShortest(u64),
    /// A 64-bit payload length whose most significant bit is set.
    #[error("64-bit payload length with its top bit set")]
    LengthTopBit,
    /// A frame over [`Limits::frame`](crate::Limits::frame).
    #[error("frame announces {announced} bytes, limit {limit}")]
    FrameTooBig {
        /// The payload length in the header.
        announced: u64,
        /// The limit.
        limit: usize,
    },
    /// A message over [`Limits::message`](crate::Limits::message).
    #[error("message grows to {announced} bytes, limit {limit}")]
    MessageTooBig {
        /// The length with the frame just announced.
        announced: u64,
        /// The limit.
        limit: usize,
    },
    /// A message of more frames than [`Limits::fragments`](crate::Limits::fragments).
    #[error("message of more than {limit} fragments")]
    TooManyFragments {
        /// The limit.
        limit: u32,
    },
    /// A text message that is not UTF-8.
    #[error("text message is not valid UTF-8")]
    TextNotUtf8,
    /// A close body of one byte: it is empty or starts with a code of two.
    #[error("close body of one byte")]
    CloseBodyTooShort,
    /// A close code that may not stand in a frame.
    #[error("close code {0} is not allowed in a frame")]
    CloseCode(u16),
    /// A close reason that is not UTF-8.
    #[error("close reason is not valid UTF-8")]
    CloseReasonNotUtf8,
}

impl FrameError {
    /// The reason in the catalogue; it gives the close code.
    pub const fn reason(self) -> Reason {
        match self {
            Self::ReservedBits(_)
            | Self::ReservedOpcode(_)
            | Self::Unmasked
            | Self::Masked
            | Self::ControlFragmented
            | Self::ControlTooLong
            | Self::UnexpectedContinuation
            | Self::ExpectedContinuation
            | Self::LengthNotShortest(_)
            | Self::LengthTopBit
            | Self::CloseBodyTooShort
            | Self::CloseCode(_) => Reason::ProtocolError,
            Self::FrameTooBig { .. } | Self::MessageTooBig { .. } | Self::TooManyFragments { .. } => {
                Reason::MessageTooBig
            }
            Self::TextNotUtf8 | Self::CloseReasonNotUtf8 => Reason::InvalidPayload,
        }
    }

    /// The clause that was broken.
    pub const fn clause(self) -> &'static str {
        match self {
            Self::ReservedBits(_)
            | Self::ReservedOpcode(_)
            | Self::LengthNotShortest(_)
            | Self::LengthTopBit => "RFC 6455 §5.2",
            Self::Unmasked | Self::Masked => "RFC 6455 §5.1",
            Self::ControlFragmented | Self::ControlTooLong => "RFC 6455 §5.5",
            Self::UnexpectedContinuation | Self::ExpectedContinuation => "RFC 6455 §5.4",
            Self::FrameTooBig { .. } | Self::MessageTooBig { .. } | Self::TooManyFragments { .. } => {
                "RFC 6455 §10.4"
            }
            Self::TextNotUtf8 => "RFC 6455 §8.1",
            Self::CloseBodyTooShort | Self::CloseReasonNotUtf8 => "RFC 6455 §5.5.1",
            Self::CloseCode(_) => "RFC 6455 §7.4",
        }
    }
}

impl From<FrameError> for Rejection {
    fn from(error: FrameError) -> Self {
        Self::new(error.reason(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn becomes_a_rejection_with_its_detail() {
        let rejection = Rejection::from(FrameError::FrameTooBig { announced: 1 << 40, limit: 9 });
        assert_eq!(rejection.reason, Reason::MessageTooBig);
        assert_eq!(rejection.detail, "frame announces 1099511627776 bytes, limit 9");
        assert_eq!(FrameError::ReservedBits(0b100).to_string(), "reserved bits 100 set without an extension");
        assert_eq!(FrameError::ReservedOpcode(0xB).to_string(), "reserved opcode 0xb");
    }

    #[test]
    fn stays_small() {
        assert!(size_of::<FrameError>() <= 24);
    }
}
