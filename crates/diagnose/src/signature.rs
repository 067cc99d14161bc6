//! Texts that failures leave in logs, literally, and what each stands for.
//!
//! This table is the one place for them: the engine looks for all of them at once in every line, and the built-in agent's
//! knowledge refers to them by name. A text that other programs use as well counts only where a word of the field stands in
//! the same line ([`Near`]).

mod table;

use std::{cmp::Reverse, sync::LazyLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use portcullis_reason::Reason;

use self::table::TABLE;
use crate::signal::{Finding, Hop, Symptom};

/// A set of texts with one meaning.
#[derive(Debug)]
pub struct Signature {
    /// A stable name.
    pub id: &'static str,
    /// The texts, in lower case; they are compared without regard to case.
    pub phrases: &'static [&'static str],
    pub(crate) tells: Tells,
    pub(crate) hop: Option<Hop>,
    pub(crate) near: Near,
}

impl Signature {
    /// Every signature.
    pub fn all() -> &'static [Self] {
        TABLE
    }

    /// The signature of this name.
    pub fn named(id: &str) -> Option<&'static Self> {
        TABLE.iter().find(|signature| signature.id == id)
    }

    /// The reason that it says or suggests.
    pub const fn reason(&self) -> Option<Reason> {
        match self.tells {
            Tells::Cause(reason) | Tells::Perhaps(reason) => Some(reason),
            Tells::Sign(_) | Tells::Nothing => None,
        }
    }
}

/// What a signature tells.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tells {
    /// Why.
    Cause(Reason),
    /// Which check failed, where several reasons could be behind it.
    Perhaps(Reason),
    /// That something failed.
    Sign(Symptom),
    /// An ordinary line that another signature's text would be found in.
    Nothing,
}

/// What has to stand in the same line for a signature to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Near {
    /// Nothing: no other field says this.
    Any,
    /// A word of tokens.
    Token,
    /// A word of WebSockets.
    Socket,
    /// A word of either.
    Field,
    /// A word of failing.
    Failure,
}

impl Near {
    /// The words of tokens, of WebSockets and of failing.
    const WORDS: [&[&str]; 3] = [
        &["jwt", "token", "bearer", "jws", "jose", "oidc", "jwks", "websocket", "authenticat"],
        &["websocket", "/ws", "ws:", "wss:", "socket", "upgrade", "handshake", "subprotocol", "101", "ping"],
        &[
            "fail",
            "refus",
            "reject",
            "clos",
            "error",
            "denied",
            "unauthor",
            "disconnect",
            "abort",
            "not allowed",
            "warn",
        ],
    ];

    /// The lists that it asks for; one of them is enough.
    const fn lists(self) -> &'static [usize] {
        match self {
            Self::Any => &[],
            Self::Token => &[0],
            Self::Socket => &[1],
            Self::Field => &[0, 1],
            Self::Failure => &[2],
        }
    }
}

/// Where the words of each list of [`Near::WORDS`] stand in a line: where the first one ends, and the last one starts.
#[derive(Default)]
struct Nearby([Option<(usize, usize)>; 3]);

impl Nearby {
    fn of(text: &str) -> Self {
        static WORDS: LazyLock<(AhoCorasick, Vec<usize>)> = LazyLock::new(|| {
            let words = || {
                Near::WORDS
                    .iter()
                    .enumerate()
                    .flat_map(|(list, words)| words.iter().map(move |word| (list, word)))
            };
            (automaton(words().map(|(_, word)| word)), words().map(|(list, _)| list).collect())
        });
        let mut nearby = Self::default();
        for found in WORDS.0.find_overlapping_iter(text) {
            let (first, last) = nearby.0[WORDS.1[found.pattern().as_usize()]]
                .get_or_insert_with(|| (found.end(), found.start()));
            *first = found.end().min(*first);
            *last = found.start().max(*last);
        }
        nearby
    }

    /// Whether a word that `near` asks for stands outside of the text from `start` to `end`.
    fn meets(&self, near: Near, start: usize, end: usize) -> bool {
        near == Near::Any
            || near
                .lists()
                .iter()
                .any(|&list| self.0[list].is_some_and(|(first, last)| first <= start || last >= end))
    }
}

/// What `text` tells, if anything: of several signatures the one that knows most, then the first of the table.
///
/// In a `quiet` line, one that its program marked as no trouble, a text counts only beside a word of failing: people ask,
/// settings are printed and tests are named there, too.
pub(crate) fn find(text: &str, quiet: bool) -> Option<Finding> {
    static SEARCH: LazyLock<Search> = LazyLock::new(Search::new);
    let mut best: Option<(u8, usize, usize)> = None;
    let mut nearby = None;
    for found in SEARCH.automaton.find_overlapping_iter(text) {
        let pattern = found.pattern().as_usize();
        let index = SEARCH.owner[pattern];
        let signature = &TABLE[index];
        let rank = match signature.tells {
            Tells::Nothing => 3,
            Tells::Cause(_) => 2,
            Tells::Perhaps(_) => 1,
            Tells::Sign(_) => 0,
        };
        if best.is_some_and(|(known, at, _)| (known, Reverse(at)) >= (rank, Reverse(pattern))) {
            continue;
        }
        let nearby = nearby.get_or_insert_with(|| Nearby::of(text));
        let (start, end) = (found.start(), found.end());
        let told = !quiet || nearby.meets(Near::Failure, start, end);
        if told && nearby.meets(signature.near, start, end) && !signature.is_setting(&text[end..]) {
            best = Some((rank, pattern, index));
        }
    }
    let (_, pattern, index) = best?;
    finding(index, pattern)
}

impl Signature {
    /// Whether what follows one of its texts shows that it names a setting, which servers print when they start.
    fn is_setting(&self, after: &str) -> bool {
        let after = after.trim_start_matches(['"', '\'', ' ', '`', ')']);
        let value = after.strip_prefix([':', '=']).or_else(|| after.strip_prefix("of "));
        let value = value.map(|value| value.trim_start_matches(['"', '\'', ' ']));
        // `heartbeat timeout: 60s`, but not `message too big: 80000 bytes`.
        let is_time = matches!(self.tells, Tells::Sign(Symptom::HeartbeatTimeout));
        let counts = is_time && value.is_some_and(|value| value.starts_with(|c: char| c.is_ascii_digit()));
        let words = [
            "set to",
            "is set",
            "configured",
            "interval",
            "enabled",
            "disabled",
            "handler",
            "monitor",
            "threshold",
        ];
        counts || after.starts_with('=') || words.iter().any(|word| after.starts_with(word))
    }
}

/// A text is a voice: servers log one failure in several, and the same text again is the next failure.
fn finding(index: usize, pattern: usize) -> Option<Finding> {
    let signature = &TABLE[index];
    let voice = pattern as u32 + FIRST_VOICE;
    let finding = match signature.tells {
        Tells::Cause(reason) => Finding::cause(voice, reason),
        Tells::Perhaps(reason) => Finding::cause(voice, reason).vague(),
        Tells::Sign(symptom) => Finding::symptom(voice, symptom),
        Tells::Nothing => return None,
    };
    Some(Finding { hop: signature.hop, ..finding })
}

/// Voices below are those of formats.
const FIRST_VOICE: u32 = 1000;

struct Search {
    automaton: AhoCorasick,
    /// The signature of each pattern.
    owner: Vec<usize>,
}

impl Search {
    fn new() -> Self {
        let patterns = || {
            TABLE
                .iter()
                .enumerate()
                .flat_map(|(index, signature)| signature.phrases.iter().map(move |text| (index, text)))
        };
        Self {
            automaton: automaton(patterns().map(|(_, text)| text)),
            owner: patterns().map(|(index, _)| index).collect(),
        }
    }
}

/// Looks for texts without regard to the case of ASCII letters.
pub(crate) fn automaton<'t>(texts: impl Iterator<Item = &'t &'t str>) -> AhoCorasick {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        // Some megabytes for twice the speed.
        .kind(Some(AhoCorasickKind::DFA))
        .build(texts)
        .expect("a few hundred short texts make an automaton")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_table_is_sound() {
        let (mut ids, mut texts) = (HashSet::new(), HashSet::new());
        for signature in Signature::all() {
            assert!(ids.insert(signature.id), "{}: twice", signature.id);
            assert!(!signature.phrases.is_empty(), "{}", signature.id);
            for text in signature.phrases {
                assert_eq!(*text, text.to_ascii_lowercase(), "{}", signature.id);
                assert!(texts.insert(*text), "{text}: twice");
                assert!(text.len() >= 5, "{text}: too short to be looked for in every line");
            }
        }
    }

    #[test]
    fn every_text_is_found_as_what_it_is() {
        for signature in Signature::all() {
            for text in signature.phrases {
                let line = format!("{text} (websocket token failed)");
                let found = find(&line, false);
                if matches!(signature.tells, Tells::Nothing) {
                    assert_eq!(found, None, "{text}");
                    continue;
                }
                let found = found.unwrap_or_else(|| panic!("{text}"));
                if matches!(signature.tells, Tells::Cause(_)) {
                    assert_eq!(found.reason, signature.reason(), "{text}");
                }
            }
        }
    }

    #[test]
    fn texts_of_other_fields_are_not_taken() {
        for line in [
            "stripe webhook: invalid signature",
            "git commit has an invalid signature",
            "redis: connection refused",
            "GET /api/orders 404 not found",
            "cache entry expired",
            "user prefers expired coupons",
            "metric TOKEN_EXPIRED 0",
            "idle timeout of the database pool",
            "kafka consumer: heartbeat timed out, rejoining",
            "websocket heartbeat timeout: 60s",
            "websocket ping timeout = 20",
            "websocket heartbeat timeout set to 30 s",
        ] {
            assert_eq!(find(line, false), None, "{line}");
        }
    }
}
