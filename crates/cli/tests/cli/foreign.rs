//! Text of others, shown by every command that shows some: of tokens, servers, logs and files.

use std::{io::Write as _, net::TcpListener, thread};

use crate::{Place, Ran};

/// Writes to the clipboard (OSC 52), clears the screen by a control of one character, and turns the text's direction.
const FOREIGN: &str = "x\u{1b}]52;c;ZXZpbA==\u{7}\u{9b}2J\u{202e}y";

#[track_caller]
fn assert_harmless(what: &str, ran: &Ran, must_show: bool) {
    for text in [&ran.stdout, &ran.stderr] {
        let harmful = |c: char| c.is_control() && c != '\n' && c != '\t' || c == '\u{202e}';
        assert!(!text.chars().any(harmful), "{what}: {text:?}");
    }
    let shown = ran.stdout.contains("\\u009b2J") || ran.stderr.contains("\\u009b2J");
    assert!(shown || !must_show, "{what}: {}", ran.report());
}

fn base64url(text: &str) -> String {
    portcullis_token::base64url::encode(text)
}

#[test]
fn what_stands_in_a_token_is_shown_and_does_nothing() {
    let place = Place::new();
    let name = serde_json::to_string(FOREIGN).unwrap();
    let claims = format!("{{{name}:{name},\"sub\":{name},\"exp\":1}}");
    let token = format!("{}.{}.c2ln", base64url("{\"alg\":\"HS256\"}"), base64url(&claims));
    for format in ["text", "json"] {
        let ran = place.run_with(&["token", "inspect", "--format", format], &token);
        assert_harmless(format, &ran, true);
    }
    let lines = format!("{}.{}.c2ln", base64url("{\"alg\":\"HS256\"}"), base64url("{\"a\\nfindings\":1}"));
    let ran = place.run_with(&["token", "inspect"], &lines);
    assert!(!ran.stdout.contains("a\nfindings"), "a name makes no line of its own: {}", ran.stdout);
    place.run(&["token", "mint", "--sub", FOREIGN]);
    let minted = place.run(&["token", "mint", "--sub", FOREIGN]).stdout;
    assert_harmless("verify", &place.run_with(&["token", "verify"], &minted), true);
    assert_harmless("verify json", &place.run_with(&["token", "verify", "--format", "json"], &minted), true);
}

#[test]
fn what_stands_in_files_and_on_the_command_line_does_nothing() {
    let place = Place::new();
    assert_harmless("explain", &place.run(&["explain", FOREIGN]), true);
    assert_harmless("an argument", &place.run(&["token", "mint", "--sub", "a", "--ttl", FOREIGN]), true);
    let key = "x\\u001b]52;c;ZXZpbA==\\u0007\\u009b2J\\u202ey";
    place.write("portcullis.toml", &format!("[gateway]\n\"{key}\" = 1\n"));
    assert_harmless("config check", &place.run(&["config", "check", "portcullis.toml"]), true);
    assert_harmless("config show", &place.run(&["config", "show", "portcullis.toml"]), true);
    place.write("app.log", &format!("2025-09-11 08:00:00 ERROR token has expired {FOREIGN}\n"));
    for format in ["text", "json", "markdown"] {
        assert_harmless("diagnose", &place.run(&["diagnose", "app.log", "--format", format]), false);
    }
    assert_harmless("a file's name", &place.run(&["diagnose", FOREIGN]), true);
    assert_harmless(
        "users",
        &place.run_with(&["users", "add", FOREIGN, "--password-stdin"], "a password, long\n"),
        false,
    );
    assert_harmless("users list", &place.run(&["users", "list"]), false);
}

/// A server that refuses everybody, in words of its own.
#[test]
fn what_a_server_says_does_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let body = serde_json::json!({ "reason": FOREIGN }).to_string();
            let head = format!(
                "HTTP/1.1 403 Forbidden\r\nServer: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                "x\u{9b}2J\u{202e}",
                body.len()
            );
            let _ = stream.write_all((head + &body).as_bytes());
        }
    });
    let place = Place::new();
    for format in ["text", "json", "markdown", "html", "junit", "sarif"] {
        let arguments = [
            "check",
            &url,
            "--only",
            "H",
            "--only",
            "rule/before-101/",
            "--token",
            "a.b.c",
            "--format",
            format,
            "-v",
        ];
        let count = if format == "text" { arguments.len() } else { arguments.len() - 1 };
        assert_harmless(&format!("check {format}"), &place.run(&arguments[..count]), false);
    }
    for format in ["text", "json", "html"] {
        let arguments = [
            "bench",
            &url,
            "--scenario",
            "handshake",
            "--duration",
            "200ms",
            "--warm-up",
            "0s",
            "--format",
            format,
        ];
        assert_harmless(&format!("bench {format}"), &place.run(&arguments), false);
    }
}
