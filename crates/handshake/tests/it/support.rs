//! A policy with all modes, request heads from lines, and the whole chain in one call.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use portcullis_handshake::{
    Head, HeadLimits, Negotiated, Policy, PolicyBuilder, Reason, Rejection, SameOrigin, Upgrade,
};

/// A bare token of a usual shape. No part of it may ever come back.
pub(crate) const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJleHAiOjQxMDI0NDQ4MDB9.\
                                c2lnbmF0dXJlLXNpZ25hdHVyZS1zaWduYXR1cmUtMTIz";
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Main,
    Factory,
    Isolated,
    Legacy,
}

pub(crate) fn builder() -> PolicyBuilder<Mode> {
    Policy::builder()
        .route("/ws", Mode::Main)
        .route("/ws/main", Mode::Main)
        .route("/api/v1/websocket", Mode::Main)
        .route("/ws/factory", Mode::Factory)
        .route("/ws/isolated", Mode::Isolated)
        .route("/ws/legacy", Mode::Legacy)
        .mode("main", Mode::Main)
        .mode("factory", Mode::Factory)
        .mode("isolated", Mode::Isolated)
        .mode("legacy", Mode::Legacy)
        .mode_path("/")
        .mode_path("/ws")
        .allow_origin("https://app.example")
        .same_origin(SameOrigin::Any)
}

pub(crate) fn policy() -> Policy<Mode> {
    builder().build().expect("a good policy")
}

pub(crate) fn wrapped(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(token)
}

/// The lines of a good upgrade request without credential.
pub(crate) const GOOD: [&str; 6] = [
    "GET /ws HTTP/1.1",
    "Host: gate.example",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
];

pub(crate) fn bytes(lines: &[&str]) -> Vec<u8> {
    let mut head = lines.join("\r\n").into_bytes();
    head.extend_from_slice(b"\r\n\r\n");
    head
}

/// The good request with the line of the same field name replaced (or taken out, when the replacement is empty).
pub(crate) fn with_line(name: &str, line: &str) -> Vec<u8> {
    let lines: Vec<&str> = GOOD
        .iter()
        .map(|good| if good.starts_with(name) { line } else { good })
        .filter(|line| !line.is_empty())
        .collect();
    assert!(GOOD.iter().any(|good| good.starts_with(name)), "{name} stands in the request");
    bytes(&lines)
}

/// The good request with more lines behind it.
pub(crate) fn with_lines(more: &[&str]) -> Vec<u8> {
    bytes(&[&GOOD, more].concat())
}

/// Steps 4, 5, 7 and 10, with a verifier that believes the token that it should see.
pub(crate) fn run(
    head: &[u8],
    policy: &Policy<Mode>,
) -> (Result<Negotiated<String, Mode>, Rejection>, Vec<u8>) {
    let mut out = Vec::new();
    let decided = decide(head, policy, &mut out);
    (decided, out)
}

fn decide(
    head: &[u8],
    policy: &Policy<Mode>,
    out: &mut Vec<u8>,
) -> Result<Negotiated<String, Mode>, Rejection> {
    let head = Head::parse(head, &HeadLimits::default())?;
    let offer = Upgrade::check(&head, policy)?.credentials(policy)?;
    let identity = offer.token().to_owned();
    offer.accept(identity, policy, out)
}

/// The refusal of a request that has to be refused; nothing may have been written.
pub(crate) fn refused(head: &[u8], policy: &Policy<Mode>) -> Rejection {
    let (decided, out) = run(head, policy);
    assert_eq!(out, b"", "a refusal writes no 101");
    decided.expect_err("a request that has to be refused")
}

/// Steps 4 and 5 alone.
pub(crate) fn checked(head: &[u8]) -> Result<Mode, Reason> {
    let policy = policy();
    let head = Head::parse(head, &HeadLimits::default()).map_err(|rejection| rejection.reason)?;
    Upgrade::check(&head, &policy).map(|upgrade| upgrade.route()).map_err(|rejection| rejection.reason)
}
