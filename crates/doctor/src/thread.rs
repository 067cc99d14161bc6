//! Follow-ups: "and how do I fix it?" is about what the thread found last.

use portcullis_agent::Message;
use portcullis_reason::Reason;

use super::{
    answer::Focus,
    text::{clip, words},
    vocabulary::Vocabulary,
};

/// What a message without evidence refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FollowUp {
    pub(crate) reason: Reason,
    pub(crate) focus: Focus,
}

/// How many answers back a thread is read.
const MOST_ANSWERS: usize = 8;

/// A follow-up is short.
const MOST_WORDS: usize = 16;

/// Words that point back.
const POINTING: [&str; 15] = [
    "it",
    "that",
    "this",
    "them",
    "again",
    "more",
    "then",
    "else",
    "so",
    "still",
    "same",
    "explain",
    "elaborate",
    "fix",
    "solve",
];

/// A message that makes sense alone refers back only where it is this short.
const MOST_WORDS_ALONE: usize = 6;

/// Reads `message` as a follow-up to what was said in its `thread`, if it is one. `answered` says that the message makes sense alone.
pub(crate) fn follow_up(message: &str, thread: &[Message], answered: bool) -> Option<FollowUp> {
    let lower = clip(message, 2048).to_lowercase();
    let count = words(&lower).take(MOST_WORDS + 1).count();
    let vocabulary = Vocabulary::of(&lower);
    let has = |list: &[&str]| list.iter().any(|word| vocabulary.has(word));
    let points = has(&POINTING);
    let bare = count <= 2 && has(&["why", "how", "and"]);
    let most = if answered { MOST_WORDS_ALONE } else { MOST_WORDS };
    if count > most || !(points || bare && !answered) {
        return None;
    }
    let mut answers = thread.iter().rev().filter_map(|message| match message {
        Message::Assistant { tool_calls, .. } if tool_calls.is_empty() => Some(message.text()),
        _ => None,
    });
    let reason = answers.by_ref().take(MOST_ANSWERS).find_map(|answer| headline_reason(&answer))?;
    let focus = if has(&["fix", "solve", "repair", "cure", "do", "change", "prevent", "avoid"]) {
        Focus::Fix
    } else if has(&["why", "cause", "causes", "reason", "from", "come", "happen", "happens"]) {
        Focus::Cause
    } else if has(&["see", "check", "verify", "test", "know", "recognise", "find", "debug"]) {
        Focus::Symptoms
    } else {
        Focus::All
    };
    Some(FollowUp { reason, focus })
}

/// The first reason that an earlier answer names: its headline, or the one it ended with.
fn headline_reason(answer: &str) -> Option<Reason> {
    let answer = clip(answer, 16 * 1024);
    answer
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.len() >= 5 && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
        .find_map(|word| word.parse().ok())
}
