//! What only stands for a credential: variables, gaps, and what was put in its place before.

use super::{Kind, text::leads};

/// How far a placeholder is looked for.
const LONGEST: usize = 64;

/// Whether a value that begins so is none: `<token>`, `${token}`, `$TOKEN`, `{token}`, `%s`, `***`, `[REDACTED]`, `…`, or a
/// [mark](mark).
pub(super) fn is_placeholder(value: &str) -> bool {
    let value = &value[..value.floor_char_boundary(LONGEST)];
    let ends = |c: char| c.is_whitespace() || c.is_control() || "\"'`,;&)|\\".contains(c);
    let word = &value[..value.find(ends).unwrap_or(value.len())];
    let all_of = |mark: u8, least: usize| word.len() >= least && word.bytes().all(|b| b == mark);
    is_mark(value)
        || is_told(value)
        || ["…", "...", "${", "%s", "%("].iter().any(|lead| word.starts_with(lead))
        || word.strip_prefix('$').is_some_and(is_name)
        || value
            .strip_prefix('{')
            .is_some_and(|rest| rest.starts_with(['"', '\'', '}', ' ', '\r', '\n']) || is_enclosed(rest, '}'))
        || value.strip_prefix('<').is_some_and(|rest| is_enclosed(rest, '>'))
        || all_of(b'*', 2)
        || all_of(b'x', 3)
        || all_of(b'X', 3)
}

/// What stands for a credential that was replaced: `[jwt 1a2b3c4d]`.
pub(crate) fn mark(kind: Kind, print: impl std::fmt::Display) -> String {
    format!("[{} {print}]", kind.name())
}

fn is_mark(value: &str) -> bool {
    let Some((inside, _)) = value.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
        return false;
    };
    inside.rsplit_once(' ').is_some_and(|(name, print)| {
        Kind::ALL.iter().any(|kind| kind.name() == name)
            && print.len() == 8
            && print.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// `[REDACTED]`, `(hidden)` and the like.
fn is_told(value: &str) -> bool {
    let word = value.trim_start_matches(['[', '(', '<', '*']);
    ["redacted", "hidden", "filtered", "removed", "masked"]
        .iter()
        .any(|told| word.len() < value.len() && leads(word, 0, told))
}

fn is_enclosed(rest: &str, end: char) -> bool {
    rest.split_once(end).is_some_and(|(inside, _)| is_name(inside))
}

/// Words of a name: a secret has something else in it.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'.' | b'-' | b' '))
}
