//! The gate itself: sockets, clocks, limits, metrics, the page.

mod options;

pub use options::{
    DevOptions, GatewayOptions, HandshakeOptions, HeartbeatOptions, LimitOptions, Options, RejectionStyle, RunOptions,
};
