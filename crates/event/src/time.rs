//! Instants on the wire: RFC 3339, milliseconds, UTC. The caller brings the clock.

use std::{fmt, str::FromStr};

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
    pub(crate) fn write(self) -> [u8; 24] {
        let (days, ms) = (self.0.div_euclid(DAY_MS), self.0.rem_euclid(DAY_MS) as u32);
        let (year, month, day) = civil(days);
        let mut out = *b"0000-00-00T00:00:00.000Z";
        let mut put = |at: usize, width: usize, mut value: u32| {
            for slot in out[at..at + width].iter_mut().rev() {
                *slot = b'0' + (value % 10) as u8;
                value /= 10;
            }
        };
        put(0, 4, year);
        put(5, 2, month);
        put(8, 2, day);
        put(11, 2, ms / 3_600_000);
        put(14, 2, ms / 60_000 % 60);
        put(17, 2, ms / 1000 % 60);
        put(20, 3, ms % 1000);
        out
    }
}

/// The date of a day counted from 1970-01-01, not before year 0, in the proleptic Gregorian calendar.
///
/// Counts in years that begin on 1 March, so that a leap day is the last of its year and months follow one formula.
fn civil(days: i64) -> (u32, u32, u32) {
    // Day 0 of the count is 1 March of the year -400, 146,097 days (400 years) before 0000-03-01, which in turn lies
    // 719,468 days before 1970-01-01: nothing below is negative.
    let shifted = (days + 719_468 + 146_097).cast_unsigned() as u32;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year_of_era + next - 400, month, day)
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
        parse(text.as_bytes()).map(Self::from_unix_ms).ok_or(InvalidTimestamp)
    }
}

/// `YYYY-MM-DDTHH:MM:SS[.F…](Z|±HH:MM)` to milliseconds since 1970.
fn parse(text: &[u8]) -> Option<i64> {
    let (head, rest) = text.split_at_checked(19)?;
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if marks.iter().any(|&(at, mark)| head[at] != mark) || !matches!(head[10], b'T' | b't' | b' ') {
        return None;
    }
    let (year, month, day) = (digits(&head[..4])?, digits(&head[5..7])?, digits(&head[8..10])?);
    let (hour, minute, second) = (digits(&head[11..13])?, digits(&head[14..16])?, digits(&head[17..])?);
    let leap_year = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_days = match month {
        2 => 28 + i64::from(leap_year),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=month_days).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, zone) = match rest.strip_prefix(b".") {
        Some(rest) => rest.split_at(rest.iter().take_while(|byte| byte.is_ascii_digit()).count()),
        None => (&b"0"[..], rest),
    };
    let fraction_ms = match *fraction {
        [] => return None,
        [a] => digits(&[a, b'0', b'0'])?,
        [a, b] => digits(&[a, b, b'0'])?,
        [a, b, c, ..] => digits(&[a, b, c])?,
    };
    let offset_minutes = match *zone {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[h1, h2])?, digits(&[m1, m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 60 + minutes) * if sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let (second, fraction_ms) = if second == 60 { (59, 999) } else { (second, fraction_ms) };
    let seconds = days(year, month, day) * 86_400 + (hour * 60 + minute - offset_minutes) * 60 + second;
    Some(seconds * 1000 + fraction_ms)
}

/// The day of a date counted from 1970-01-01: the inverse of [`civil`].
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Decimal digits and nothing else.
fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
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

const DAY_MS: i64 = 86_400_000;
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
