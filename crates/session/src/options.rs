//! What all sessions of a server share.

use std::time::Duration;

use portcullis_frame::Limits;
use portcullis_reason::CloseProfile;
use portcullis_units::Rate;

use crate::Heartbeat;

/// How often something may come, from all connections of a user together.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Messages.
    pub messages: Rate,
    /// Pings, and pongs that nobody asked for.
    pub controls: Rate,
}

/// The rules of a live connection.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long the peer may be silent: before it is pinged, and after that.
    pub heartbeat: Heartbeat,
    /// Sizes of frames and messages.
    pub limits: Limits,
    /// How often something may come; none for no limit.
    pub rates: Option<Rates>,
    /// Whether binary messages are taken.
    pub binary: bool,
    /// How long the peer has to answer a close.
    pub close_timeout: Duration,
    /// Which close codes stand for which reason.
    pub close_profile: CloseProfile,
}
