//! The gate itself: sockets, clocks, limits, metrics, the page.
//!
//! [`Service`] owns the listeners. Each accepted socket is seen through its handshake by the sans-I/O core of
//! `portcullis-handshake` and then lives as one future around a `portcullis-session`; what its messages mean is
//! `portcullis-router`'s business. This crate decides nothing about tokens or frames.
//!
//! What a connection is made of, from the outside in:
//!
//! | name | what it is | where | lives |
//! |---|---|---|---|
//! | `Line` | what bytes go over: a socket, or memory in simulations | `line` | as long as the connection |
//! | `Permit` | its share of what the server and its address may have open | `admission` | from the accept |
//! | `Seat` | its share of what its user may have open; needs an identity | `portcullis-router` | from the verified token |
//! | `Attachment` | its way into the user's world: messages in, events out | `portcullis-router` | from the 101; holds the seat |
//! | `Outbox` | the bounded queue of what the world has for it | `portcullis-router` | from the 101 |
//! | `Session` | what the protocol knows of it: frames, heartbeat, the token's end, the close | `portcullis-session` | from the 101 |
//! | `Backend` | what lies behind it: an attachment, or nothing but an echo | `connection` | from the 101 |
//! | `Member` | what it is to the server: found by who ends it, counted, holder of permit and outbox | `member` | from the 101 |
//! | `Connection` | all of these, and the loop around them; for `GET /sse` it is a `Stream`, without frames | `connection`, `sse` | from the 101 |

mod accept;
mod admin;
mod admission;
mod answer;
mod api;
mod connection;
mod docs;
mod door;
mod drain;
mod embedded;
mod figures;
mod gate;
mod http;
mod line;
mod mark;
mod member;
mod node;
mod options;
mod page;
mod plain;
mod probe;
mod registry;
mod renewal;
mod routes;
mod rules;
mod service;
#[cfg(test)]
mod simulation;
mod sse;
mod stale;
#[cfg(test)]
mod testing;
mod tokens;

pub use figures::metrics::metrics_reference;
pub use figures::refusals::{OwnRefusal, OwnRefusals};
pub use options::{
    AdminOptions, DevOptions, EventOptions, EventStore, GatewayOptions, HandshakeOptions, HeartbeatOptions,
    LimitOptions, Options, ProbeOptions, RejectionStyle, RunOptions, ThreadPolicy,
};
pub use probe::ProbeAccount;
pub use service::{Error, Handle, Listeners, Service, Setup};
