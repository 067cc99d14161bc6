//! The corpus: each failure in each format, mixed with noise, and healthy logs. Every incident has to be found, and nothing
//! else may be.
//!
//! A sample is a file in `tests/corpus` with what is expected of it beside it, as TOML of the same name.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use portcullis_diagnose::{Engine, Hop, Report};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// What the sample is.
    about: String,
    #[serde(default)]
    incident: Vec<Incident>,
    accepted: Option<u64>,
    unknown: Option<u64>,
    suppressed: Option<u64>,
}

#[derive(Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(deny_unknown_fields)]
struct Incident {
    reason: Option<String>,
    symptom: Option<String>,
    hop: Option<String>,
    count: u64,
    #[serde(default)]
    followed: BTreeMap<String, u64>,
}

pub(crate) fn samples() -> Vec<(String, Vec<u8>, PathBuf)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut samples: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end != "toml"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read(&path).unwrap(), path.with_extension("toml"))
        })
        .collect();
    samples.sort();
    samples
}

fn diagnose(bytes: &[u8]) -> Report {
    let mut engine = Engine::new();
    engine.feed(bytes);
    engine.finish()
}

fn found(report: &Report) -> Vec<Incident> {
    let mut found: Vec<Incident> = report
        .incidents
        .iter()
        .map(|incident| Incident {
            reason: incident.reason.map(|reason| reason.id().to_owned()),
            symptom: incident.symptom.map(|symptom| symptom.to_string()),
            hop: incident.hop.map(|hop: Hop| hop.name().replace(' ', "_")),
            count: incident.count,
            followed: incident
                .consequences
                .iter()
                .map(|consequence| (consequence.symptom.to_string(), consequence.count))
                .collect(),
        })
        .collect();
    found.sort();
    found
}

#[test]
fn every_incident_is_found_and_nothing_is_invented() {
    let samples = samples();
    assert!(samples.len() >= 40, "{} samples", samples.len());
    let mut wrong = String::new();
    for (name, bytes, expected) in samples {
        let text = fs::read_to_string(&expected).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut expected: Expected = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!expected.about.is_empty(), "{name}");
        expected.incident.sort();
        let report = diagnose(&bytes);
        let found = found(&report);
        if found != expected.incident {
            writeln!(wrong, "{name}: expected {:#?}, found {:#?}", expected.incident, report.incidents)
                .unwrap();
        }
        for (what, expected, found) in [
            ("accepted", expected.accepted, report.read.accepted),
            ("unknown", expected.unknown, report.read.unknown),
            ("suppressed", expected.suppressed, report.read.suppressed),
        ] {
            if expected.is_some_and(|expected| expected != found) {
                writeln!(wrong, "{name}: {what}: expected {expected:?}, found {found}").unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn no_credential_of_the_corpus_is_shown() {
    for (name, bytes, _) in samples() {
        let text = String::from_utf8_lossy(&bytes);
        let report = diagnose(&bytes);
        let shown = serde_json::to_string(&report).unwrap() + &report.markdown();
        for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c))) {
            // Parts of tokens: long, of both cases and digits.
            let is_part = word.len() >= 24
                && word.bytes().any(|b| b.is_ascii_uppercase())
                && word.bytes().any(|b| b.is_ascii_lowercase())
                && word.bytes().any(|b| b.is_ascii_digit());
            assert!(!is_part || !shown.contains(word), "{name}: {word}");
        }
        assert!(!shown.contains("eyJ") && !shown.contains("ZXlK"), "{name}");
    }
}

#[test]
fn every_format_and_the_field_reports_lines_are_in_the_corpus() {
    let samples = samples();
    let mut formats = std::collections::BTreeSet::new();
    for (_, bytes, _) in &samples {
        formats.extend(diagnose(bytes).formats.into_keys().map(|format| format!("{format:?}")));
    }
    let all = [
        "Access",
        "Console",
        "Gcp",
        "Haproxy",
        "Har",
        "Json",
        "NginxError",
        "Plain",
        "Portcullis",
        "Uvicorn",
    ];
    assert_eq!(formats.into_iter().collect::<Vec<_>>(), all);
    let whole: String = samples.iter().map(|(_, bytes, _)| String::from_utf8_lossy(bytes)).collect();
    for line in [
        "Message routing failed for user 105945141827451681156",
        "SSOT AUTHENTICATION FAILED: NO_TOKEN",
        "No JWT in WebSocket headers or subprotocols",
        "WebSocket heartbeat timeout",
        "ValueError: JWT token too short in subprotocol: jwt.",
        "WebSocket connection rejected in staging: No JWT token provided",
        "WebSocket connection rejected in staging: Invalid JWT token",
        "SSOT Auth failed",
        "WebSocket is not connected. Need to call \"accept\" first.",
    ] {
        assert!(whole.contains(line), "{line}");
    }
}
