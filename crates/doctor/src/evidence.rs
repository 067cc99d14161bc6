//! Everything that a message shows, gathered before anything is concluded.

use std::sync::LazyLock;

use portcullis_diagnose::{Engine, Format, Report};
use portcullis_reason::Reason;

use super::{
    found::{Browser, Token},
    knowledge::{self, Entry},
    scan::{
        credential::{Credential, Pasted, Place, credentials},
        head::request_head,
        nginx,
        number::numbers,
        offer::{self, Offer, Source},
    },
    search::Search,
    text::{blank, clip, is_unspaced, words},
    vocabulary::Vocabulary,
};

/// The most bytes of a message that are read.
pub(crate) const MAX_BYTES: usize = 64 * 1024;

/// The most of one kind of evidence that is looked into.
const MAX_TOKENS: usize = 4;
const MAX_OFFERS: usize = 3;
const MAX_REASONS: usize = 4;
const MAX_CODES: usize = 4;
const MAX_STATUSES: usize = 3;
const MAX_QUOTED: usize = 4;

/// What a message shows. Everything in it is distinct, in order of appearance, and bounded.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    pub(crate) head: Option<Pasted>,
    pub(crate) offers: Vec<Offer>,
    pub(crate) tokens: Vec<Token>,
    pub(crate) reasons: Vec<Reason>,
    pub(crate) statuses: Vec<u16>,
    pub(crate) close_codes: Vec<u16>,
    /// Settings of nginx that pass requests on.
    pub(crate) settings: Option<nginx::Settings>,
    /// Entries whose very text stands in the message.
    pub(crate) quoted: Vec<&'static Entry>,
    /// Entries that answer it as a question.
    pub(crate) asked: Vec<&'static Entry>,
    /// The one of those that is about the very numbers in it.
    pub(crate) about_numbers: Option<&'static Entry>,
    /// Whether the handshake is a browser's, as far as one can tell.
    pub(crate) browser: Browser,
    /// The origin of a page that it names.
    pub(crate) origin: Option<String>,
    /// It has code that opens a `WebSocket`.
    pub(crate) script: bool,
    /// It is a log, or part of one: what became of the connections in it.
    pub(crate) log: Option<Report>,
    /// Some of the message was not read, or some of what it shows is not looked into.
    pub(crate) partial: bool,
}

impl Evidence {
    /// Reads a message. Takes time linear in its length.
    pub(crate) fn gather(message: &str) -> Self {
        let text = clip(message, MAX_BYTES);
        let lower = text.to_ascii_lowercase();
        let mut evidence = Self { partial: text.len() < message.len(), ..Self::default() };
        let found = credentials(text);
        evidence.head = request_head(text);
        evidence.gather_offers(text, &lower, &found);
        evidence.gather_tokens(&found);
        let spoken = |text: &str| text.to_lowercase().replace(['’', '‘'], "'").replace(['“', '”'], "\"");
        let plain = spoken(&lower);
        evidence.gather_reasons(text, &plain);
        evidence.settings = nginx::settings(text);
        evidence.quoted = knowledge::quoted(&plain);
        evidence.browser = Browser::of(&lower);
        evidence.origin = origin(&lower);
        evidence.script = lower.contains("new websocket(");
        evidence.log = log(text);
        let outside = spoken(&blank(&lower, found.iter().map(|credential| &credential.range)));
        let vocabulary = Vocabulary::of(&outside);
        // Three words with a number are about the number.
        let at_home =
            !evidence.is_empty() || vocabulary.is_of_the_field() || words(&outside).take(4).count() < 4;
        let numbers = numbers(&outside, at_home);
        evidence.statuses = numbers.statuses;
        evidence.close_codes = numbers.close_codes;
        if evidence.log.as_ref().is_some_and(Report::is_clean) {
            // The engine has read every one of its lines; their numbers are no question.
            evidence.statuses.clear();
            evidence.close_codes.clear();
        }
        let question = evidence.is_empty() || is_question(&outside, &vocabulary);
        let one_number = evidence.statuses.len() + evidence.close_codes.len() == 1;
        if question || (one_number && evidence.is_numbers_alone()) {
            evidence.asked = knowledge::asked(&vocabulary);
            evidence.asked.retain(|entry| question || entry.is_about_numbers(&vocabulary));
            let quoted = &evidence.quoted;
            evidence.asked.retain(|entry| !quoted.contains(entry));
            evidence.about_numbers =
                evidence.asked.iter().copied().find(|entry| entry.is_about_numbers(&vocabulary));
        }
        evidence.bound();
        evidence
    }

    /// Whether nothing concrete was pasted; a question may still have been asked.
    pub(crate) fn is_empty(&self) -> bool {
        self.is_numbers_alone() && self.statuses.is_empty() && self.close_codes.is_empty()
    }

    /// Whether all that was pasted are statuses and close codes.
    fn is_numbers_alone(&self) -> bool {
        self.head.is_none()
            && self.log.is_none()
            && self.offers.is_empty()
            && self.tokens.is_empty()
            && self.reasons.is_empty()
            && self.settings.is_none()
            && self.quoted.is_empty()
    }

    /// Reasons by their identifier, by their title, or by a challenge.
    fn gather_reasons(&mut self, text: &str, plain: &str) {
        static TITLES: LazyLock<Search<Reason>> = LazyLock::new(|| {
            let titles: Vec<_> = Reason::ALL.iter().map(|reason| reason.title().to_lowercase()).collect();
            Search::new(titles.iter().map(String::as_str).zip(Reason::ALL.iter().copied()))
        });
        let named = words_of_ids(text).filter_map(|word| word.parse().ok());
        // A title stands by itself: `the server failed to start` is not one.
        let stands = |after: &str| !after.trim_start_matches([' ', '\t']).starts_with(char::is_alphanumeric);
        let entitled: Vec<Reason> =
            TITLES.all(plain).filter_map(|(reason, after)| stands(after).then_some(reason)).collect();
        // In the order of the catalogue, wherever they stand.
        let entitled = Reason::ALL.iter().copied().filter(|reason| entitled.contains(reason));
        for reason in named.chain(entitled).chain(challenge(plain)) {
            if !self.reasons.contains(&reason) {
                self.reasons.push(reason);
            }
        }
    }

    fn gather_offers(&mut self, text: &str, lower: &str, found: &[Credential]) {
        let mut offers = offer::headers(text, lower);
        for code in offer::code(text, lower) {
            if !offers.iter().any(|other| overlap(other, &code)) {
                offers.push(code);
            }
        }
        let lists = offer::lists(text, found, &offers);
        offers.extend(lists);
        offers.sort_by_key(|offer| offer.range.start);
        for offer in offers {
            let same = |other: &Offer| {
                other.elements == offer.elements && other.authorization == offer.authorization
            };
            if !self.offers.iter().any(same) {
                self.offers.push(offer);
            }
        }
        // The head is checked as a whole; its lines need no second look.
        if self.head.is_some()
            && let Some(first) = self.offers.iter().position(|offer| offer.source == Source::RequestHeader)
        {
            let offer = &self.offers[first];
            self.tokens.extend(offer::tokens(offer).into_iter().map(token));
            self.offers.remove(first);
        }
    }

    fn gather_tokens(&mut self, found: &[Credential]) {
        let inside = self.offers.iter().flat_map(offer::tokens).map(token).collect::<Vec<_>>();
        self.tokens.extend(inside);
        for credential in found {
            let known = self.tokens.iter_mut().find(|token| token.text == credential.token);
            match known {
                Some(token) => {
                    token.shortened |= credential.shortened;
                    token.broken_lines |= credential.broken_lines;
                }
                // A piece of what an offer already gave whole (an array's element with odd characters, say).
                None if !credential.shortened
                    && self.offers.iter().any(|offer| {
                        offer.range.start <= credential.range.start && credential.range.end <= offer.range.end
                    }) => {}
                None => self.tokens.push(Token {
                    text: credential.token.clone(),
                    place: credential.place,
                    shortened: credential.shortened,
                    broken_lines: credential.broken_lines,
                }),
            }
        }
        let mut seen: Vec<Pasted> = Vec::new();
        self.tokens.retain(|token| {
            let fresh = !seen.contains(&token.text);
            if fresh {
                seen.push(token.text.clone());
            }
            fresh
        });
    }

    fn bound(&mut self) {
        let sizes = [
            (self.tokens.len(), MAX_TOKENS),
            (self.offers.len(), MAX_OFFERS),
            (self.reasons.len(), MAX_REASONS),
            (self.close_codes.len(), MAX_CODES),
            (self.statuses.len(), MAX_STATUSES),
            (self.quoted.len(), MAX_QUOTED),
        ];
        self.partial |= sizes.iter().any(|(size, most)| size > most);
        self.tokens.truncate(MAX_TOKENS);
        self.offers.truncate(MAX_OFFERS);
        self.reasons.truncate(MAX_REASONS);
        self.close_codes.truncate(MAX_CODES);
        self.statuses.truncate(MAX_STATUSES);
        self.quoted.truncate(MAX_QUOTED);
    }
}

/// Diagnoses a paste of several lines of a log, or an archive. One line is better looked up by itself.
fn log(text: &str) -> Option<Report> {
    let report = Engine::read(text);
    let read = report.read;
    let is_archive = report.formats.contains_key(&Format::Har);
    let is_log = if report.is_clean() {
        // Nearly any text is without a failure, so it has to look like nothing else.
        let lines =
            report.formats.iter().filter(|(format, _)| **format != Format::Plain).map(|(_, count)| count);
        read.lines >= 3 && read.unknown == 0 && lines.sum::<u64>() >= 2
    } else {
        read.lines >= 3 && read.failing >= 2 && read.unknown < read.failing
    };
    (is_archive || is_log).then_some(report)
}

fn token((place, text): (Place, Pasted)) -> Token {
    Token { text, place, shortened: false, broken_lines: false }
}

fn overlap(a: &Offer, b: &Offer) -> bool {
    a.range.start < b.range.end && b.range.start < a.range.end
}

/// The words that may be identifiers of reasons: with an underscore in any case, or all in capitals.
fn words_of_ids(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| {
        (5..=32).contains(&word.len()) && (word.contains('_') || word.bytes().all(|b| b.is_ascii_uppercase()))
    })
}

/// A Bearer challenge without an error stands for a request that had no credentials (RFC 6750 §3.1).
fn challenge(lower: &str) -> Option<Reason> {
    let (_, rest) = lower.split_once("www-authenticate:")?;
    let value = rest.lines().next().unwrap_or_default();
    (value.contains("bearer") && !value.contains("error")).then_some(Reason::NoToken)
}

/// The first origin after that word: `Origin: https://app.example.com`, `origin=http://localhost:3000`. Only scheme, host
/// and port are taken: the rest of an address may hold a credential.
fn origin(lower: &str) -> Option<String> {
    lower.match_indices("origin").take(64).find_map(|(at, word)| {
        let rest = lower[at + word.len()..].trim_start_matches([':', '=', ' ', '"', '\'', '`']);
        let (scheme, rest) =
            rest.split_once("://").filter(|(scheme, _)| ["http", "https"].contains(scheme))?;
        let of_host = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
        let end = rest.find(|c| !of_host(c)).unwrap_or(rest.len());
        let host = rest[..end].trim_end_matches(['.', ':']);
        let whole = (1..=255).contains(&host.len()) && !rest[end..].starts_with('@');
        whole.then(|| format!("{scheme}://{host}"))
    })
}

/// Whether someone asks: a question mark, or a question's first word, in what is not a paste.
fn is_question(lower: &str, vocabulary: &Vocabulary) -> bool {
    const FIRST: [&str; 12] =
        ["how", "why", "what", "which", "where", "can", "could", "does", "is", "should", "wie", "warum"];
    let unspaced = lower.chars().any(is_unspaced);
    lower.contains(['?', '？'])
        || words(lower).next().is_some_and(|first| FIRST.contains(&first))
        || unspaced && FIRST[..3].iter().any(|word| vocabulary.has(word))
}
