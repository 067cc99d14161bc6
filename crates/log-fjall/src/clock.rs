//! The time of the writer, which waits for a device and on a real condition variable.

use portcullis_units::Clock;

/// The machine's clock: nothing here is simulated but the device.
pub(crate) static CLOCK: Clock = Clock::system();
