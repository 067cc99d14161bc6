//! Instants on the wire: RFC 3339, milliseconds, UTC.

use std::{fmt, str::FromStr};

use jiff::{SignedDuration, civil::DateTime, tz::Offset};
use portcullis_units::Clock;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ts_rs::TS;

/// An instant in UTC with milliseconds, as in `2025-09-11T08:15:30.123Z` (RFC 3339 §5.6).
// Milliseconds since 1970-01-01T00:00:00Z, kept within the years 0000 to 9999 that RFC 3339 §1 has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema, TS)]
#[schemars(transparent)]
pub struct Timestamp(
    #[schemars(with = "String", extend("format" = "date-time"))]
    #[ts(type = "string")]
    i64,
);

impl Timestamp {
    /// From milliseconds since 1970-01-01T00:00:00Z; moved to the nearest end of the years 0000 to 9999.
    pub const fn from_unix_ms(ms: i64) -> Self {
        Self(if ms < MIN {
            MIN
        } else if ms > MAX {
            MAX
        } else {
            ms
        })
    }

    /// What a clock shows now.
    pub fn now(clock: &Clock) -> Self {
        Self::from_unix_ms(i64::try_from(clock.unix_ms()).unwrap_or(i64::MAX))
    }

    /// From whole seconds since 1970-01-01T00:00:00Z, as in a token's `exp`.
    pub const fn from_unix_seconds(seconds: u64) -> Self {
        match seconds.checked_mul(1000) {
            Some(ms) if ms <= MAX.cast_unsigned() => Self(ms.cast_signed()),
            _ => Self(MAX),
        }
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// The 24 ASCII bytes of the written form, without an allocation.
    // The digits are put by hand, since this runs for every event: 230 instructions with the calendar, 500 with the
    // printer of jiff.
    pub(crate) fn write(self) -> [u8; 24] {
        let time = self.civil();
        let mut out = *b"0000-00-00T00:00:00.000Z";
        let mut put = |at: usize, width: usize, mut value: u16| {
            for slot in out[at..at + width].iter_mut().rev() {
                *slot = b'0' + (value % 10) as u8;
                value /= 10;
            }
        };
        put(0, 4, time.year().cast_unsigned());
        put(5, 2, time.month().cast_unsigned().into());
        put(8, 2, time.day().cast_unsigned().into());
        put(11, 2, time.hour().cast_unsigned().into());
        put(14, 2, time.minute().cast_unsigned().into());
        put(17, 2, time.second().cast_unsigned().into());
        put(20, 3, time.millisecond().cast_unsigned());
        out
    }

    /// Date and time of day in UTC.
    fn civil(self) -> DateTime {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) => Offset::UTC.to_datetime(instant),
            // The last day of the year 9999, which jiff keeps free so that any offset can be applied. This way takes
            // twice as long.
            Err(_) => EPOCH + SignedDuration::from_millis(self.0),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write().iter().try_for_each(|&byte| fmt::Write::write_char(f, char::from(byte)))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an instant as RFC 3339 §5.6 writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTimestamp;

impl fmt::Display for InvalidTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an RFC 3339 instant such as 2025-09-11T08:15:30.123Z")
    }
}

impl std::error::Error for InvalidTimestamp {}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    /// Takes any RFC 3339 instant, with any offset; what is finer than a millisecond is cut off, and a leap second is
    /// the last millisecond before it.
    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        parse(text).map(Self::from_unix_ms).ok_or(InvalidTimestamp)
    }
}

/// `YYYY-MM-DDTHH:MM:SS[.F…](Z|±HH:MM)` to milliseconds since 1970.
// The form is looked at here, because jiff also takes the wider one of ISO 8601.
fn parse(text: &str) -> Option<i64> {
    let (civil, rest) = text.split_at_checked(19)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?),
        None => ("0", rest),
    };
    if !has_form(civil, "0000-00-00T00:00:00") || fraction.is_empty() {
        return None;
    }
    let since_epoch = civil.parse::<DateTime>().ok()?.duration_since(EPOCH);
    // jiff reads a leap second as the second before it.
    let fraction = if civil.ends_with("60") { "999" } else { fraction };
    let ms = fraction.bytes().chain([b'0'; 2]).take(3).fold(0, |ms, digit| ms * 10 + i64::from(digit - b'0'));
    let offset = if zone.eq_ignore_ascii_case("Z") {
        0
    } else if has_form(zone, "+00:00") {
        let (hours, minutes) = (zone[1..3].parse::<i64>().ok()?, zone[4..].parse::<i64>().ok()?);
        let offset = (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)?;
        if zone.starts_with('-') { -offset } else { offset }
    } else {
        return None;
    };
    Some((since_epoch.as_secs() - offset * 60) * 1000 + ms)
}

/// Whether `text` is like `form`: a digit for a `0`, either sign for a `+`, and for a `T` what RFC 3339 §5.6 lets stand
/// between date and time.
fn has_form(text: &str, form: &str) -> bool {
    let same = |(byte, form): (u8, u8)| match form {
        b'0' => byte.is_ascii_digit(),
        b'+' => matches!(byte, b'+' | b'-'),
        b'T' => matches!(byte, b'T' | b't' | b' '),
        _ => byte == form,
    };
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(same)
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.write();
        serializer.serialize_str(std::str::from_utf8(&text).map_err(serde::ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
/// 0000-01-01T00:00:00.000Z.
const MIN: i64 = -62_167_219_200_000;
/// 9999-12-31T23:59:59.999Z.
const MAX: i64 = 253_402_300_799_999;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn instants_are_written_and_read() {
        let table = [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (1_757_578_530_123, "2025-09-11T08:15:30.123Z"),
            (MIN, "0000-01-01T00:00:00.000Z"),
            (MAX, "9999-12-31T23:59:59.999Z"),
        ];
        for (ms, text) in table {
            assert_eq!(Timestamp::from_unix_ms(ms).to_string(), text);
            assert_eq!(text.parse(), Ok(Timestamp::from_unix_ms(ms)), "{text}");
        }
    }

    #[test]
    fn other_forms_of_an_instant_are_read() {
        let expected = Ok(Timestamp::from_unix_ms(1_757_578_530_100));
        for text in [
            "2025-09-11T08:15:30.1Z",
            "2025-09-11t08:15:30.10z",
            "2025-09-11 08:15:30.1009999Z",
            "2025-09-11T10:15:30.100+02:00",
            "2025-09-10T20:45:30.100-11:30",
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
        assert_eq!(
            "1990-12-31T23:59:60Z".parse::<Timestamp>().unwrap().to_string(),
            "1990-12-31T23:59:59.999Z"
        );
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for text in [
            "",
            "now",
            "2025-09-11",
            "2025-09-11T08:15:30",
            "2025-09-11T08:15:30.Z",
            "2025-09-11T08:15:30.1",
            "2025-09-11T08:15:30Z ",
            "2025-09-11T24:15:30Z",
            "2025-09-11T08:60:30Z",
            "2025-09-11T08:15:61Z",
            "2025-02-29T08:15:30Z",
            "2100-02-29T08:15:30Z",
            "2025-00-11T08:15:30Z",
            "2025-13-11T08:15:30Z",
            "2025-04-31T08:15:30Z",
            "2025-09-00T08:15:30Z",
            "2025-09-11T08:15:30+2:00",
            "2025-09-11T08:15:30+24:00",
            "+025-09-11T08:15:30Z",
            "２０２５-09-11T08:15:30Z",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(InvalidTimestamp), "{text}");
        }
    }

    #[test]
    fn instants_beyond_the_calendar_are_moved_to_its_ends() {
        assert_eq!(Timestamp::from_unix_ms(i64::MIN).unix_ms(), MIN);
        assert_eq!(Timestamp::from_unix_ms(i64::MAX).unix_ms(), MAX);
        assert_eq!(Timestamp::from_unix_seconds(u64::MAX).unix_ms(), MAX);
        assert_eq!(Timestamp::from_unix_seconds(1_757_578_530).to_string(), "2025-09-11T08:15:30.000Z");
    }

    proptest! {
        #[test]
        fn jiff_writes_the_same(ms in MIN..253_402_200_000_000) {
            let ours = Timestamp::from_unix_ms(ms).to_string();
            let theirs = jiff::Timestamp::from_millisecond(ms).unwrap();
            prop_assert_eq!(ours, format!("{theirs:.3}"));
        }

        #[test]
        fn what_is_written_is_read(ms in MIN..=MAX) {
            let instant = Timestamp::from_unix_ms(ms);
            prop_assert_eq!(instant.to_string().parse(), Ok(instant));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,40}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.Z+-]{0,20}") {
            let ours = text.parse::<Timestamp>();
            if let (Ok(ours), Ok(theirs)) = (ours, text.parse::<jiff::Timestamp>()) {
                prop_assert_eq!(ours.unix_ms(), theirs.as_nanosecond().div_euclid(1_000_000) as i64);
            }
        }
    }
}
