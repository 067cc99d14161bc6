//! The words of a question: what they are in English, and whether they speak of our field at all.
//!
//! `knowledge/words.md` has two sections: the words that only the field uses so, and, line by line, an English word
//! with what stands for it in other languages. Languages that set no spaces are searched for their terms as they stand.

use std::{collections::HashSet, sync::LazyLock};

use super::text::{clip, is_unspaced, words};

/// The words of a text, its own and in English.
#[derive(Debug, Default)]
pub(crate) struct Vocabulary<'t> {
    words: HashSet<&'t str>,
    /// Neighbours, as `log_out` and `cloud_run`.
    pairs: HashSet<String>,
}

/// The longest text whose words are looked at: a log of thousands of lines is matched by its phrases instead.
const MAX_BYTES: usize = 4096;

impl<'t> Vocabulary<'t> {
    /// Reads `lower`, which is in lower case.
    pub(crate) fn of(lower: &'t str) -> Self {
        let text = clip(lower, MAX_BYTES);
        // `Authorization-Header` is two words as well.
        let own: HashSet<&str> = words(text).chain(words(text).flat_map(|word| word.split('-'))).collect();
        let pairs =
            words(text).zip(words(text).skip(1)).map(|(first, second)| format!("{first}_{second}")).collect();
        let told = |term: &&Term| match term.kind {
            Kind::Word => own.contains(term.foreign),
            Kind::Stem => own.iter().any(|word| word.starts_with(term.foreign)),
            Kind::Unspaced => text.contains(term.foreign),
        };
        let english: Vec<&str> = LISTS.terms.iter().filter(told).map(|term| term.english).collect();
        Self { words: own.into_iter().chain(english).collect(), pairs }
    }

    pub(crate) fn has(&self, word: &str) -> bool {
        self.words.contains(word)
    }

    /// Whether one of the words is the field's own.
    pub(crate) fn is_of_the_field(&self) -> bool {
        self.words.iter().any(|word| LISTS.field.contains(word))
            || self.pairs.iter().any(|pair| LISTS.field.contains(pair.as_str()))
    }
}

struct Lists {
    field: HashSet<&'static str>,
    terms: Vec<Term>,
}

struct Term {
    foreign: &'static str,
    english: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Word,
    /// The beginning of a word.
    Stem,
    /// Anywhere in the text.
    Unspaced,
}

static LISTS: LazyLock<Lists> = LazyLock::new(|| {
    let file = include_str!("knowledge/words.md");
    // Each section: its title, a paragraph about it, and the words.
    let mut sections = file.split("\n## ").skip(1).filter_map(|section| section.splitn(3, "\n\n").nth(2));
    let (field, terms) = (sections.next().unwrap_or_default(), sections.next().unwrap_or_default());
    Lists {
        field: field.split_whitespace().collect(),
        terms: terms
            .lines()
            .filter_map(|line| line.split_once(": "))
            .flat_map(|(english, foreign)| foreign.split(' ').map(move |term| term_of(english, term)))
            .collect(),
    }
});

fn term_of(english: &'static str, foreign: &'static str) -> Term {
    let (foreign, kind) = match foreign.strip_suffix('*') {
        Some(stem) => (stem, Kind::Stem),
        None if foreign.chars().any(is_unspaced) => (foreign, Kind::Unspaced),
        None => (foreign, Kind::Word),
    };
    Term { foreign, english, kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_in_english() {
        for (text, english) in [
            ("warum ist das token abgelaufen?", ["why", "expired", "token"]),
            ("ブラウザからトークンを送る", ["browser", "token", "send"]),
            ("接続が1006で切れます", ["connection", "1006", "disconnects"]),
            ("почему токены истекли", ["why", "token", "expired"]),
        ] {
            let vocabulary = Vocabulary::of(text);
            for word in english {
                assert!(vocabulary.has(word), "{text}: {word}");
            }
            assert!(vocabulary.is_of_the_field(), "{text}");
        }
    }

    #[test]
    fn everyday_words_are_not_of_the_field() {
        for text in
            ["the wrong key for my door", "bake cookies", "wie wird das wetter morgen?", "今日の天気は", ""]
        {
            assert!(!Vocabulary::of(text).is_of_the_field(), "{text}");
        }
    }

    #[test]
    fn the_lists_are_lower_case_words() {
        assert!(LISTS.field.len() > 100 && LISTS.terms.len() > 200);
        for term in &LISTS.terms {
            assert_eq!(term.foreign, term.foreign.to_lowercase());
            assert_eq!(words(term.english).collect::<Vec<_>>(), [term.english], "{}", term.foreign);
            if matches!(term.kind, Kind::Word) {
                assert_eq!(words(term.foreign).collect::<Vec<_>>(), [term.foreign], "can never be met");
            }
        }
    }
}
