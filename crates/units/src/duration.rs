//! Lengths of time.

use std::{borrow::Cow, fmt, str::FromStr, time};

use crate::split_digits;

/// A length of time, written with its unit: `"250ms"`, `"30s"`, `"5m"`, `"1h"`, `"7d"`, also put together: `"1h30m"`.
///
/// Whole milliseconds. [`Display`](fmt::Display) prints the shortest form that reads back as the same value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Duration(u64);

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// So many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// So many seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000))
    }

    /// So many minutes.
    pub const fn from_mins(mins: u64) -> Self {
        Self(mins.saturating_mul(60_000))
    }

    /// So many hours.
    pub const fn from_hours(hours: u64) -> Self {
        Self(hours.saturating_mul(3_600_000))
    }

    /// So many days of 24 hours.
    pub const fn from_days(days: u64) -> Self {
        Self(days.saturating_mul(86_400_000))
    }

    /// The standard library's type.
    pub const fn get(self) -> time::Duration {
        time::Duration::from_millis(self.0)
    }

    /// In milliseconds, as the wire protocol counts.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// In whole seconds, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000
    }

    /// Whether it is no time at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl From<Duration> for time::Duration {
    fn from(duration: Duration) -> Self {
        duration.get()
    }
}

/// The text is not a length of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseDurationError {
    /// Whether the fault is only that the unit is missing.
    unit_missing: bool,
    text: String,
}

impl fmt::Display for ParseDurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unit_missing, text } = self;
        if *unit_missing {
            write!(f, "`{text}` has no unit: write `{text}s` for seconds or `{text}ms` for milliseconds")
        } else {
            write!(
                f,
                "`{text}` is not a duration: write a number with ms, s, m, h or d, such as `30s` or `1h30m`"
            )
        }
    }
}

impl std::error::Error for ParseDurationError {}

impl FromStr for Duration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, ParseDurationError> {
        let text = text.trim();
        let error = |unit_missing| ParseDurationError { unit_missing, text: text.to_owned() };
        if text == "0" {
            return Ok(Self::ZERO);
        }
        let (mut rest, mut total, mut last) = (text, 0_u64, u64::MAX);
        while !rest.is_empty() {
            let (digits, tail) = split_digits(rest);
            let number: u64 = digits.parse().map_err(|_| error(false))?;
            let tail = tail.trim_start();
            if tail.is_empty() {
                return Err(error(total == 0));
            }
            let (unit, after) =
                tail.split_at(tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len()));
            let millis = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(|| error(false))?.1;
            // Largest unit first, each once: `1m1h` and `5s5s` are slips of the keyboard.
            if millis >= last {
                return Err(error(false));
            }
            last = millis;
            total = number
                .checked_mul(millis)
                .and_then(|part| total.checked_add(part))
                .ok_or_else(|| error(false))?;
            rest = after.trim_start();
        }
        if last == u64::MAX { Err(error(false)) } else { Ok(Self(total)) }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, millis) in UNITS {
            let count = rest / millis;
            if count > 0 {
                write!(f, "{count}{unit}")?;
                rest %= millis;
            }
        }
        Ok(())
    }
}

impl serde::Serialize for Duration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Duration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Duration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration with its unit, such as \"30s\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Duration, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

impl schemars::JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A length of time with its unit: ms, s, m, h or d.",
            "pattern": r"^\s*(0|([0-9]+\s*d\s*)?([0-9]+\s*h\s*)?([0-9]+\s*m\s*)?([0-9]+\s*s\s*)?([0-9]+\s*ms)?)\s*$",
            "minLength": 1,
            "examples": ["250ms", "30s", "1h30m"],
        })
    }
}

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, millis) in [
            ("0", 0),
            ("0s", 0),
            ("250ms", 250),
            ("30s", 30_000),
            (" 30 s ", 30_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("7d", 604_800_000),
            ("1d2h3m4s5ms", 93_784_005),
        ] {
            assert_eq!(text.parse(), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses_what_has_two_readings() {
        for text in [
            "",
            " ",
            "s",
            "-1s",
            "+1s",
            "1.5h",
            "1w",
            "30S",
            "1m1h",
            "5s5s",
            "1h30",
            "1s,2ms",
            "99999999999999999999s",
        ] {
            let error = text.parse::<Duration>().unwrap_err().to_string();
            assert!(error.contains("is not a duration"), "{text}: {error}");
        }
        let error = "30".parse::<Duration>().unwrap_err().to_string();
        assert_eq!(error, "`30` has no unit: write `30s` for seconds or `30ms` for milliseconds");
    }

    #[test]
    fn a_bare_number_is_refused_by_serde() {
        let error = serde_json::from_str::<Duration>("30").unwrap_err().to_string();
        assert!(error.contains("expected a duration with its unit"), "{error}");
    }

    proptest! {
        #[test]
        fn printed_reads_back(millis in any::<u64>()) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }

        #[test]
        fn any_text_is_an_answer(text in "\\PC{0,20}") {
            let _ = text.parse::<Duration>();
        }
    }
}
