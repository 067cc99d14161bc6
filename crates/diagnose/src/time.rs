//! Times of day as logs write them. Without an offset they are taken for UTC; a time without a date is one of
//! 1970-01-01, which is enough to tell what came before what.

use jiff::{
    Timestamp,
    civil::{DateTime, Time},
    tz::TimeZone,
};

/// Milliseconds since 1970-01-01T00:00:00Z.
pub(crate) type Millis = i64;

/// A time at the beginning of `text`, and what follows it.
pub(crate) fn leading(text: &str) -> Option<(Millis, &str)> {
    // logfmt: `time="2025-09-11T08:15:30Z" level=info …`
    if let Some(value) = ["time=", "ts=", "timestamp="].iter().find_map(|name| text.strip_prefix(name)) {
        let (at, rest) = dated(value.trim_start_matches('"'))?;
        return Some((at, rest.trim_start_matches(['"', ' '])));
    }
    let inner = text.strip_prefix('[').unwrap_or(text);
    let (at, rest) =
        dated(inner).or_else(|| month_first(inner)).or_else(|| weekday(inner)).or_else(|| clock(inner))?;
    let rest = if inner.len() < text.len() { rest.strip_prefix(']')? } else { rest };
    let rest = rest.trim_start_matches([' ', '\t', ',', '-']);
    Some((at, rest))
}

/// `2025-09-11T08:15:30.123Z`, as in JSON.
pub(crate) fn rfc3339(text: &str) -> Option<Millis> {
    dated(text).map(|(at, _)| at)
}

/// `27/Nov/2026:21:59:49 +0000`, as in access logs.
pub(crate) fn access(text: &str) -> Option<Millis> {
    let (day, rest) = text.split_once('/')?;
    let (month, rest) = rest.split_once('/')?;
    let (year, rest) = rest.split_once(':')?;
    let (time, rest) = time_of_day(rest)?;
    let date = DateTime::new(year.parse().ok()?, month_number(month)?, day.parse().ok()?, 0, 0, 0, 0).ok()?;
    let (offset, _) = offset(rest.trim_start()).unwrap_or((0, rest));
    millis(date.date().to_datetime(time), offset)
}

/// For people: an instant, or a time of day where the log has no date.
pub(crate) fn shown(at: Millis) -> String {
    let Ok(instant) = Timestamp::from_millisecond(at.div_euclid(1000) * 1000) else {
        return String::new();
    };
    let text = instant.to_string();
    match text.strip_prefix("1970-01-01T") {
        Some(time) => time.trim_end_matches('Z').to_owned(),
        None => text,
    }
}

/// `2025-09-11 08:15:30,123`, `2025/09/11 08:15:30`, `2025-09-11T08:15:30+02:00`.
fn dated(text: &str) -> Option<(Millis, &str)> {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| -> Option<i16> {
        let text = text.get(range)?;
        text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
    };
    let mark = *bytes.get(4)?;
    if !matches!(mark, b'-' | b'/') || *bytes.get(7)? != mark || !matches!(bytes.get(10)?, b'T' | b't' | b' ')
    {
        return None;
    }
    let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
    let (time, rest) = time_of_day(text.get(11..)?)?;
    let date = DateTime::new(year, month as i8, day as i8, 0, 0, 0, 0).ok()?;
    let (offset, rest) = offset(rest)
        .or_else(|| offset(rest.strip_prefix(' ')?).filter(|_| !rest.starts_with(" Z")))
        .unwrap_or((0, rest));
    Some((millis(date.date().to_datetime(time), offset)?, rest))
}

/// `Sep 11 08:15:30`, as in syslog: no year, so it is of 1970.
fn month_first(text: &str) -> Option<(Millis, &str)> {
    let month = month_number(text.get(..3)?)?;
    let rest = text.get(3..)?.strip_prefix(' ')?.trim_start();
    let end = rest.find(' ')?;
    let day: i8 = rest[..end].parse().ok()?;
    let (time, rest) = time_of_day(&rest[end + 1..])?;
    let date = DateTime::new(1970, month, day, 0, 0, 0, 0).ok()?;
    Some((millis(date.date().to_datetime(time), 0)?, rest))
}

/// `Thu Sep 11 08:15:30 2025`, as in Apache's and Python's `ctime`.
fn weekday(text: &str) -> Option<(Millis, &str)> {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let rest = DAYS.iter().find_map(|day| text.strip_prefix(day))?.strip_prefix(' ')?;
    let (at, rest) = month_first(rest)?;
    let year: i16 = rest.get(1..5)?.parse().ok()?;
    let instant = Timestamp::from_millisecond(at).ok()?.to_zoned(TimeZone::UTC).datetime();
    let date = DateTime::new(year, instant.month(), instant.day(), 0, 0, 0, 0).ok()?;
    Some((millis(date.date().to_datetime(instant.time()), 0)?, &rest[5..]))
}

/// `08:15:30` or `08:15:30.123`.
fn clock(text: &str) -> Option<(Millis, &str)> {
    let (time, rest) = time_of_day(text)?;
    let date = DateTime::new(1970, 1, 1, 0, 0, 0, 0).ok()?;
    Some((millis(date.date().to_datetime(time), 0)?, rest))
}

fn time_of_day(text: &str) -> Option<(Time, &str)> {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || bytes[2] != b':' || bytes[5] != b':' {
        return None;
    }
    let two = |at: usize| -> Option<i8> {
        let pair = text.get(at..at + 2)?;
        pair.bytes().all(|b| b.is_ascii_digit()).then(|| pair.parse().ok())?
    };
    let (hour, minute, second) = (two(0)?, two(3)?, two(6)?.min(59));
    let mut rest = &text[8..];
    let mut nanos = 0_i32;
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if length > 0 {
            let kept = &fraction[..length.min(9)];
            nanos = kept.parse::<i32>().ok()? * 10_i32.pow(9 - kept.len() as u32);
            rest = &fraction[length..];
        }
    }
    Some((Time::new(hour, minute, second, nanos).ok()?, rest))
}

/// Seconds east of UTC.
fn offset(text: &str) -> Option<(i64, &str)> {
    if let Some(rest) = text.strip_prefix(['Z', 'z']) {
        return Some((0, rest));
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let two = |at: usize| -> Option<i64> {
        let pair = text.get(at..at + 2)?;
        pair.bytes().all(|b| b.is_ascii_digit()).then(|| pair.parse().ok())?
    };
    let (hours, minutes_at) = (two(1)?, if text.as_bytes().get(3) == Some(&b':') { 4 } else { 3 });
    let minutes = two(minutes_at)?;
    Some((sign * (hours * 3600 + minutes * 60), &text[minutes_at + 2..]))
}

fn millis(at: DateTime, offset: i64) -> Option<Millis> {
    let instant = TimeZone::UTC.to_timestamp(at).ok()?;
    Some(instant.as_millisecond() - offset * 1000)
}

fn month_number(name: &str) -> Option<i8> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    MONTHS.iter().position(|month| *month == name).map(|at| at as i8 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_write_the_same_instant_in_many_ways() {
        let at = 1_757_578_530_000;
        for text in [
            "2025-09-11T08:15:30Z x",
            "2025-09-11 08:15:30 x",
            "2025-09-11 08:15:30,000 - x",
            "2025/09/11 08:15:30 x",
            "[2025-09-11 08:15:30 +0000] x",
            "2025-09-11T10:15:30.000+02:00 x",
            "2025-09-11T08:15:30.000000000Z x",
            "Thu Sep 11 08:15:30 2025 x",
            "time=\"2025-09-11T08:15:30Z\" x",
            "ts=2025-09-11T08:15:30.000Z x",
        ] {
            assert_eq!(leading(text), Some((at, "x")), "{text}");
        }
        assert_eq!(access("11/Sep/2025:10:15:30 +0200"), Some(at));
        assert_eq!(rfc3339("2025-09-11T08:15:30.123456Z"), Some(at + 123));
        assert_eq!(leading("08:15:30 x"), Some((29_730_000, "x")));
        assert!(leading("Sep 11 08:15:30 host x").is_some());
        for text in
            ["", "2025", "2025-99-11 08:15:30", "99:00:00", "11/Sep", "[2025-09-11 08:15:30", "é25-09-11"]
        {
            assert_eq!(leading(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_shown_with_the_date_that_they_have() {
        assert_eq!(shown(1_757_578_530_123), "2025-09-11T08:15:30Z");
        assert_eq!(shown(29_730_000), "08:15:30");
        assert_eq!(shown(i64::MAX), "");
    }
}
