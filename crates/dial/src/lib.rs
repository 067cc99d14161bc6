//! The client's side of a connection, for all who make one: the tester, the load generator, the gateway's probe, benches and
//! tests.
//!
//! [`Target`] says where a server is, [`Route`] finds the way there with [`Trust`] in its certificates, and [`Client`] speaks
//! HTTP/1.1 and WebSocket over whatever stream came of it. [`Incoming`] is the part of it without I/O, for who reads a
//! socket in another way. Handshake and frames are those of the crates `handshake` and `frame`.

mod client;
mod incoming;
mod response;
mod route;
mod stream;
mod target;
mod tls;

pub use client::{AnswerError, Client, MessageError, random_key};
pub use incoming::{Incoming, MOST_HEAD, Opened};
pub use response::Response;
pub use route::{Route, RouteError, connect};
pub use stream::Stream;
pub use target::{Target, TargetError};
pub use tls::{Trust, connector};
