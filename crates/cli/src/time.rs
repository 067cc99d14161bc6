//! The clock of the commands, and lengths of time that may be negative.

use std::{fmt, str::FromStr};

use portcullis_units::{Clock, Duration, ParseDurationError};

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    Clock::system().unix_seconds()
}

/// How long a token is good; negative if it has expired already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ttl {
    negative: bool,
    length: Duration,
}

impl Ttl {
    /// The moment that lies so far from `now`, in seconds since 1970.
    pub(crate) const fn from(self, now: u64) -> u64 {
        if self.negative {
            now.saturating_sub(self.length.as_secs())
        } else {
            now.saturating_add(self.length.as_secs())
        }
    }
}

impl FromStr for Ttl {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, ParseDurationError> {
        let (negative, length) = text.strip_prefix('-').map_or((false, text), |length| (true, length));
        Ok(Self { negative, length: length.parse()? })
    }
}

/// How far `moment` lies from `now`: `in 5m`, `1h ago`.
pub(crate) struct Relative {
    pub(crate) moment: u64,
    pub(crate) now: u64,
}

impl fmt::Display for Relative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = Duration::from_secs(coarse(self.moment.abs_diff(self.now)));
        match self.moment.cmp(&self.now) {
            std::cmp::Ordering::Greater => write!(f, "in {length}"),
            std::cmp::Ordering::Equal => f.write_str("now"),
            std::cmp::Ordering::Less => write!(f, "{length} ago"),
        }
    }
}

/// Rounded down to the two largest units, which is all that a reader wants to know.
const fn coarse(secs: u64) -> u64 {
    match secs {
        0..3_600 => secs,
        3_600..86_400 => secs - secs % 60,
        _ => secs - secs % 3_600,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ttl_in_both_directions() {
        let moment = |text: &str| text.parse::<Ttl>().unwrap().from(10_000);
        assert_eq!(moment("1h"), 13_600);
        assert_eq!(moment("-1h"), 6_400);
        assert_eq!(moment("-9999d"), 0);
        for text in ["", "-", "--1h", "1", "h"] {
            assert!(text.parse::<Ttl>().is_err(), "{text}");
        }
    }

    #[test]
    fn relative_times() {
        let show = |moment| Relative { moment, now: 1_000_000 }.to_string();
        assert_eq!(show(1_000_000), "now");
        assert_eq!(show(1_000_030), "in 30s");
        assert_eq!(show(1_000_000 - 3_725), "1h2m ago");
        assert_eq!(show(1_000_000 - 90_061), "1d1h ago");
    }
}
