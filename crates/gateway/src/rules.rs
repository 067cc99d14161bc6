//! The rules of live connections.

use std::time::Duration;

use portcullis_frame::Limits;
use portcullis_session::{self as session, Heartbeat, Rates};
use portcullis_units::Rate;

use crate::Options;

/// What sessions keep to, by what lies behind them.
pub(crate) struct Rules {
    pub(crate) routed: session::Options,
    pub(crate) echo: session::Options,
}

impl Rules {
    pub(crate) fn new(options: &Options) -> Self {
        let message = options.limits.message_bytes.as_usize();
        let rate = Rate::per_second(options.limits.messages_per_second, options.limits.message_burst);
        let routed = session::Options {
            heartbeat: Heartbeat {
                interval: options.heartbeat.interval.get(),
                timeout: options.heartbeat.timeout.get(),
            },
            limits: Limits { frame: message, message, fragments: options.limits.message_fragments },
            rates: Some(Rates { messages: rate, controls: rate }),
            binary: false,
            close_timeout: CLOSE_TIMEOUT,
            close_profile: options.handshake.close_codes,
        };
        // Test suites send more and larger messages than people do.
        let echo = session::Options {
            limits: Limits { frame: 16 << 20, message: 16 << 20, fragments: 1 << 17 },
            rates: None,
            binary: true,
            ..routed
        };
        Self { routed, echo }
    }
}

/// How long a peer has to answer a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
