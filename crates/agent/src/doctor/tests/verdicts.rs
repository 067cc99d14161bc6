//! What each kind of input must lead to.

use std::collections::HashSet;

use portcullis_reason::Reason;
use serde_json::{Value, json};

use super::support::{NOW, ask, ask_next, claims, good, run_task, task, token, with};
use crate::Task;

/// One row: input, tools that must come to a result, reason in the headline (or the headline's own words), words of
/// the answer.
struct Row {
    input: String,
    tools: &'static [&'static str],
    headline: &'static str,
    says: &'static [&'static str],
}

fn row(
    input: impl Into<String>,
    tools: &'static [&'static str],
    headline: &'static str,
    says: &'static [&'static str],
) -> Row {
    Row { input: input.into(), tools, headline, says }
}

async fn check(rows: &[Row]) {
    let mut faults = Vec::new();
    for row in rows {
        let transcript = ask(&row.input).await;
        let (tools, input) = (transcript.tools(), &row.input);
        if !transcript.headline().contains(row.headline) {
            faults.push(format!("{input}: headline {}", transcript.headline()));
        }
        for tool in row.tools.iter().filter(|tool| !tools.contains(tool)) {
            faults.push(format!("{input}: {tool} not in {tools:?}"));
        }
        for words in row.says.iter().filter(|words| !transcript.answer.contains(**words)) {
            faults.push(format!("{input}: {words:?} not in\n{}", transcript.answer));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[tokio::test]
async fn every_line_of_the_field_reports_is_recognised() {
    check(&[
        row(
            r#"ERROR: "Message routing failed for user 105945141827451681156""#,
            &["look_up", "explain_reason"],
            "NO_TOKEN",
            &["first refusal of the same user"],
        ),
        row(
            r#"ERROR: "SSOT AUTHENTICATION FAILED: NO_TOKEN""#,
            &["look_up", "explain_reason"],
            "NO_TOKEN",
            &[],
        ),
        row(
            r#""No JWT in WebSocket headers or subprotocols""#,
            &["look_up"],
            "NO_TOKEN",
            &["form that this server does not read"],
        ),
        row(
            r#"WARNING: "WebSocket heartbeat timeout""#,
            &["look_up"],
            "HEARTBEAT_TIMEOUT",
            &["ping interval"],
        ),
        row(
            "ValueError: JWT token too short in subprotocol: jwt.",
            &["check_token_form", "decode_token", "look_up"],
            "TOKEN_MALFORMED",
            &["text is empty", "ValueError"],
        ),
        row(
            "JWT token too short in subprotocol: jwt.abc",
            &["check_token_form", "decode_token", "look_up"],
            "TOKEN_MALFORMED",
            &["3 characters are too short"],
        ),
        row("WebSocket connection rejected in staging: No JWT token provided", &["look_up"], "NO_TOKEN", &[]),
        row(
            "WebSocket connection rejected in staging: Invalid JWT token",
            &["look_up"],
            "SIGNATURE_INVALID",
            &["secret"],
        ),
        row("SSOT Auth failed", &["look_up"], "NO_TOKEN", &["names no cause"]),
        row(
            r#"WebSocket is not connected. Need to call "accept" first."#,
            &["look_up"],
            "before accepting",
            &["Do not accept in order to refuse", "send_denial_response"],
        ),
        row(
            "Connection closed with 1008 / 1011 / 1006",
            &["explain_close_code"],
            "Close code 1008",
            &["1008", "1011", "1006"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn every_malformed_form_is_named() {
    let form: &[&str] = &["check_token_form", "decode_token", "explain_reason"];
    let good = good();
    let two_parts = good.rsplit_once('.').unwrap().0.to_owned();
    let bad_character = good.replacen('.', "$.", 1);
    let none = token(&json!({ "alg": "none" }), &claims());
    check(&[
        row("jwt.", form, "TOKEN_MALFORMED", &["text is empty"]),
        row("jwt.abc", form, "TOKEN_MALFORMED", &["3 characters are too short"]),
        row("jwt.invalid_token_format", form, "TOKEN_MALFORMED", &["three parts"]),
        row(
            "Sec-WebSocket-Protocol: other-protocol",
            &["check_token_form"],
            "NO_TOKEN",
            &["None of the offered subprotocols"],
        ),
        row(format!("jwt.{}", "a".repeat(10_000)), form, "TOKEN_MALFORMED", &[]),
        row(format!("jwt.{}", "a".repeat(20_000)), form, "TOKEN_TOO_LARGE", &[]),
        row("jwt.token1, jwt.token2, jwt.token3", form, "AMBIGUOUS_CREDENTIALS", &["exactly one"]),
        row(format!("jwt.{bad_character}"), form, "TOKEN_MALFORMED", &["'$'"]),
        row(format!("jwt.{two_parts}"), form, "TOKEN_MALFORMED", &["two parts instead of three"]),
        row(two_parts.clone(), &["decode_token"], "TOKEN_MALFORMED", &["two parts instead of three"]),
        row("eyJhbGciOiJIUzI1NiIs…", &["decode_token"], "TOKEN_MALFORMED", &["ellipsis"]),
        row(
            "new WebSocket('wss://chat.example.com/ws')",
            &["check_token_form"],
            "NO_TOKEN",
            &["without subprotocols"],
        ),
        row(format!("jwt, {good}"), form, "PROTOCOL_MISMATCH", &["jwt-auth"]),
        row(format!("['jwt', '{good}']"), form, "PROTOCOL_MISMATCH", &["jwt-auth"]),
        row("new WebSocket(url, ['jwt', token])", &["check_token_form"], "PROTOCOL_MISMATCH", &["old build"]),
        row(
            "new WebSocket(url, ['jwt-auth', 'jwt.' + btoa(token)])",
            &["check_token_form"],
            "",
            &["btoa", "replace"],
        ),
        row("Authorization: Bearer", &["check_token_form"], "TOKEN_MALFORMED", &["followed by the token"]),
        row("Authorization: Basic dXNlcjpwYXNz", &["check_token_form"], "NO_TOKEN", &["scheme"]),
        row(
            format!("Bearer {}", with("exp", json!(NOW - 11_045))),
            &["decode_token"],
            "TOKEN_EXPIRED",
            &["3 h 4 min ago"],
        ),
        row(with("nbf", json!(NOW + 600)), &["decode_token"], "NOT_YET_VALID", &["10 min"]),
        row(
            with("iss", json!("https://other.example")),
            &["decode_token"],
            "ISSUER_MISMATCH",
            &["https://other.example", "8081"],
        ),
        row(with("aud", json!(["elsewhere"])), &["decode_token"], "AUDIENCE_MISMATCH", &["`portcullis`"]),
        row(none, &["decode_token"], "ALGORITHM_NOT_ALLOWED", &["not signed"]),
        row(
            token(&json!({ "alg": "RS256" }), &claims()),
            &["decode_token"],
            "ALGORITHM_NOT_ALLOWED",
            &["RS256"],
        ),
        row(good.clone(), &["decode_token"], "no fault", &["signature"]),
        row(
            format!("Sec-WebSocket-Protocol: jwt.{good}, jwt-auth"),
            &["check_token_form"],
            "no fault",
            &["`jwt-auth` is selected"],
        ),
        row(
            format!("In Chrome: Sec-WebSocket-Protocol: jwt.{good}"),
            &["check_token_form"],
            "NO_COMMON_SUBPROTOCOL",
            &["jwt-auth"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn errors_of_browsers_and_whole_messages_are_understood() {
    let good = good();
    let head = |extra: &str| {
        format!(
            "GET /ws HTTP/1.1\nHost: localhost:8000\n{extra}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 13\nAuthorization: Bearer {good}\n"
        )
    };
    check(&[
        row("Error during WebSocket handshake: Unexpected response code: 403", &["look_up", "explain_status"], "403", &["Origin"]),
        row(
            "WebSocket connection failed: Error during WebSocket handshake: Sent non-empty 'Sec-WebSocket-Protocol' header but no response was received",
            &["look_up", "explain_reason"],
            "NO_COMMON_SUBPROTOCOL",
            &["plain name beside the token"],
        ),
        row("426 Upgrade Required", &["explain_status"], "UNSUPPORTED_VERSION", &["proxy_http_version"]),
        row("got 401 from the server", &["explain_status"], "401", &["WWW-Authenticate"]),
        row("4404", &["explain_close_code"], "4404", &[]),
        row("TOKEN_REVOKED", &["explain_reason"], "TOKEN_REVOKED", &[]),
        row(r#"{"type":"/reasons/TOKEN_EXPIRED","status":401,"reason":"TOKEN_EXPIRED"}"#, &["explain_reason"], "TOKEN_EXPIRED", &[]),
        row("jwt.exceptions.ExpiredSignatureError: Signature has expired", &["look_up"], "TOKEN_EXPIRED", &["reauthenticate"]),
        row(head("Connection: keep-alive\nUpgrade: websocket\n"), &["check_request"], "BAD_UPGRADE", &["proxy"]),
        row(head("Connection: Upgrade\nUpgrade: websocket\n"), &["check_request", "decode_token"], "no fault", &[]),
        row(
            head("Connection: Upgrade\nUpgrade: websocket\nOrigin: https://evil.example\n"),
            &["check_request"],
            "ORIGIN_NOT_ALLOWED",
            &[],
        ),
        row(
            format!("HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nSec-WebSocket-Protocol: jwt.{good}"),
            &["check_response"],
            "NO_COMMON_SUBPROTOCOL",
            &["echoes the token", "revoke"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn plain_questions_are_answered() {
    let tools: &[&str] = &["look_up"];
    check(&[
        row("How do I send the token from a browser?", tools, "send the token from a browser", &["b64url"]),
        row("Can I set custom headers on a browser WebSocket?", tools, "send the token from a browser", &[]),
        row("why 1006?", &["explain_close_code"], "1006", &["preflight"]),
        row("how to refresh a token while connected", tools, "Refreshing a token", &["reauthenticate"]),
        row(
            "what nginx settings do I need for websocket upgrade headers",
            tools,
            "proxy ate the upgrade",
            &["proxy_http_version 1.1"],
        ),
        row("My app runs on Cloud Run, why does it disconnect?", tools, "platform", &["--timeout=3600"]),
        row("does CORS apply? how does the origin rule work", tools, "origin rule", &["exact origin"]),
        row("how does subprotocol negotiation work", tools, "Subprotocol negotiation", &["never selected"]),
        row("what is the two-element form", tools, "two-element form", &["PROTOCOL_MISMATCH"]),
        row(
            "what is the kubernetes bearer subprotocol form",
            tools,
            "Kubernetes form",
            &["base64url.bearer.authorization.k8s.io"],
        ),
        row("could clock skew be the problem", tools, "Clock skew", &["leeway"]),
        row("should I put the token in the query string?", tools, "token in the URL", &["access logs"]),
        row("are cookies a good idea?", tools, "Cookies", &["SameSite"]),
        row(
            "which close code is right for a bad token, 1008 or 1011?",
            &["explain_close_code"],
            "1008",
            &["1011"],
        ),
        row("how can I test a handshake with curl", tools, "by hand", &["Sec-WebSocket-Key"]),
        row(
            "in FastAPI, should I accept before I check the token?",
            tools,
            "before accepting",
            &["validate"],
        ),
        row("do I need base64url or base64 with padding", tools, "base64url and padding", &["rstrip"]),
        row("what about jwks key rotation", tools, "Keys, JWKS", &["pinned"]),
        row("wie kann ich den token im browser senden", tools, "send the token", &[]),
        row("how should clients reconnect with backoff?", tools, "Reconnecting", &["jitter"]),
        row(
            "audit my configuration",
            &["audit_configuration"],
            "configuration",
            &["authentication is enforced"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn one_answer_for_a_token_a_code_and_a_log_line() {
    let expired = with("exp", json!(NOW - 11_045));
    let transcript = ask(&format!(
        "Sec-WebSocket-Protocol: jwt-auth, jwt.{expired}\nConnection closed with 1006\nConnection closed with 1006\nSSOT Auth failed"
    ))
    .await;
    assert!(transcript.headline().starts_with("**TOKEN_EXPIRED"));
    let count = |tool: &str| transcript.tools().iter().filter(|name| **name == tool).count();
    for tool in ["check_token_form", "decode_token", "look_up", "explain_close_code"] {
        assert_eq!(count(tool), 1, "{tool}: the same evidence is looked into once");
    }
    assert!(transcript.answer.contains("1006") && transcript.answer.contains("SSOT"));
}

#[tokio::test]
async fn a_follow_up_is_about_what_was_found_before() {
    let first = ask("jwt.abc").await;
    let history = [("jwt.abc", first.answer.as_str())];
    let fix = ask_next("and how do I fix it?", &history).await;
    assert!(fix.headline().contains("TOKEN_MALFORMED"), "{}", fix.answer);
    assert!(fix.answer.contains(Reason::TokenMalformed.help().fix()));
    let why = ask_next("why does that happen?", &history).await;
    assert!(why.answer.contains(Reason::TokenMalformed.help().cause()));
    assert_ne!(fix.answer, why.answer);
    // New evidence is about itself, and without a history there is nothing to refer to.
    assert!(
        ask_next("and what is AUDIENCE_MISMATCH?", &history).await.headline().contains("AUDIENCE_MISMATCH")
    );
    assert!(ask("fix it").await.headline().contains("cannot tell"));
}

#[tokio::test]
async fn what_is_not_understood_is_said_to_be() {
    for input in ["what is the weather in Paris?", "", "lorem ipsum dolor sit amet", "🦀🦀🦀", "12345"]
    {
        let transcript = ask(input).await;
        assert!(
            transcript.headline().contains("I cannot tell from this"),
            "{input}: {}",
            transcript.headline()
        );
        assert_eq!(transcript.tools(), Vec::<&str>::new(), "{input}");
        assert!(transcript.answer.contains("Send me"));
    }
    assert!(ask("hello, what can you do?").await.headline().contains("I am the handshake doctor"));
}

#[tokio::test]
async fn every_reason_is_explained_and_differently() {
    let mut answers = HashSet::new();
    for reason in Reason::ALL {
        let transcript = ask(&format!("The server says {reason}")).await;
        assert!(transcript.headline().contains(reason.id()), "{reason}");
        assert!(transcript.tools().contains(&"explain_reason"), "{reason}");
        assert!(transcript.answer.contains(reason.help().remedy()), "{reason}");
        assert!(answers.insert(transcript.answer), "{reason}: the same answer twice");
    }
}

#[tokio::test]
async fn refusals_are_the_asking_users_own() {
    let mine = run_task(Task { user_id: "refused".into(), ..task("why was I refused?") }).await.unwrap();
    assert!(mine.headline().contains("TOKEN_EXPIRED"), "{}", mine.answer);
    assert!(mine.answer.contains("`r1`") && mine.answer.contains("AUDIENCE_MISMATCH"));
    let other = ask("why was I refused?").await;
    assert!(!other.all().contains("r1"), "{}", other.answer);
    assert!(other.answer.contains("none that is known to be yours"));
}

#[tokio::test]
async fn arguments_show_a_fingerprint_and_no_token() {
    let token = with("secret_claim", Value::from("hidden-value"));
    let transcript = ask(&format!("new WebSocket(url, ['jwt', '{token}'])")).await;
    let all = transcript.all();
    for part in token.split('.') {
        assert!(!all.contains(part), "a part of the token in {all}");
    }
    assert!(!all.contains("hidden-value"));
    assert!(all.contains("secret_claim"), "names of other claims are shown");
    assert!(all.contains(&portcullis_token::fingerprint(&token).to_string()));
}
