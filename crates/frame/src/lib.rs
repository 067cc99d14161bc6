//! RFC 6455 frames and messages, sans-I/O, both roles.
//!
//! [`Decoder`] takes the bytes just read from the peer, in place, and gives [`Message`]s; [`Frame`] and
//! [`shared_text`] turn messages into bytes. This crate owns the framing rules (RFC 6455 §5), UTF-8 (§8.1), the close
//! body (§5.5.1, §7.4) and the limits on sizes (§10.4). When to answer a ping or a close, and what to do with a
//! message, belongs to the session; sockets and clocks belong to the gateway. No extension is spoken: each reserved bit
//! is refused.
//!
//! ```
//! use portcullis_frame::{Decoder, Frame, Limits, Message, Role};
//!
//! let mut decoder = Decoder::new(Role::Server, Limits::default());
//! let mut read = Frame::text("hello").masked([1, 2, 3, 4]).to_vec();
//! let mut input = &mut read[..];
//! while let Some(message) = decoder.decode(&mut input)? {
//!     if let Message::Text(text) = message {
//!         let answer = Frame::text(&text).to_bytes();
//!         assert_eq!(&answer[..], b"\x81\x05hello");
//!     }
//! }
//! # Ok::<(), portcullis_frame::FrameError>(())
//! ```

mod close;
mod decode;
mod encode;
mod error;
mod header;
mod limits;
mod mask;
mod message;
mod text;

pub use close::WireCode;
pub use decode::Decoder;
pub use encode::{Frame, payload_of, shared_text};
pub use error::FrameError;
pub use header::{Header, LengthForm, MAX_CONTROL_PAYLOAD, MAX_HEADER, Opcode};
pub use limits::{Limits, Role};
pub use mask::apply_mask;
pub use message::{CloseFrame, Message};
