//! A head that another reader has taken apart: HTTP/2's, or a library's.

use portcullis_handshake::{Caller, Head, HeadLimits, Parts, Preflight, Reason, Rejection, Upgrade, Version};
use rstest::rstest;

use crate::support::{TOKEN, policy, wrapped};

const ASKED: Parts<'_> = Parts {
    version: Version::Http2,
    method: "GET",
    authority: Some("gate.example"),
    target: "/sse?mode=main",
};

fn head<'b>(parts: Parts<'b>, fields: &[(&'b str, &'b str)]) -> Result<Head<'b>, Rejection> {
    let fields = fields.iter().map(|&(name, value)| (name, value.as_bytes()));
    Head::from_parts(parts, fields, &HeadLimits::default())
}

fn reason(parts: Parts<'_>, fields: &[(&str, &str)]) -> Option<Reason> {
    head(parts, fields).err().map(|rejection| rejection.reason)
}

#[test]
fn a_request_of_http_2_has_a_head() {
    let head = head(ASKED, &[("origin", "https://gate.example"), ("x-one", " 1 ")]).unwrap();
    assert_eq!((head.method(), head.path(), head.query()), ("GET", "/sse", "mode=main"));
    assert_eq!((head.host(), head.version(), head.len()), (Some("gate.example"), Version::Http2, 0));
    assert_eq!(head.field("X-One"), Some(&b"1"[..]));
    assert!(!head.is_upgrade());
}

#[test]
fn its_claims_are_those_of_a_handshake() {
    let policy = policy();
    let authorization = format!("Bearer {TOKEN}");
    let element = format!("jwt.{}", wrapped(TOKEN));
    let decide = |fields: &[(&str, &str)], mode: &str, protocols: &[&str]| {
        let head = head(ASKED, fields).unwrap();
        let caller = Caller::check(&head, &policy)?;
        let offer = Preflight::of(caller, mode, protocols, &policy)?.credentials(&policy)?;
        assert_eq!(offer.token(), TOKEN);
        offer.select(&policy).map(|name| name.map(|name| name.to_string()))
    };
    let reason = |fields: &[(&str, &str)], mode: &str, protocols: &[&str]| {
        decide(fields, mode, protocols).map_err(|rejection| rejection.reason)
    };
    assert_eq!(reason(&[("authorization", &authorization)], "main", &[]), Ok(None));
    assert_eq!(reason(&[], "main", &["jwt-auth", &element]), Ok(Some("jwt-auth".to_owned())));
    assert_eq!(reason(&[], "main", &[]), Err(Reason::NoToken));
    // Its own subprotocols are another protocol's, and no claim.
    assert_eq!(reason(&[("sec-websocket-protocol", &element)], "main", &[]), Err(Reason::NoToken));
    assert_eq!(
        reason(&[("authorization", &authorization), ("authorization", &authorization)], "main", &[]),
        Err(Reason::AmbiguousCredentials)
    );
    let foreign = ("origin", "https://evil.example");
    assert_eq!(reason(&[foreign], "nonsense", &["jwt."]), Err(Reason::OriginNotAllowed));
    assert_eq!(reason(&[], "nonsense", &["jwt."]), Err(Reason::UnknownMode));
}

#[rstest]
#[case::connection(&[("connection", "close")])]
#[case::coding(&[("transfer-encoding", "chunked")])]
#[case::upgrade(&[("upgrade", "h2c")])]
#[case::another_host(&[("host", "other.example")])]
#[case::two_hosts(&[("host", "gate.example"), ("host", "gate.example")])]
#[case::line_end(&[("x", "a\r\nb: c")])]
#[case::nul(&[("x", "a\0b")])]
#[case::no_name(&[("", "x")])]
#[case::a_name_with_a_space(&[("x ", "x")])]
#[case::lengths(&[("content-length", "1"), ("content-length", "2")])]
fn what_http_2_has_no_place_for_is_refused(#[case] fields: &[(&str, &str)]) {
    assert_eq!(reason(ASKED, fields), Some(Reason::BadRequest));
}

#[test]
fn parts_are_bounded_and_sound() {
    assert_eq!(reason(ASKED, &[("host", "GATE.example")]), None);
    assert_eq!(
        reason(Parts { authority: None, ..ASKED }, &[]),
        None,
        "as HTTP/1.0, whose requests come on so"
    );
    assert_eq!(
        reason(Parts { authority: None, version: Version::Http11, ..ASKED }, &[]),
        Some(Reason::BadRequest)
    );
    assert_eq!(reason(Parts { authority: Some("u@gate.example"), ..ASKED }, &[]), Some(Reason::BadRequest));
    assert_eq!(reason(Parts { target: "sse", ..ASKED }, &[]), Some(Reason::BadUpgrade));
    assert_eq!(reason(Parts { method: "CONNECT", ..ASKED }, &[]), Some(Reason::MethodNotAllowed));
    let long = "x".repeat(HeadLimits::default().bytes);
    let target = format!("/{}", &long[..HeadLimits::default().target]);
    assert_eq!(reason(Parts { target: &target, ..ASKED }, &[]), Some(Reason::RequestTooLarge));
    assert_eq!(reason(ASKED, &[("x", &long)]), Some(Reason::RequestTooLarge));
    let many = [("x", "y"); 65];
    assert_eq!(reason(ASKED, &many), Some(Reason::RequestTooLarge));
    assert_eq!(reason(ASKED, &many[..64]), None);
}

#[test]
fn a_websocket_over_http_2_is_not_served() {
    let fields = [("sec-websocket-version", "13"), ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")];
    let head = head(Parts { target: "/ws", ..ASKED }, &fields).unwrap();
    assert_eq!(Upgrade::check(&head, &policy()).unwrap_err().reason, Reason::BadUpgrade);
}
