//! The gate itself: sockets, clocks, limits, metrics, the page.
//!
//! [`Service`] owns the listeners. Each accepted socket is seen through its handshake by the sans-I/O core of
//! `portcullis-handshake` and then lives as one future around a `portcullis-session`; what its messages mean is
//! `portcullis-router`'s business. This crate decides nothing about tokens or frames.

mod accept;
mod admission;
mod connection;
mod gate;
mod metrics;
mod options;
mod page;
mod plain;
mod proxies;
mod refusals;
mod service;

pub use options::{
    DevOptions, GatewayOptions, HandshakeOptions, HeartbeatOptions, LimitOptions, Options, RejectionStyle,
    RunOptions,
};
pub use service::{Error, Listeners, Service, Setup};
