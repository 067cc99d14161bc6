//! What is measured is real, so it is measured by the machine's clock.

use portcullis_units::Clock;

/// The machine's clock.
pub(crate) static CLOCK: Clock = Clock::system();
