//! What every crate measures with: values as people write them in a configuration, [`Duration`] (`"30s"`) and
//! [`ByteSize`] (`"64 KiB"`); the time, [`Clock`]; how often something may happen, [`Rate`] and [`Gcra`]; and [`random`]
//! bytes.
//!
//! A bare number is refused in a configuration, because a reader cannot tell seconds from milliseconds. Durations and
//! sizes print the form that they read, so an effective configuration can be written back.

mod byte_size;
mod clock;
mod duration;
mod gcra;
pub mod random;

pub use byte_size::{ByteSize, ParseByteSizeError};
pub use clock::{Clock, Hand, Time};
pub use duration::{Duration, ParseDurationError};
pub use gcra::{Allowance, Gcra, Rate, Wait};

/// Splits `text` at the end of its leading digits.
fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}
