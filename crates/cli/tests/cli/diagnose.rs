use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::Place;

const STORM: &str = "\
12:10:06 ERROR: \"SSOT AUTHENTICATION FAILED: NO_TOKEN\"
12:10:06 \"No JWT in WebSocket headers or subprotocols\"
12:10:07 ERROR: \"Message routing failed for user 105945141827451681156\"
12:10:36 WARNING: \"WebSocket heartbeat timeout\"
what is this
";

const HEALTHY: &str = "\
INFO:     Application startup complete.
INFO:     10.8.0.2:41000 - \"WebSocket /ws\" [accepted]
";

#[test]
fn a_storm_is_one_incident_in_every_format() {
    let place = Place::new();
    place.write("app.log", STORM);
    let text = place.run(&["diagnose", "app.log"]).ended(1).stdout;
    insta::assert_snapshot!(text);
    let json = place.run_with(&["diagnose", "--format", "json"], STORM).ended(1).json();
    assert_eq!(json["incidents"].as_array().unwrap().len(), 1);
    assert_eq!(json["incidents"][0]["reason"], "NO_TOKEN");
    assert_eq!(json["incidents"][0]["hop"], "client");
    assert_eq!(json["incidents"][0]["consequences"][0]["symptom"], "routing_failed");
    assert_eq!(json["read"]["unknown"], 1);
    let markdown = place.run_with(&["diagnose", "-", "--format", "markdown"], STORM).ended(1).stdout;
    assert!(markdown.contains("## 1. NO_TOKEN: No token was sent"), "{markdown}");
}

#[test]
fn exit_codes_tell_findings_usage_and_what_cannot_be_read() {
    let place = Place::new();
    let clean = place.run_with(&["diagnose"], HEALTHY).ended(0).stdout;
    assert!(clean.contains("✓ no incident"), "{clean}");
    place.run_with(&["diagnose"], "").ended(0);
    // What is not understood is no all-clear.
    let unknown = place.run_with(&["diagnose"], "alpha beta\ngamma delta\n").ended(0).stdout;
    assert!(unknown.contains("no incident can be told") && !unknown.contains('✓'), "{unknown}");
    let markdown = place.run_with(&["diagnose", "--format", "markdown"], "alpha beta\n").ended(0).stdout;
    assert!(markdown.contains("No incident can be told"), "{markdown}");
    for format in ["sarif", "junit", "html"] {
        let ran = place.run_with(&["diagnose", "--format", format], STORM).ended(2);
        assert!(ran.stderr.contains("text, json or markdown"), "{}", ran.stderr);
    }
    place.run(&["diagnose", "--follow", "--format", "markdown"]).ended(2);
    let ran = place.run(&["diagnose", "nowhere.log"]).ended(3);
    assert!(ran.stderr.contains("cannot read nowhere.log"), "{}", ran.stderr);
    place.run(&["diagnose", "."]).ended(3);
}

/// As logrotate leaves it, from a file and from a pipe.
#[test]
fn a_compressed_log_is_read_as_it_is() {
    let place = Place::new();
    let path = place.path("app.log.1.gz");
    let mut encoder =
        flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
    encoder.write_all(STORM.as_bytes()).unwrap();
    encoder.finish().unwrap();
    let json = place.run(&["diagnose", "app.log.1.gz", "--format", "json"]).ended(1).json();
    assert_eq!(
        (json["incidents"][0]["reason"].as_str(), json["read"]["lines"].as_u64()),
        (Some("NO_TOKEN"), Some(5))
    );
    let ran = place.run(&["diagnose", "app.log.1.gz", "--follow"]).ended(2);
    assert!(ran.stderr.contains("will not grow"), "{}", ran.stderr);
    File::options().write(true).open(&path).unwrap().set_len(40).unwrap();
    let ran = place.run(&["diagnose", "app.log.1.gz"]).ended(3);
    assert!(ran.stderr.contains("cannot read app.log.1.gz"), "{}", ran.stderr);
}

#[test]
fn standard_input_is_followed_to_its_end() {
    let place = Place::new();
    let ran = place.run_with(&["diagnose", "--follow", "--format", "json"], STORM).ended(1);
    let change: Value = serde_json::from_str(ran.stdout.lines().next().unwrap()).unwrap();
    assert_eq!((&change["event"], &change["incident"]["reason"]), (&"arose".into(), &"NO_TOKEN".into()));
    place.run_with(&["diagnose", "--follow"], HEALTHY).ended(0);
}

#[test]
fn a_file_is_followed_as_it_grows_and_is_rotated() {
    let place = Place::new();
    place.write("app.log", HEALTHY);
    let mut following = follow(&place);
    let mut lines = BufReader::new(following.0.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    append(&place, "2025-09-11 08:00:00 ERROR token has expired\n");
    let change = next();
    assert_eq!((&change["event"], &change["incident"]["reason"]), (&"arose".into(), &"TOKEN_EXPIRED".into()));
    std::fs::rename(place.path("app.log"), place.path("app.log.1")).unwrap();
    append(&place, "2025-09-11 08:01:00 ERROR token has expired\n");
    let change = next();
    assert_eq!((&change["event"], &change["more"]), (&"grew".into(), &1.into()));
    assert_eq!(following.interrupt(), Some(1));
}

#[test]
fn a_line_has_its_number_in_the_file_that_it_stands_in() {
    let place = Place::new();
    place.write("app.log", "2025-09-11 08:00:00 INFO started\n");
    let mut following = follow(&place);
    let mut lines = BufReader::new(following.0.stdout.take().unwrap()).lines();
    let mut numbers = || -> Vec<u64> {
        let change: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        let evidence = change["incident"]["evidence"].as_array().unwrap();
        evidence.iter().map(|line| line["line"].as_u64().unwrap()).collect()
    };
    append(&place, "2025-09-11 08:00:01 ERROR token has expired\n");
    assert_eq!(numbers(), [2]);
    // Rotation, and then a log that is cut: each begins anew.
    std::fs::rename(place.path("app.log"), place.path("app.log.1")).unwrap();
    append(&place, "2025-09-11 08:01:00 ERROR token has expired\n2025-09-11 08:01:00 INFO and on it goes\n");
    assert_eq!(numbers(), [2, 1]);
    place.write("app.log", "2025-09-11 08:02:00 ERROR token has expired\n");
    assert_eq!(numbers(), [2, 1, 1]);
    assert_eq!(following.interrupt(), Some(1));
}

fn append(place: &Place, text: &str) {
    let mut file = File::options().append(true).create(true).open(place.path("app.log")).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// A command that follows a log; it ends with the test, also where that panics.
struct Following(Child);

impl Following {
    /// Ends it as Ctrl-C does.
    fn interrupt(mut self) -> Option<i32> {
        let interrupted = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status().unwrap();
        assert!(interrupted.success());
        self.0.wait().unwrap().code()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn follow(place: &Place) -> Following {
    let child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["diagnose", "--follow", "app.log", "--format", "json"])
        .current_dir(place.path(""))
        .env_clear()
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    Following(child)
}
