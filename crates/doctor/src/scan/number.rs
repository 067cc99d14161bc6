//! Close codes and HTTP statuses among the numbers of a text.

use std::ops::Range;

use crate::text::is_unspaced;

/// The numbers of a text that mean something here, each once, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// WebSocket close codes (RFC 6455 §7.4).
    pub(crate) close_codes: Vec<u16>,
    /// HTTP statuses.
    pub(crate) statuses: Vec<u16>,
}

/// The most numbers of one kind that are kept.
const MAX_FOUND: usize = 8;

/// Statuses that a failed handshake meets in practice. They are recognised without a word of context.
const COMMON_STATUSES: [u16; 27] = [
    101, 200, 301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 407, 408, 411, 413, 414, 421, 426, 429, 431,
    500, 501, 502, 503, 504, 505,
];

/// A number before one of these counts or measures something.
const UNITS: [&str; 26] = [
    "b",
    "bytes",
    "byte",
    "degrees",
    "euros",
    "kb",
    "kib",
    "mb",
    "mib",
    "ms",
    "s",
    "sec",
    "seconds",
    "second",
    "minutes",
    "min",
    "hours",
    "users",
    "clients",
    "connections",
    "characters",
    "chars",
    "times",
    "messages",
    "requests",
    "%",
];

const CLOSE_WORDS: [&str; 6] = ["close", "closing", "code", "ws", "websocket", "disconnect"];
const STATUS_WORDS: [&str; 9] =
    ["http", "status", "response", "code", "error", "got", "returns", "refused", "rejected"];

/// Reads every number of `lower` (lower-case text) once. `at_home` says that the text is about our field; elsewhere 500 may
/// be apples, so a number needs a word that says what it is.
pub(crate) fn numbers(lower: &str, at_home: bool) -> Numbers {
    let bytes = lower.as_bytes();
    let mut found = Numbers::default();
    let alone = lower.split_whitespace().take(4).count() < 4;
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let start = at;
        while at < bytes.len() && bytes[at].is_ascii_digit() {
            at += 1;
        }
        if stands_alone(lower, start, at)
            && let Ok(number) = lower[start..at].parse::<u16>()
        {
            classify(lower, start..at, number, Setting { at_home, alone }, &mut found);
        }
    }
    found
}

/// What is so of the whole text.
#[derive(Clone, Copy)]
struct Setting {
    at_home: bool,
    /// It is hardly more than its number.
    alone: bool,
}

fn classify(
    lower: &str,
    Range { start, end }: Range<usize>,
    number: u16,
    Setting { at_home, alone }: Setting,
    found: &mut Numbers,
) {
    let before = words_before(lower, start);
    let after = lower[end..].trim_start_matches([' ', '-']);
    let unit = after.split(|c: char| !c.is_alphanumeric() && c != '%').next().unwrap_or_default();
    if UNITS.contains(&unit) {
        return;
    }
    // A number in the list "1008 / 1011 / 1006" shares the context of the first.
    let follows_code = found.close_codes.last().is_some_and(|last| {
        let gap = lower[..start].trim_end_matches([' ', '/', ',']).strip_suffix(last.to_string().as_str());
        gap.is_some()
    });
    let close_context = follows_code || CLOSE_WORDS.iter().any(|word| before.contains(word));
    let is_code = match number {
        1001..=1015 => at_home || close_context,
        1000 | 3000..=4999 => close_context || alone,
        _ => false,
    };
    if is_code {
        push(&mut found.close_codes, number);
        return;
    }
    let status_context = STATUS_WORDS.iter().any(|word| before.contains(word));
    // `expected 101 but was 401`, `200 instead of 101`: what did not come says nothing.
    let wanted = before.rsplit([' ', ':']).filter(|word| !word.is_empty()).take(2);
    if wanted.into_iter().any(|word| ["expected", "instead"].contains(&word)) {
        return;
    }
    let common = COMMON_STATUSES.contains(&number) && (at_home || status_context);
    if common || (status_context && (100..=599).contains(&number)) {
        // `line 401`, `port 443`, `id 500` name things.
        let names = ["line", "port", "id", "step", "page", "issue", "pid"];
        let last = before.trim_end_matches([' ', ':', '#', '=']).rsplit(' ').next().unwrap_or_default();
        if !names.contains(&last) {
            push(&mut found.statuses, number);
        }
    }
}

fn push(numbers: &mut Vec<u16>, number: u16) {
    if numbers.len() < MAX_FOUND && !numbers.contains(&number) {
        numbers.push(number);
    }
}

/// The text just before a number, from a bounded look back on the same line.
fn words_before(lower: &str, start: usize) -> &str {
    let mut from = start.saturating_sub(32);
    while !lower.is_char_boundary(from) {
        from += 1;
    }
    let text = &lower[from..start];
    text.rsplit('\n').next().unwrap_or(text)
}

/// Neither part of a word, of a longer number (`10,000`, `1.006`, `12:1006`), nor of a date or address, nor negative.
fn stands_alone(lower: &str, start: usize, end: usize) -> bool {
    let (mut before, mut after) = (lower[..start].chars().rev(), lower[end..].chars());
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let joins = |c: Option<char>| matches!(c, Some('.' | ',' | ':' | '-' | '_' | '/'));
    let word = |c: Option<char>| c.is_some_and(|c| (c.is_alphanumeric() || c == '_') && !is_unspaced(c));
    let (left, right) = (before.next(), after.next());
    if word(left) || word(right) {
        return false;
    }
    let (further_left, further_right) = (before.next(), after.next());
    let joined_left = joins(left) && digit(further_left) && left != Some('/');
    let joined_right = joins(right) && digit(further_right) && right != Some('/');
    // `:8000` behind a host name is a port, `Code=-1011` a number of another kind.
    let port = left == Some(':') && further_left.is_some_and(|c| c.is_ascii_alphanumeric());
    let negative = left == Some('-') && further_left.is_none_or(|c| !word(Some(c)));
    !(joined_left || joined_right || negative || (port && end - start >= 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_codes_from_statuses_from_other_numbers() {
        let cases: &[(&str, &[u16], &[u16])] = &[
            ("1006", &[1006], &[]),
            ("4401", &[4401], &[]),
            ("closed with 1011", &[1011], &[]),
            ("connection closed with 1008 / 1011 / 1006", &[1008, 1011, 1006], &[]),
            ("1008/1011", &[1008, 1011], &[]),
            ("websocket closed: 4404, why?", &[4404], &[]),
            ("code=1006, reason=", &[1006], &[]),
            ("\"code\":1008", &[1008], &[]),
            ("is 1000 a normal close? code 1000", &[1000], &[]),
            ("1000 users on port 4000", &[], &[]),
            ("ws://localhost:4000/ws failed", &[], &[]),
            ("ws://localhost:1006/ws failed", &[], &[]),
            ("unexpected response code: 403", &[], &[403]),
            ("401", &[], &[401]),
            ("http/1.1 426 upgrade required", &[], &[426]),
            ("status 418", &[], &[418]),
            ("took 401 ms, 10,000 characters, 2025-09-07 12:10:06, v1.1006", &[], &[]),
            ("file.py line 401", &[], &[]),
            ("user 105945141827451681156", &[], &[]),
            ("1006 1006 401 401", &[1006], &[401]),
            ("接続が1006で切れ、握手返回401错误", &[1006], &[401]),
            ("nsurlerrordomain code=-1011", &[], &[]),
            ("expected http 101 response but was '401 unauthorized'", &[], &[401]),
            ("200 instead of 101", &[], &[200]),
            ("bake at 401 degrees", &[], &[]),
        ];
        for (text, codes, statuses) in cases {
            let found = numbers(text, true);
            assert_eq!(
                (found.close_codes.as_slice(), found.statuses.as_slice()),
                (*codes, *statuses),
                "{text}"
            );
        }
    }

    #[test]
    fn numbers_of_another_field_need_a_word_that_says_what_they_are() {
        let nothing = Numbers::default();
        for text in ["i bought 500 apples and 404 pears", "the crusade of 1009"] {
            assert_eq!(numbers(text, false), nothing, "{text}");
        }
        assert_eq!(numbers("it returns 500", false).statuses, [500]);
        assert_eq!(numbers("closed: 1009", false).close_codes, [1009]);
    }
}
