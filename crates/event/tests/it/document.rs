//! `docs/protocol.md`: its examples are read by the code that it describes, and nothing is left out.

use std::str::FromStr;

use portcullis_event::{Command, Envelope, GapReason, MessageType, Mode, decode};
use portcullis_reason::{CloseProfile, Reason};
use serde_json::Value;

const DOCUMENT: &str = include_str!("../../../../docs/protocol.md");

/// The fenced examples, by the word after the fence's language: `client` or `server`.
fn examples(direction: &str) -> Vec<String> {
    let fence = format!("```json {direction}\n");
    DOCUMENT.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().trim().to_owned()).collect()
}

#[test]
fn client_examples_are_accepted() {
    let examples = examples("client");
    for name in Command::NAMES {
        assert!(examples.iter().any(|text| decode(text).unwrap().command.name() == *name), "{name}");
    }
}

#[test]
fn server_examples_are_what_the_server_writes() {
    let mut seen = Vec::new();
    for text in examples("server") {
        let envelope = Envelope::parse(&text).unwrap_or_else(|error| panic!("{error:?}: {text}"));
        let written: Value = serde_json::from_slice(&envelope.encode(portcullis_event::Wire::V1)).unwrap();
        assert_eq!(written, serde_json::from_str::<Value>(&text).unwrap(), "members that do not exist");
        seen.push(envelope.message.kind());
    }
    for kind in MessageType::ALL {
        assert!(seen.contains(kind), "{}", kind.as_str());
    }
}

#[test]
fn every_message_has_a_section() {
    let names = Command::NAMES.iter().copied().chain(MessageType::ALL.iter().map(|kind| kind.as_str()));
    for name in names {
        let heading =
            DOCUMENT.lines().any(|line| line.starts_with("### ") && line.contains(&format!("`{name}`")));
        assert!(heading, "{name}");
    }
}

#[test]
fn every_path_alias_and_gap_reason_is_named() {
    let paths = Mode::ALL.iter().flat_map(|mode| mode.paths());
    for word in paths.chain(Command::USER_MESSAGE_NAMES) {
        assert!(DOCUMENT.contains(&format!("`{word}`")), "{word}");
    }
    for reason in [
        GapReason::EpochChanged,
        GapReason::Trimmed,
        GapReason::Ahead,
        GapReason::UnknownThread,
        GapReason::NotResumable,
    ] {
        let name = serde_json::to_value(reason).unwrap();
        assert!(DOCUMENT.contains(&format!("`{}`", name.as_str().unwrap())), "{name}");
    }
}

#[test]
fn every_reason_that_is_named_exists() {
    let words = DOCUMENT.split('`').skip(1).step_by(2);
    let is_reason = |word: &&str| {
        word.len() > 1 && word.contains('_') && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
    };
    let named: Vec<_> = words.filter(is_reason).collect();
    assert!(named.len() > 20, "{named:?}");
    for word in named {
        assert!(Reason::from_str(word).is_ok(), "{word}");
    }
}

#[test]
fn the_close_codes_are_those_of_the_catalogue() {
    let profiles = [
        CloseProfile::Standard,
        CloseProfile::ServerError,
        CloseProfile::StrictProtocol,
        CloseProfile::Application,
    ];
    let mut rows = 0;
    for line in DOCUMENT.lines() {
        // Rows that name one reason and its codes; the others describe several reasons in words.
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, codes @ ..] = &cells[..] else { continue };
        let (Ok(reason), 4) = (name.trim_matches('`').parse::<Reason>(), codes.len()) else { continue };
        for (profile, code) in profiles.into_iter().zip(codes) {
            assert_eq!(reason.close_code(profile), code.parse().ok(), "{reason} {profile:?}");
        }
        rows += 1;
    }
    assert!(rows >= 8, "{rows}");
}
