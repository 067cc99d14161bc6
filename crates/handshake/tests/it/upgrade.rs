//! RFC 6455 §4.2.1, the routes and the origin rule.

use portcullis_handshake::{Head, HeadLimits, Policy, Reason, SameOrigin, Upgrade};
use rstest::rstest;

use crate::support::{GOOD, Mode, builder, bytes, checked, policy, with_line, with_lines};

#[rstest]
#[case::as_browsers_send_it(bytes(&GOOD))]
#[case::mixed_case(with_line("Upgrade", "uPGRADE: WebSocket"))]
#[case::among_other_protocols(with_line("Upgrade", "Upgrade: h2c, websocket"))]
#[case::among_other_options(with_line("Connection", "Connection: keep-alive,\tUpgrade"))]
#[case::over_two_lines(with_lines(&["Connection: keep-alive"]))]
#[case::over_two_lines_reversed(with_line("Connection", "Connection: keep-alive\r\nConnection: UPGRADE"))]
#[case::absolute_form(with_line("GET", "GET http://gate.example/ws HTTP/1.1"))]
#[case::absolute_form_wss(with_line("GET", "GET WSS://other.example:8443/ws HTTP/1.1"))]
#[case::slash_and_plus_in_key(with_line("Sec-WebSocket-Key", "Sec-WebSocket-Key: ////++++////++++////+w=="))]
#[case::length_zero(with_lines(&["Content-Length: 0"]))]
fn a_sound_handshake_passes(#[case] head: Vec<u8>) {
    assert_eq!(checked(&head), Ok(Mode::Main));
}

#[rstest]
#[case::post("GET", "POST /ws HTTP/1.1", Reason::MethodNotAllowed)]
#[case::head("GET", "HEAD /ws HTTP/1.1", Reason::MethodNotAllowed)]
#[case::method_in_lower_case("GET", "get /ws HTTP/1.1", Reason::MethodNotAllowed)]
#[case::connect("GET", "CONNECT gate.example:443 HTTP/1.1", Reason::MethodNotAllowed)]
#[case::http_1_0("GET", "GET /ws HTTP/1.0", Reason::BadUpgrade)]
#[case::no_upgrade("Upgrade", "", Reason::BadUpgrade)]
#[case::other_upgrade("Upgrade", "Upgrade: h2c", Reason::BadUpgrade)]
#[case::upgrade_substring("Upgrade", "Upgrade: websockets", Reason::BadUpgrade)]
#[case::upgrade_with_version("Upgrade", "Upgrade: websocket/13", Reason::BadUpgrade)]
#[case::no_connection("Connection", "", Reason::BadUpgrade)]
#[case::connection_close("Connection", "Connection: close", Reason::BadUpgrade)]
#[case::connection_substring("Connection", "Connection: upgraded, not-upgrade", Reason::BadUpgrade)]
#[case::connection_not_split("Connection", "Connection: keep-alive Upgrade", Reason::BadUpgrade)]
#[case::no_key("Sec-WebSocket-Key", "", Reason::BadUpgrade)]
#[case::empty_key("Sec-WebSocket-Key", "Sec-WebSocket-Key:", Reason::BadUpgrade)]
#[case::key_of_15_bytes("Sec-WebSocket-Key", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA", Reason::BadUpgrade)]
#[case::key_of_17_bytes(
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA=",
    Reason::BadUpgrade
)]
#[case::key_without_padding(
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA",
    Reason::BadUpgrade
)]
#[case::key_with_stray_bits(
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAB==",
    Reason::BadUpgrade
)]
#[case::key_in_base64url(
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Key: AAAAAAAAAA-_AAAAAAAAAA==",
    Reason::BadUpgrade
)]
#[case::no_version("Sec-WebSocket-Version", "", Reason::BadUpgrade)]
#[case::version_8("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8", Reason::UnsupportedVersion)]
#[case::version_14("Sec-WebSocket-Version", "Sec-WebSocket-Version: 14", Reason::UnsupportedVersion)]
#[case::version_013("Sec-WebSocket-Version", "Sec-WebSocket-Version: 013", Reason::UnsupportedVersion)]
#[case::version_list("Sec-WebSocket-Version", "Sec-WebSocket-Version: 13, 8", Reason::UnsupportedVersion)]
#[case::version_empty("Sec-WebSocket-Version", "Sec-WebSocket-Version:", Reason::UnsupportedVersion)]
fn a_broken_handshake_is_named(#[case] field: &str, #[case] line: &str, #[case] reason: Reason) {
    assert_eq!(checked(&with_line(field, line)), Err(reason));
}

#[rstest]
#[case::key_twice("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")]
#[case::two_keys("sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==")]
#[case::version_twice("Sec-WebSocket-Version: 13")]
#[case::body("Content-Length: 5")]
#[case::length_00("Content-Length: 00")]
#[case::length_zero_twice("Content-Length: 0\r\nContent-Length: 0")]
#[case::chunked("Transfer-Encoding: chunked")]
#[case::unknown_coding("Transfer-Encoding: xchunked")]
fn what_a_handshake_may_not_have(#[case] line: &str) {
    assert_eq!(checked(&with_lines(&[line])), Err(Reason::BadUpgrade));
}

#[rstest]
#[case("/ws", Ok(Mode::Main))]
#[case("/ws/main", Ok(Mode::Main))]
#[case("/api/v1/websocket", Ok(Mode::Main))]
#[case("/ws/factory", Ok(Mode::Factory))]
#[case("/ws/isolated?x=1&y", Ok(Mode::Isolated))]
#[case("/ws/legacy", Ok(Mode::Legacy))]
#[case("/?mode=main", Ok(Mode::Main))]
#[case("/ws?mode=main", Ok(Mode::Main))]
#[case("/ws?a=b&mode=factory", Ok(Mode::Factory))]
#[case("/ws/factory?mode=factory", Ok(Mode::Factory))]
#[case("http://gate.example?mode=isolated", Ok(Mode::Isolated))]
#[case("/", Err(Reason::UnknownMode))]
#[case("/ws?mode=nonsense", Err(Reason::UnknownMode))]
#[case("/ws?mode=", Err(Reason::UnknownMode))]
#[case("/ws?mode=Main", Err(Reason::UnknownMode))]
#[case("/ws?mode=main&mode=factory", Err(Reason::UnknownMode))]
#[case("/ws/factory?mode=isolated", Err(Reason::UnknownMode))]
#[case("/elsewhere?mode=main", Err(Reason::UnknownMode))]
#[case("/ws/", Err(Reason::UnknownMode))]
#[case("/WS", Err(Reason::UnknownMode))]
#[case("/%77s", Err(Reason::UnknownMode))]
#[case("/ws/factory/x", Err(Reason::UnknownMode))]
#[case("//ws", Err(Reason::BadUpgrade))]
#[case("/ws//factory", Err(Reason::BadUpgrade))]
#[case("/ws%2Ffactory", Err(Reason::BadUpgrade))]
#[case("/ws/%2e%2e/ws", Err(Reason::BadUpgrade))]
#[case("/ws/../ws", Err(Reason::BadUpgrade))]
#[case("/ws/./factory", Err(Reason::BadUpgrade))]
#[case("/ws;x", Err(Reason::BadUpgrade))]
fn a_target_leads_to_one_mode(#[case] target: &str, #[case] expected: Result<Mode, Reason>) {
    assert_eq!(checked(&with_line("GET", &format!("GET {target} HTTP/1.1"))), expected);
}

#[rstest]
#[case::none(&[], true)]
#[case::own(&["Origin: https://gate.example"], true)]
#[case::listed(&["Origin: https://app.example"], true)]
#[case::foreign(&["Origin: https://evil.example"], false)]
#[case::look_alike(&["Origin: https://gate.example.evil.example"], false)]
#[case::null(&["Origin: null"], false)]
#[case::empty(&["Origin:"], false)]
#[case::two(&["Origin: https://gate.example", "Origin: https://gate.example"], false)]
#[case::non_ascii(&["Origin: https://g\u{e4}te.example"], false)]
fn pages_of_foreign_origins_may_not_connect(#[case] lines: &[&str], #[case] passes: bool) {
    let expected = if passes { Ok(Mode::Main) } else { Err(Reason::OriginNotAllowed) };
    assert_eq!(checked(&with_lines(lines)), expected);
}

#[test]
fn an_absolute_target_stands_for_host() {
    let line = "GET http://other.example/ws HTTP/1.1";
    let mut head = with_line("GET", line);
    head.truncate(head.len() - 2);
    head.extend_from_slice(b"Origin: http://gate.example\r\n\r\n");
    assert_eq!(checked(&head), Err(Reason::OriginNotAllowed));
    assert_eq!(Head::parse(&head, &HeadLimits::default()).unwrap().host(), Some("other.example"));
}

#[test]
fn a_rebound_name_is_not_the_same_origin_on_loopback() {
    let policy = builder().same_origin(SameOrigin::Loopback).build().unwrap();
    let passes = |host: &str| {
        let (host, origin) = (format!("Host: {host}"), format!("Origin: http://{host}"));
        let head = bytes(&[&[GOOD[0], &host, &origin], &GOOD[2..]].concat());
        let head = Head::parse(&head, &HeadLimits::default()).unwrap();
        Upgrade::check(&head, &policy).map_err(|rejection| rejection.reason).is_ok()
    };
    assert!(passes("localhost:8000") && passes("127.0.0.1:8000") && passes("[::1]:8000"));
    assert!(!passes("rebound.evil.example:8000"));
}

#[test]
fn earlier_steps_decide() {
    // Each request breaks the rule of one step and of all steps behind it.
    let all = ["Host: gate.example", "Upgrade: websocket", "Connection: Upgrade", "Origin: null"];
    let head = |first: &'static str, key: &'static str, version: &'static str| {
        checked(&bytes(&[&[first], &all[..], &[key, version]].concat()))
    };
    let key = GOOD[4];
    assert_eq!(head("POST /x HTTP/1.1", "X: y", "X: y"), Err(Reason::MethodNotAllowed));
    assert_eq!(head("GET /x HTTP/1.1", "X: y", "Sec-WebSocket-Version: 8"), Err(Reason::BadUpgrade));
    assert_eq!(head("GET /x HTTP/1.1", key, "Sec-WebSocket-Version: 8"), Err(Reason::UnsupportedVersion));
    assert_eq!(head("GET /x HTTP/1.1", key, GOOD[5]), Err(Reason::UnknownMode));
    assert_eq!(head("GET /ws HTTP/1.1", key, GOOD[5]), Err(Reason::OriginNotAllowed));
}

#[test]
fn a_policy_that_could_never_work_is_refused() {
    assert!(Policy::builder().route("ws", 1).build().is_err());
    assert!(Policy::builder().route("/ws//x", 1).build().is_err());
    assert!(builder().allow_origin("https://app.example/").build().is_err());
    assert!(builder().credential_prefix("a b.").build().is_err());
    assert!(builder().credential_name("jwt.main").build().is_err(), "a name that reads as a token element");
    assert!(builder().protocol_versions(["a,b"]).build().is_err());
    assert!(policy().knows_path("/ws") && !policy().knows_path("/"));
}
