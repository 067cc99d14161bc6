//! What the doctor knows, as data: Markdown files in `knowledge/`, read once.
//!
//! A file is a list of entries. An entry is a `## Title`, lines `key: value`, a body, and a list under `Do:`.
//!
//! | key | meaning |
//! |---|---|
//! | `phrase` | the entry applies where this text stands literally (letter case aside); one line of a log, an error |
//! | `match` | the entry answers a question that has one word of every group; groups are set apart by spaces, words of a group by a bar |
//! | `reason` | the reason of the catalogue that it is about |
//! | `code` | the close code that it is about |
//! | `status` | the HTTP status that it explains |
//! | `tool` | the tool to run for it |

use std::{collections::HashSet, sync::LazyLock};

use portcullis_reason::Reason;

/// One thing that the doctor knows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) title: &'static str,
    pub(crate) phrases: Vec<&'static str>,
    matches: Vec<Vec<Vec<&'static str>>>,
    pub(crate) reason: Option<Reason>,
    pub(crate) code: Option<u16>,
    statuses: Vec<u16>,
    pub(crate) tool: Option<&'static str>,
    pub(crate) body: &'static str,
    pub(crate) steps: Vec<&'static str>,
}

impl Entry {
    /// Whether one of its phrases stands in `lower`.
    pub(crate) fn is_quoted_in(&self, lower: &str) -> bool {
        self.phrases.iter().any(|phrase| lower.contains(phrase))
    }

    /// How well it answers a question: the best of its `match` lines of which every group has a word in `words`. A
    /// group counts two, or one where only a word that stands in any question was met.
    pub(crate) fn score(&self, words: &HashSet<&str>) -> usize {
        let group = |group: &Vec<&str>| {
            let met = group.iter().filter(|word| words.contains(**word));
            met.map(|word| if GENERIC.contains(word) { 1 } else { 2 }).max()
        };
        let line = |line: &Vec<Vec<&str>>| line.iter().map(group).sum::<Option<usize>>();
        self.matches.iter().filter_map(line).max().unwrap_or(0)
    }
}

/// Every entry; evidence before questions, as the files stand.
pub(crate) fn entries() -> &'static [Entry] {
    static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| FILES.into_iter().flat_map(parse).collect());
    &ENTRIES
}

/// The entries that `lower` (lower-case text) quotes.
pub(crate) fn quoted(lower: &str) -> Vec<&'static Entry> {
    entries().iter().filter(|entry| entry.is_quoted_in(lower)).collect()
}

/// The entries that answer the question in `lower` best: all that share the best score, two at most.
pub(crate) fn asked(lower: &str) -> Vec<&'static Entry> {
    let words: HashSet<&str> = words(lower).take(MAX_WORDS).collect();
    let mut scored: Vec<_> = entries().iter().map(|entry| (entry.score(&words), entry)).collect();
    let best = scored.iter().map(|(score, _)| *score).max().unwrap_or(0);
    scored.retain(|(score, _)| best > 0 && *score == best);
    scored.into_iter().map(|(_, entry)| entry).take(2).collect()
}

/// What an HTTP status says as the answer to a handshake.
pub(crate) fn status(status: u16) -> Option<&'static Entry> {
    entries().iter().find(|entry| entry.statuses.contains(&status))
}

/// The words of a text: letters and digits, with `-`, `_`, `.` and `'` inside.
pub(crate) fn words(lower: &str) -> impl Iterator<Item = &str> {
    lower
        .split(|c: char| !(c.is_alphanumeric() || "-_.'".contains(c)))
        .map(|word| word.trim_matches(['.', '\'', '-']))
        .filter(|word| !word.is_empty())
}

const FILES: [&str; 6] = [
    include_str!("knowledge/field.md"),
    include_str!("knowledge/browser.md"),
    include_str!("knowledge/proxy.md"),
    include_str!("knowledge/sending.md"),
    include_str!("knowledge/living.md"),
    include_str!("knowledge/statuses.md"),
];

/// Words of any question.
const GENERIC: [&str; 16] = [
    "am", "can", "cannot", "do", "does", "how", "i", "is", "my", "should", "was", "we", "what", "where",
    "which", "why",
];

/// Questions are short; a log of thousands of lines is matched by its phrases instead.
const MAX_WORDS: usize = 400;

fn parse(file: &'static str) -> Vec<Entry> {
    file.split("\n## ").skip(1).map(parse_entry).collect()
}

fn parse_entry(text: &'static str) -> Entry {
    let (title, rest) = text.split_once('\n').unwrap_or((text, ""));
    let (keys, body) = rest.split_once("\n\n").unwrap_or((rest, ""));
    let (body, steps) = body.split_once("\nDo:\n").unwrap_or((body, ""));
    let mut entry = Entry {
        title: title.trim(),
        phrases: Vec::new(),
        matches: Vec::new(),
        reason: None,
        code: None,
        statuses: Vec::new(),
        tool: None,
        body: body.trim(),
        steps: steps.lines().filter_map(|line| line.strip_prefix("- ")).collect(),
    };
    for (key, value) in keys.lines().filter_map(|line| line.split_once(": ")) {
        match key {
            "phrase" => entry.phrases.push(value),
            "match" => entry.matches.push(value.split(' ').map(|group| group.split('|').collect()).collect()),
            "reason" => entry.reason = value.parse().ok(),
            "code" => entry.code = value.parse().ok(),
            "status" => entry.statuses.extend(value.parse::<u16>().ok()),
            "tool" => entry.tool = Some(value),
            _ => {}
        }
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_whole() {
        let mut titles = HashSet::new();
        for entry in entries() {
            assert!(titles.insert(entry.title), "{}: twice", entry.title);
            let found_by = entry.phrases.len() + entry.matches.len() + entry.statuses.len();
            assert!(found_by > 0, "{}: never found", entry.title);
            assert!(!entry.body.is_empty(), "{}: no body", entry.title);
            assert!(!entry.steps.is_empty() || entry.tool.is_some(), "{}: nothing to do", entry.title);
            for phrase in &entry.phrases {
                assert_eq!(
                    *phrase,
                    phrase.to_ascii_lowercase(),
                    "{}: phrases are compared in lower case",
                    entry.title
                );
            }
            for word in entry.matches.iter().flatten().flatten() {
                assert_eq!(words(word).collect::<Vec<_>>(), [*word], "{}: not one word", entry.title);
            }
        }
    }

    #[test]
    fn every_key_is_understood() {
        for file in FILES {
            for section in file.split("\n## ").skip(1) {
                let keys = section.split_once('\n').unwrap().1.split("\n\n").next().unwrap();
                for line in keys.lines() {
                    let (key, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line}"));
                    let good = match key {
                        "phrase" | "match" => true,
                        "reason" => value.parse::<Reason>().is_ok(),
                        "code" | "status" => value.parse::<u16>().is_ok(),
                        "tool" => ["audit_configuration", "recent_refusals"].contains(&value),
                        _ => false,
                    };
                    assert!(good, "{line}");
                }
            }
        }
    }
}
