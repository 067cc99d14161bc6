//! The time: the runtime's, and that of day as the system has it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use portcullis_event::Timestamp;

/// The runtime's clock for what is due when: the system's but in simulations.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The time since 1970.
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The time for tokens, in seconds since 1970.
pub(crate) fn unix_seconds() -> u64 {
    since_epoch().as_secs()
}

/// The time for figures, in milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX)
}

/// The time of events.
pub(crate) fn timestamp() -> Timestamp {
    Timestamp::from_unix_ms(i64::try_from(since_epoch().as_millis()).unwrap_or(i64::MAX))
}
