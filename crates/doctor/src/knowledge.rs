//! What the doctor knows, as data: Markdown files in `knowledge/`, read once.
//!
//! A file is a list of entries. An entry is a `## Title`, lines `key: value`, a body, and a list under `Do:`.
//!
//! | key | meaning |
//! |---|---|
//! | `phrase` | the entry applies where this text stands literally (letter case aside), with `$` at the end of a line; one line of a log, an error |
//! | `signature` | as `phrase`, for all texts of this name in the table of `portcullis-diagnose`, where what logs and libraries say has its place |
//! | `match` | the entry answers a question that has one word of every group; groups are set apart by spaces, words of a group by a bar |
//! | `reason` | the reason of the catalogue that it is about |
//! | `code` | the close code that it is about |
//! | `status` | the HTTP status that it explains |
//! | `tool` | the tool to run for it |
//!
//! In a body and its steps, `{leeway}` and the other names of [`here`] stand for what this server is configured to.

use std::sync::LazyLock;

use portcullis_diagnose::Signature;
use portcullis_reason::Reason;

use super::{search::Search, surroundings::Configuration, text::shown, vocabulary::Vocabulary};

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
    /// See [`here`], for the steps too.
    pub(crate) body: &'static str,
    pub(crate) steps: Vec<&'static str>,
}

impl Entry {
    /// Whether it answers a question that names its very numbers: `401 403`, `1006`.
    pub(crate) fn is_about_numbers(&self, words: &Vocabulary) -> bool {
        self.matches.iter().any(|line| {
            let mut met = line.iter().filter_map(|group| group.iter().find(|word| words.has(word)));
            line.iter().all(|group| group.iter().any(|word| words.has(word)))
                && met.any(|word| word.len() >= 3 && word.bytes().all(|b| b.is_ascii_digit()))
        })
    }

    /// How well it answers a question: the best of its `match` lines of which every group has a word in `words`. A
    /// group counts two, or one where only a word that stands in any question was met.
    fn score(&self, words: &Vocabulary) -> usize {
        let group = |group: &Vec<&str>| {
            let met = group.iter().filter(|word| words.has(word));
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
    static PHRASES: LazyLock<Search<Phrase>> = LazyLock::new(|| {
        let phrases = |(entry, known): (usize, &'static Entry)| {
            known.phrases.iter().map(move |phrase| match phrase.strip_suffix('$') {
                Some(last) => (last, Phrase { entry, ends_line: true }),
                None => (*phrase, Phrase { entry, ends_line: false }),
            })
        };
        Search::new(entries().iter().enumerate().flat_map(phrases))
    });
    let mut quoted = vec![false; entries().len()];
    for (phrase, after) in PHRASES.all(lower) {
        quoted[phrase.entry] = quoted[phrase.entry] || !phrase.ends_line || ends_line(after);
    }
    entries().iter().zip(quoted).filter_map(|(entry, quoted)| quoted.then_some(entry)).collect()
}

/// A phrase of an entry.
#[derive(Clone, Copy)]
struct Phrase {
    entry: usize,
    /// It counts at the end of a line alone.
    ends_line: bool,
}

/// Whether nothing but the marks of a sentence stands before the end of the line.
fn ends_line(after: &str) -> bool {
    let rest = after.trim_start_matches(|c: char| c != '\n' && (c.is_whitespace() || "?!.".contains(c)));
    rest.is_empty() || rest.starts_with('\n')
}

/// The entries that answer a question of these words best: all that share the best score, two at most. A question that
/// has none of the field's own words is about something else.
pub(crate) fn asked(words: &Vocabulary) -> Vec<&'static Entry> {
    if !words.is_of_the_field() {
        return Vec::new();
    }
    let mut scored: Vec<_> = entries().iter().map(|entry| (entry.score(words), entry)).collect();
    let best = scored.iter().map(|(score, _)| *score).max().unwrap_or(0);
    scored.retain(|(score, _)| best > 0 && *score == best);
    scored.into_iter().map(|(_, entry)| entry).take(2).collect()
}

/// What an HTTP status says as the answer to a handshake.
pub(crate) fn status(status: u16) -> Option<&'static Entry> {
    entries().iter().find(|entry| entry.statuses.contains(&status))
}

/// `text` of an entry with the names in braces replaced by what this server is configured to.
pub(crate) fn here(text: &str, configuration: &Configuration) -> String {
    if !text.contains('{') {
        return text.to_owned();
    }
    let list = |values: &[String]| match values {
        [] => "none".to_owned(),
        values => {
            values.iter().take(12).map(|value| format!("`{}`", shown(value))).collect::<Vec<_>>().join(", ")
        }
    };
    let facts = [
        ("{algorithms}", list(&configuration.algorithms)),
        ("{audiences}", list(&configuration.audiences)),
        ("{heartbeat}", format!("{} s", configuration.heartbeat_interval_ms / 1000)),
        ("{issuers}", list(&configuration.issuers)),
        ("{leeway}", format!("{} s", configuration.leeway_seconds)),
        ("{message_bytes}", configuration.max_message_bytes.to_string()),
        ("{origins}", list(&configuration.origins)),
        ("{prefixes}", list(&configuration.credential_prefixes)),
        ("{subprotocols}", list(&configuration.subprotocols)),
        ("{token_bytes}", configuration.max_token_bytes.to_string()),
    ];
    facts.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
}

const FILES: [&str; 8] = [
    include_str!("knowledge/field.md"),
    include_str!("knowledge/libraries.md"),
    include_str!("knowledge/proxy.md"),
    include_str!("knowledge/browser.md"),
    include_str!("knowledge/sending.md"),
    include_str!("knowledge/tokens.md"),
    include_str!("knowledge/living.md"),
    include_str!("knowledge/statuses.md"),
];

/// Words of any question.
const GENERIC: [&str; 16] = [
    "am", "can", "cannot", "do", "does", "how", "i", "is", "my", "should", "was", "we", "what", "where",
    "which", "why",
];

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
            "signature" => {
                entry.phrases.extend(Signature::named(value).iter().flat_map(|signature| signature.phrases));
            }
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
    use std::collections::HashSet;

    use super::{super::text::words, *};

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
    fn signatures_and_entries_name_the_same_reason() {
        for file in FILES {
            for section in file.split("\n## ").skip(1) {
                let entry = parse_entry(section);
                let keys = section.split("\n\n").next().unwrap();
                for id in keys.lines().filter_map(|line| line.strip_prefix("signature: ")) {
                    let told = Signature::named(id).unwrap().reason();
                    if let (Some(told), Some(reason)) = (told, entry.reason) {
                        assert_eq!(told, reason, "{}: {id}", entry.title);
                    }
                }
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
                        "match" => true,
                        // A text has one place, or the two would drift apart.
                        "phrase" => Signature::all().iter().all(|known| !known.phrases.contains(&value)),
                        "signature" => Signature::named(value).is_some(),
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
