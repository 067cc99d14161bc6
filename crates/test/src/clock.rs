//! Processes live in real time.

use portcullis_units::Clock;

/// The machine's clock.
pub(crate) static CLOCK: Clock = Clock::system();
