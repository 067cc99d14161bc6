//! What all sessions of a server share.

use std::time::Duration;

use portcullis_frame::Limits;
use portcullis_reason::CloseProfile;
use portcullis_units::Rate;

use crate::Heartbeat;

/// The rules of a live connection.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long the peer may be silent: before it is pinged, and after that.
    pub heartbeat: Heartbeat,
    /// Sizes of frames and messages.
    pub limits: Limits,
    /// How often a message may come; none for no limit.
    pub rate: Option<Rate>,
    /// Whether binary messages are taken.
    pub binary: bool,
    /// How long the peer has to answer a close.
    pub close_timeout: Duration,
    /// Which close codes stand for which reason.
    pub close_profile: CloseProfile,
}
