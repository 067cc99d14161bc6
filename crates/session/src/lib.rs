//! The connection after the 101, sans-I/O: frames in and out, heartbeat, message rate, the token's end, the close.
//!
//! [`Session`] owns the protocol state of one live connection and nothing else: no socket, no clock, no user. Its
//! driver reads bytes and passes them to [`Session::receive`] until that gives nothing more, calls
//! [`Session::handle_timeout`] when [`Session::poll_timeout`] has passed, and after either asks
//! [`Session::poll_transmit`] for control frames and [`Session::is_over`] whether to drop the socket. What the messages
//! mean is the router's business.
//!
//! It is made of a [`Life`], the times of any live connection, and of a WebSocket's frames. A stream of events, which has
//! no frames, lives by a [`Life`] alone.

mod frames;
mod life;
mod options;
mod session;

pub use frames::{Received, Spent, Transmit};
pub use life::{Due, Heartbeat, Life};
pub use options::{Options, Rates};
pub use session::{Notice, Session};
