//! The malformed forms of the field reports, at every path of every mode: a client's mistake is never our failure.

use portcullis_event::Mode;
use portcullis_reason::Reason;
use portcullis_test::{Request, Tokens, wrap};
use serde_json::json;

/// What makes a request malformed.
type Change<'a> = Box<dyn Fn(Request) -> Request + 'a>;

#[test]
fn no_malformed_credential_hurts_in_any_mode() {
    let server = crate::server().start();
    let tokens = server.tokens();
    let good = server.token("ann");
    let expired = tokens.with("ann", &json!({ "exp": Tokens::now() - 3600 }));
    let forged = Tokens::new("test", "a secret that is not the server's, long enough too").good("ann");
    let long = format!("jwt.{}", "a".repeat(10_000));
    let with = |protocols: &[&str]| {
        let line = protocols.join(", ");
        move |request: Request| request.field("Sec-WebSocket-Protocol", &line)
    };
    let bearer = |value: String| move |request: Request| request.field("Authorization", &value);
    let forms: Vec<(&str, Reason, Change<'_>)> = vec![
        ("empty", Reason::TokenMalformed, Box::new(with(&["jwt."]))),
        ("too short", Reason::TokenMalformed, Box::new(with(&["jwt.abc"]))),
        ("not a JWT", Reason::TokenMalformed, Box::new(with(&["jwt.invalid_token_format"]))),
        ("only another protocol", Reason::NoToken, Box::new(with(&["other-protocol"]))),
        ("10,000 characters", Reason::TokenMalformed, Box::new(with(&[&long]))),
        (
            "several",
            Reason::AmbiguousCredentials,
            Box::new(with(&["jwt.token1", "jwt.token2", "jwt.token3"])),
        ),
        ("outside base64url", Reason::TokenMalformed, Box::new(with(&["jwt.%%%~~~"]))),
        ("no headers at all", Reason::NoToken, Box::new(|request| request)),
        ("two elements", Reason::ProtocolMismatch, Box::new(with(&["jwt", &good]))),
        ("Bearer without a token", Reason::TokenMalformed, Box::new(bearer("Bearer".to_owned()))),
        ("expired", Reason::TokenExpired, Box::new(bearer(format!("Bearer {expired}")))),
        (
            "expired, wrapped",
            Reason::TokenExpired,
            Box::new(with(&["jwt-auth", &format!("jwt.{}", wrap(&expired))])),
        ),
        ("wrong secret", Reason::SignatureInvalid, Box::new(bearer(format!("Bearer {forged}")))),
    ];
    let mut sent = 0;
    for path in Mode::ALL.iter().flat_map(|mode| mode.paths()) {
        for (name, reason, change) in &forms {
            let mut peer = server.connect();
            let response = peer.ask(&change(Request::upgrade(path)));
            assert_eq!(response.reason(), reason.id(), "{path} {name}: {}", response.raw);
            assert_eq!(Some(response.status), reason.status(), "{path} {name}");
            assert!((400..500).contains(&response.status), "{path} {name}");
            assert_eq!(peer.ended(), b"", "{path} {name}");
            sent += 1;
        }
        // The same path takes a good one.
        drop(server.live(path, "ann"));
    }
    assert_eq!(server.figure("portcullis_handshakes_total{outcome=\"refused\"}"), sent);
    assert_eq!(server.figure("portcullis_closes_sent_total{code=\"1011\"}"), 0);
    assert_eq!(server.figure("portcullis_handshake_rejections_total{reason=\"INTERNAL\"}"), 0);
}
