//! Refusals as bytes: status, fields and body of every reason that can end a request.

use std::fmt::Write as _;

use portcullis_handshake::{Reason, Refusal, Rejection, ResponseHead};

fn written(rejection: &Rejection, request_id: &str) -> String {
    answered(rejection, request_id, "GET")
}

fn answered(rejection: &Rejection, request_id: &str, method: &str) -> String {
    let mut out = Vec::new();
    Refusal::new(rejection, request_id).write_http1(method, &mut out);
    String::from_utf8(out).expect("a response is text")
}

#[test]
fn the_response_of_every_reason() {
    let mut all = String::new();
    for &reason in Reason::ALL.iter().filter(|reason| reason.status().is_some()) {
        let text = written(&Rejection::new(reason, "for the log alone"), "r-0123456789");
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        // The help texts have their own guards; here their words and length would only make noise.
        let mut body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert!(body["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{reason}");
        body["remedy"] = "[remedy]".into();
        writeln!(all, "=== {reason}").unwrap();
        for line in head.split("\r\n") {
            all.push_str(if line.starts_with("Content-Length: ") {
                "Content-Length: [length]"
            } else {
                line
            });
            all.push('\n');
        }
        write!(all, "\n{body}\n\n").unwrap();
    }
    assert!(!all.contains("for the log alone"));
    insta::assert_snapshot!(all);
}

#[test]
fn what_the_standards_ask_of_a_refusal() {
    for &reason in Reason::ALL {
        let rejection = Rejection::new(reason, "").with_hint("say \"this\"");
        let text = written(&rejection, "r-1");
        let head = ResponseHead::parse(text.as_bytes()).unwrap().unwrap();
        let body: serde_json::Value = serde_json::from_str(&text[head.len()..]).unwrap();
        let field = |name| head.field(name).map(|value| String::from_utf8(value.to_vec()).unwrap());
        let status = head.status();
        // RFC 9457 §3.1.2; RFC 6585; RFC 9112 §6.3.
        assert_eq!(body["status"], status, "{reason}");
        assert_eq!(body["detail"], "say \"this\"", "{reason}");
        assert_eq!(body["request_id"], "r-1", "{reason}");
        assert_eq!(field("Content-Type").unwrap(), "application/problem+json", "{reason}");
        assert_eq!(field("Content-Length").unwrap(), (text.len() - head.len()).to_string(), "{reason}");
        assert_eq!(field("Cache-Control").unwrap(), "no-store", "{reason}");
        assert!(field("Connection").unwrap().starts_with("close"), "{reason}");
        // No field stands twice, and none of a handshake that succeeded is there.
        let names: Vec<_> = head.fields().map(|(name, _)| name.to_ascii_lowercase()).collect();
        assert!(names.iter().enumerate().all(|(index, name)| !names[..index].contains(name)), "{reason}");
        assert_eq!(field("Sec-WebSocket-Accept"), None, "{reason}");
        // RFC 9110 §15.5.2, §15.5.6, §15.5.22, §15.6.4; RFC 6585 §4.
        let challenge = field("WWW-Authenticate");
        assert_eq!(challenge.is_some(), status == 401 || reason.bearer_error().is_some(), "{reason}");
        assert_eq!(field("Allow").is_some(), status == 405, "{reason}");
        assert_eq!(field("Retry-After").is_some(), status == 429 || status == 503, "{reason}");
        if status == 426 {
            assert_eq!(field("Upgrade").unwrap(), "websocket");
            assert_eq!(field("Sec-WebSocket-Version").unwrap(), "13");
        }
        // RFC 6750 §3.1: no error where the request had no credentials.
        if reason == Reason::NoToken {
            assert_eq!(challenge.unwrap(), "Bearer realm=\"portcullis\"");
        }
    }
}

#[test]
fn an_unknown_key_looks_like_a_bad_signature() {
    let one = written(&Rejection::new(Reason::UnknownKey, "kid not found"), "r-1");
    assert_eq!(one, written(&Rejection::new(Reason::SignatureInvalid, "no match"), "r-1"));
}

#[test]
fn the_request_shapes_the_response() {
    let busy = Rejection::from(Reason::RateLimited).with_retry_after(7);
    let text = answered(&busy, "r-1", "HEAD");
    assert!(text.contains("\r\nRetry-After: 7\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n"), "{text}");
    let hostile = written(&busy, "x\r\nSet-Cookie: y");
    assert!(!hostile.contains("\nSet-Cookie"), "{hostile}");
}
