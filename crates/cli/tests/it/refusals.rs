//! Each reason of the handshake is earned from real bytes on a real socket, by exactly the request that deserves it.

use std::collections::HashSet;

use portcullis_reason::Reason;
use portcullis_test::{Request, Server, Tokens};
use serde_json::{Value, json};

use crate::{STRICT, credentials, support::assert_refused, upgrade};

#[test]
fn each_fault_of_a_request_earns_its_reason() {
    let server = STRICT.get();
    let token = credentials::token(server.tokens(), &json!({}));
    for row in upgrade::rows(&token) {
        let mut peer = server.connect();
        peer.try_send(&row.bytes);
        if row.head {
            let response = peer.response_to_head();
            assert_eq!(
                (Some(response.status), response.body.as_str()),
                (row.reason.status(), ""),
                "{}",
                row.name
            );
        } else {
            let response = peer.response();
            assert_refused(row.name, &server, &response, row.reason);
        }
        peer.finish();
        assert_eq!(peer.ended(), b"", "{}: the answer is the last thing", row.name);
    }
}

#[test]
fn each_fault_of_a_credential_earns_its_reason() {
    // A server of its own: a flood of refusals is not logged line by line, and every line counts here.
    let server = strict();
    for row in credentials::rows(server.tokens()) {
        let mut peer = server.connect();
        let response = peer.ask(&row.request);
        assert_refused(row.name, &server, &response, row.reason);
        assert_eq!(peer.ended(), b"", "{}: the answer is the last thing", row.name);
    }
    assert_eq!(server.figure("portcullis_handshakes_total{outcome=\"accepted\"}"), 0);
    // Alike outside, apart for the operator.
    for (reason, least) in [(Reason::UnknownKey, 2), (Reason::SignatureInvalid, 4)] {
        let rejections =
            server.figure(&format!("portcullis_handshake_rejections_total{{reason=\"{reason}\"}}"));
        assert!(rejections >= least, "{reason}: {rejections}");
    }
}

#[test]
fn an_unknown_key_looks_like_a_bad_signature() {
    let server = STRICT.get();
    let answer = |token: &str| {
        let answer = server.ask(&Request::upgrade("/ws").bearer(token));
        // The whole answer, but for the name of the request.
        answer.raw.replace(answer.json()["request_id"].as_str().unwrap(), "ID")
    };
    let wrong = Tokens::new("test", "another secret of the same key id, also long enough");
    let unknown = Tokens::new("nobody's", "another secret of another key id, also long enough");
    assert_eq!(
        answer(&credentials::token(&wrong, &json!({}))),
        answer(&credentials::token(&unknown, &json!({})))
    );
}

#[test]
fn a_preflight_decides_as_the_handshake_does() {
    let server = strict();
    let mut logged = 0..LOGGED;
    for row in credentials::rows(server.tokens()) {
        let shown = row.reason.shown_as();
        for (way, request) in [("POST", Some(post(&row.request))), ("GET", get(&row.request))] {
            // A token that only a subprotocol can carry is no matter of GET, and neither is what else was offered.
            let Some(request) = request else { continue };
            let response = server.ask(&request);
            assert_eq!(response.status, 200, "{way} {}: {}", row.name, response.raw);
            let told = response.json();
            assert_eq!(told["accepted"], false, "{way} {}: {told}", row.name);
            assert_eq!(told["reason"], shown.id(), "{way} {}: {told}", row.name);
            assert_eq!(told["title"], shown.title(), "{way} {}: {told}", row.name);
            assert_eq!(told["status"], row.reason.status().unwrap(), "{way} {}: {told}", row.name);
            let id = told["request_id"].as_str().unwrap();
            if logged.next().is_none() {
                continue;
            }
            let line = server.log().line(&[&format!("\"request_id\":\"{id}\"")]);
            let line: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(line["reason"], row.reason.id(), "{way} {}: {line}", row.name);
        }
    }
}

#[test]
fn a_foreign_page_learns_nothing_else() {
    let server = STRICT.get();
    let answer = |request: Request| {
        let mut told = server.ask(&request.field("Origin", "https://evil.example")).json();
        assert_ne!(told["request_id"].take(), Value::Null);
        told
    };
    let good = format!("jwt.{}", portcullis_test::wrap(credentials::token(server.tokens(), &json!({}))));
    let preflight = |body: &Value| answer(Request::post("/ws/preflight", body));
    let told = preflight(&json!({ "protocols": ["jwt-auth", good] }));
    assert_eq!(told["reason"], "ORIGIN_NOT_ALLOWED");
    for body in [
        json!({ "protocols": ["jwt-auth", "jwt.abc"] }),
        json!({ "mode": "nowhere" }),
        json!({ "mode": 7 }),
        json!([]),
        json!({}),
    ] {
        assert_eq!(preflight(&body), told, "{body}");
    }
}

/// Refused preflights that surely have a line of their own: the log takes a hundred in a second.
const LOGGED: usize = 90;

/// The same question as a POST of the preflight.
fn post(request: &Request) -> Request {
    let body = json!({ "mode": mode(request), "protocols": request.offered() });
    with_fields(request, Request::post("/ws/preflight", &body))
}

/// The same question as a GET of the preflight; none if subprotocols matter.
fn get(request: &Request) -> Option<Request> {
    let target = format!("/ws/preflight?mode={}", mode(request));
    request.offered().is_empty().then(|| with_fields(request, Request::plain("GET", &target)))
}

fn with_fields(request: &Request, preflight: Request) -> Request {
    let kept = ["Authorization", "Origin"];
    let preflight = match request.value("Host") {
        Some(host) => preflight.instead("Host", host),
        None => preflight,
    };
    request
        .fields()
        .filter(|(name, _)| kept.contains(name))
        .fold(preflight, |preflight, (name, value)| preflight.field(name, value))
}

/// The mode by the last segment of the path.
fn mode(request: &Request) -> &str {
    match request.target().rsplit('/').next() {
        None | Some("ws") => "main",
        Some(mode) => mode,
    }
}

fn strict() -> Server {
    crate::strict().start()
}

/// The reasons that the tables here earn.
pub(crate) fn earned() -> HashSet<Reason> {
    let tokens = Tokens::new("test", "a secret that signs for nobody but this list");
    let upgrades = upgrade::rows("").into_iter().map(|row| row.reason);
    upgrades.chain(credentials::rows(&tokens).into_iter().map(|row| row.reason)).collect()
}
