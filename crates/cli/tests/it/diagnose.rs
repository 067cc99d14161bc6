//! `portcullis diagnose` on the log of a real server: it finds what was refused, as often as it was, and nothing else.

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
};

use portcullis_test::Request;
use serde_json::Value;

use crate::{credentials, strict};

#[test]
fn a_real_log_says_what_was_refused_and_how_often() {
    // A server of its own: a flood of refusals is not logged line by line.
    let server = strict().start();
    let mut refused: BTreeMap<String, u64> = BTreeMap::new();
    for row in credentials::rows(server.tokens()).into_iter().take(60) {
        let mut peer = server.connect();
        peer.ask(&row.request);
        *refused.entry(row.reason.id().to_owned()).or_default() += 1;
    }
    server.ask(&Request::upgrade("/ws").without("Upgrade"));
    *refused.entry("BAD_UPGRADE".to_owned()).or_default() += 1;
    // The last one is in the log, so all are.
    server.log().line(&["BAD_UPGRADE", "is not in Upgrade"]);

    let report = diagnose(&server.log().text());
    let incidents = report["incidents"].as_array().unwrap();
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    for incident in incidents {
        *found.entry(incident["reason"].as_str().unwrap().to_owned()).or_default() +=
            incident["count"].as_u64().unwrap();
    }
    assert_eq!(found, refused);
    assert_eq!(report["read"]["unknown"], 0);
    let proxy = incidents.iter().find(|incident| incident["reason"] == "BAD_UPGRADE").unwrap();
    assert_eq!(proxy["hop"], "proxy", "a request without Upgrade lost it on the way");
}

#[test]
fn the_log_of_a_server_that_refused_nobody_is_clean() {
    let server = crate::server().start();
    let mut peer = server.live("/ws", "ann");
    peer.say(&crate::support::question("m-1", "t", "What is 1006, TOKEN_EXPIRED, jwt malformed?"));
    while peer.json()["type"] != "agent_completed" {}
    drop(peer);
    let report = diagnose(&server.log().text());
    assert_eq!(report["incidents"], Value::Array(Vec::new()));
}

/// The report of the command, which exits with 1 where it found incidents.
fn diagnose(log: &str) -> Value {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["diagnose", "--format", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(log.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let clean = report["incidents"].as_array().unwrap().is_empty();
    assert_eq!(output.status.code(), Some(i32::from(!clean)));
    report
}
