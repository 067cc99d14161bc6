//! What is measured is real, so it is measured by the machine's clock.

use portcullis_units::Clock;
use tokio::time::Instant;

/// The machine's clock.
pub(crate) static CLOCK: Clock = Clock::system();

/// The moment, as the runtime's timers count.
pub(crate) fn now() -> Instant {
    CLOCK.instant().into()
}
