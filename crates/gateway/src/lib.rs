//! The gate itself: sockets, clocks, limits, metrics, the page.
//!
//! [`Service`] owns the listeners. Each accepted socket is seen through its handshake by the sans-I/O core of
//! `portcullis-handshake` and then lives as one future around a `portcullis-session`; what its messages mean is
//! `portcullis-router`'s business. This crate decides nothing about tokens or frames.

mod accept;
mod admin;
mod admission;
mod answer;
mod api;
mod clock;
mod connection;
mod docs;
mod drain;
mod embedded;
mod figures;
mod gate;
mod line;
mod mark;
mod options;
mod page;
mod plain;
mod probe;
mod routes;
mod service;
#[cfg(test)]
mod simulation;
mod sse;
mod stale;
#[cfg(test)]
mod testing;

pub use figures::metrics::metrics_reference;
pub use figures::refusals::{OwnRefusal, OwnRefusals};
pub use options::{
    AdminOptions, DevOptions, EventOptions, EventStore, GatewayOptions, HandshakeOptions, HeartbeatOptions,
    LimitOptions, Options, ProbeOptions, RejectionStyle, RunOptions, ThreadPolicy,
};
pub use probe::ProbeAccount;
pub use service::{Error, Handle, Listeners, Service, Setup};
