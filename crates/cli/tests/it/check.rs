//! Our own gateway, tested as any other server is: from outside, by the command that everybody gets.

use std::{fs, process::Command};

use portcullis_test::Server;
use serde_json::{Value, json};

use crate::strict;

/// What `check` says of a server, with its exit code.
fn check(server: &Server, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["check", &format!("ws://{}/ws", server.gateway()), "--format", "json"])
        .args(arguments)
        .env_clear()
        .output()
        .unwrap();
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), report)
}

/// The cases that did not pass.
fn open(report: &Value) -> Vec<String> {
    let cases = report["cases"].as_array().unwrap();
    let open = cases.iter().filter(|case| case["verdict"] != "pass");
    open.map(|case| format!("{} {}: {}", case["verdict"], case["id"], case["says"])).collect()
}

#[test]
fn the_gateway_passes_every_case_without_exception() {
    let server = strict()
        .set("token.leeway", "\"0s\"")
        .set("token.issuers", r#"["portcullis"]"#)
        .set("handshake.timeout", "\"2s\"")
        .set("heartbeat.interval", "\"1s\"")
        .set("heartbeat.timeout", "\"1s\"")
        .set("limits.handshakes_per_second", "40")
        .set("limits.handshake_burst", "300")
        .start();
    let (code, _) = server.command(&["users", "add", "ada", "--password-stdin"], "correct horse battery\n");
    assert_eq!(code, 0);
    let folder = server.data_dir();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let token = file("check-token", &server.token("grace"));
    let secret = file("check-secret", portcullis_test::SECRET);
    let body = file(
        "check-login.json",
        &json!({ "username": "ada", "password": "correct horse battery" }).to_string(),
    );
    let login = format!("http://{}/auth/login", server.auth());
    let (code, report) = check(
        &server,
        &[
            "--token-file",
            &token,
            "--secret-file",
            &secret,
            "--login",
            &login,
            "--login-body",
            &body,
            "--profile",
            "portcullis",
            "--origin",
            "https://chat.example",
            "--silence",
            "4s",
            "--flood",
            "--strict",
        ],
    );
    assert_eq!(open(&report), [""; 0], "every case passes, and every case is applicable");
    assert_eq!(report["grade"], "A+", "{}", report["scores"]);
    assert_eq!(report["summary"]["pass"], report["cases"].as_array().unwrap().len());
    assert_eq!(report["root_causes"], json!([]));
    assert_eq!(code, Some(0));
    // What is kept as evidence opens nothing.
    let text = report.to_string();
    assert!(!text.contains(&server.token("grace")) && !text.contains(portcullis_test::SECRET));
    assert!(
        // How JOSE headers begin, in base64url. Three letters alone stand in random evidence now and then.
        !["eyJhbGci", "eyJ0eXAi", "eyJraWQi", "eyJlbmMi", "correct horse"].iter().any(|it| text.contains(it)),
        "a token or a password is in the report"
    );
}

#[test]
fn without_a_credential_nothing_passes_by_default() {
    let server = strict().start();
    let (code, report) =
        check(&server, &["--only", "H", "--only", "rule/before-101/", "--only", "rule/two-users"]);
    let verdict = |id: &str| {
        let cases = report["cases"].as_array().unwrap();
        cases.iter().find(|case| case["id"] == id).unwrap_or_else(|| panic!("{id}"))["verdict"].clone()
    };
    assert_eq!(verdict("rule/before-101/no-token"), "pass");
    assert_eq!(verdict("rfc6455/4.2.1/method"), "inconclusive");
    assert_eq!(verdict("rule/before-101/short"), "inconclusive");
    // Two passes are no reason for a good grade.
    assert_eq!(report["grade"], Value::Null);
    assert_eq!(code, Some(0));

    // A token that is taken nowhere is a finding, with a cause.
    let token = portcullis_test::Tokens::new("other", "another secret, and not the server's own").good("ada");
    let (code, report) = check(&server, &["--only", "H", "--token", &token]);
    assert_eq!(report["root_causes"][0]["symptom"], "no_token");
    assert_eq!(code, Some(1));
}

/// With a private key instead of a secret: the public key is tried as an HMAC secret, in every form that a server might hold it.
#[test]
fn a_gateway_with_a_key_of_its_own_is_not_confused() {
    let server = crate::server().without_secret().set("token.leeway", "\"0s\"").start();
    let (code, token) = server.command(&["token", "mint", "--sub", "ada"], "");
    assert_eq!(code, 0, "{token}");
    let key = server.data_dir().join("keys/auth-es256.pem");
    let (code, report) =
        check(&server, &["--only", "A", "--token", token.trim(), "--key", key.to_str().unwrap(), "--strict"]);
    assert_eq!(open(&report), [""; 0]);
    assert_eq!(code, Some(0));
    let cases = report["cases"].as_array().unwrap();
    let confusion = cases.iter().find(|case| case["id"] == "rfc8725/3.1/alg-confusion").unwrap();
    assert_eq!(confusion["evidence"].as_array().unwrap().len(), 4, "{confusion}");
}

/// With the settings of development as they come, the leeway of thirty seconds among them.
#[test]
fn the_gateway_as_it_comes_has_the_best_grade() {
    let server = crate::server().without_secret().start();
    let (code, token) = server.command(&["token", "mint", "--sub", "ada"], "");
    assert_eq!(code, 0, "{token}");
    let key = server.data_dir().join("keys/auth-es256.pem");
    let arguments =
        ["--token", token.trim(), "--key", key.to_str().unwrap(), "--profile", "portcullis", "--strict"];
    let (code, report) = check(&server, &arguments);
    let open = open(&report).into_iter().filter(|case| !case.contains("not_applicable"));
    assert_eq!(open.collect::<Vec<_>>(), [""; 0]);
    assert_eq!((&report["grade"], code), (&json!("A+"), Some(0)), "{}", report["scores"]);
}
