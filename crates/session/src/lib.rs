//! The connection after the 101, sans-I/O: frames in and out, heartbeat, message rate, the token's end, the close.
//!
//! [`Session`] owns the protocol state of one live connection and nothing else: no socket, no clock, no user. Its
//! driver reads bytes and passes them to [`Session::receive`] until that gives nothing more, calls
//! [`Session::handle_timeout`] when [`Session::poll_timeout`] has passed, and after either asks
//! [`Session::poll_transmit`] for control frames and [`Session::is_over`] whether to drop the socket. What the messages
//! mean is the router's business.

mod options;
mod session;

pub use options::Options;
pub use session::{Notice, Received, Session, Transmit};
