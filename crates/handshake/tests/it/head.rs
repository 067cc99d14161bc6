//! RFC 9112: one strict reading of a request head.

use portcullis_handshake::{Head, HeadLimits, HeadReader, Reason, Version};
use rstest::rstest;

use crate::support::{GOOD, bytes, checked, with_line, with_lines};

#[rstest]
#[case::bare_lf_line_end(b"GET /ws HTTP/1.1\nHost: a\r\n\r\n")]
#[case::bare_lf_only(b"GET /ws HTTP/1.1\nHost: a\n\n")]
#[case::bare_lf_empty_line(b"GET /ws HTTP/1.1\r\nHost: a\r\n\n")]
#[case::bare_cr_in_value(b"GET /ws HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n")]
#[case::bare_cr_before_crlf(b"GET /ws HTTP/1.1\r\nHost: a\r\r\n\r\n")]
#[case::obs_fold_space(b"GET /ws HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n")]
#[case::obs_fold_tab(b"GET /ws HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n")]
#[case::white_space_before_first_field(b"GET /ws HTTP/1.1\r\n Host: a\r\n\r\n")]
#[case::white_space_before_request_line(b" GET /ws HTTP/1.1\r\nHost: a\r\n\r\n")]
#[case::space_before_colon(b"GET /ws HTTP/1.1\r\nHost : a\r\n\r\n")]
#[case::tab_before_colon(b"GET /ws HTTP/1.1\r\nHost\t: a\r\n\r\n")]
#[case::nul_in_value(b"GET /ws HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n")]
#[case::nul_in_target(b"GET /w\0s HTTP/1.1\r\nHost: a\r\n\r\n")]
#[case::control_in_value(b"GET /ws HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n")]
#[case::no_colon(b"GET /ws HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n")]
#[case::empty_field_name(b"GET /ws HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n")]
#[case::non_ascii_field_name(b"GET /ws HTTP/1.1\r\nHost: a\r\nX\xc3\xa9: x\r\n\r\n")]
#[case::two_spaces_in_request_line(b"GET  /ws HTTP/1.1\r\nHost: a\r\n\r\n")]
#[case::no_version(b"GET /ws\r\nHost: a\r\n\r\n")]
#[case::http_2_in_the_line(b"GET /ws HTTP/2.0\r\nHost: a\r\n\r\n")]
#[case::http_1_2(b"GET /ws HTTP/1.2\r\nHost: a\r\n\r\n")]
#[case::http_2_preface(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")]
#[case::tls_client_hello(b"\x16\x03\x01\x02\x00\x01")]
#[case::frame_first(b"\x81\x85\x00\x00\x00\x00hello")]
#[case::two_empty_lines_first(b"\r\n\r\nGET /ws HTTP/1.1\r\nHost: a\r\n\r\n")]
#[case::fragment_in_target(b"GET /ws#x HTTP/1.1\r\nHost: a\r\n\r\n")]
#[case::asterisk(b"GET * HTTP/1.1\r\nHost: a\r\n\r\n")]
#[case::relative_target(b"GET ws HTTP/1.1\r\nHost: a\r\n\r\n")]
fn a_head_with_two_readings_is_refused(#[case] head: &[u8]) {
    assert_eq!(Head::parse(head, &HeadLimits::default()).unwrap_err().reason, Reason::BadUpgrade);
}

#[rstest]
#[case::missing(with_line("Host", ""))]
#[case::empty(with_line("Host", "Host:"))]
#[case::list(with_line("Host", "Host: a, b"))]
#[case::user_information(with_line("Host", "Host: u@gate.example"))]
#[case::bad_port(with_line("Host", "Host: gate.example:port"))]
#[case::path(with_line("Host", "Host: gate.example/ws"))]
#[case::non_ascii(with_line("Host", "Host: g\u{e4}te.example"))]
#[case::twice(with_lines(&["Host: gate.example"]))]
#[case::twice_different(with_lines(&["Host: other.example"]))]
#[case::bad_authority_in_target(with_line("GET", "GET http://u@gate.example/ws HTTP/1.1"))]
#[case::no_authority_in_target(with_line("GET", "GET http:///ws HTTP/1.1"))]
fn host_is_there_once_and_valid(#[case] head: Vec<u8>) {
    assert_eq!(checked(&head), Err(Reason::BadUpgrade));
}

#[rstest]
#[case::length_and_coding(&["Content-Length: 0", "Transfer-Encoding: chunked"])]
#[case::contradictory_lengths(&["Content-Length: 1", "Content-Length: 2"])]
#[case::negative_length(&["Content-Length: -1"])]
#[case::signed_length(&["Content-Length: +1"])]
#[case::empty_length(&["Content-Length:"])]
#[case::length_list(&["Content-Length: 1, 1"])]
fn contradictory_framing_is_refused_for_plain_requests_too(#[case] lines: &[&str]) {
    let plain = bytes(&[&["POST /ws/preflight HTTP/1.1", "Host: gate.example"], lines].concat());
    assert_eq!(Head::parse(&plain, &HeadLimits::default()).unwrap_err().reason, Reason::BadRequest);
    assert_eq!(checked(&with_lines(lines)), Err(Reason::BadUpgrade));
}

#[test]
fn a_refusal_says_precisely_what_was_found() {
    for (head, detail) in [
        (&b"GET /ws HTTP/1.1\r\nHost : a\r\n\r\n"[..], "white space before a field's colon (RFC 9112 §5.1)"),
        (
            b"GET /ws HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
            "a line starts with white space: obs-fold (RFC 9112 §5.2)",
        ),
        (b"GET /ws HTTP/1.1\r\nX: a\0\r\n\r\n", "NUL in the head (RFC 9110 §5.5)"),
        (b"GET /ws HTTP/1.1\n", "a line ends in a bare LF (RFC 9112 §2.2)"),
        (b"PRI * HTTP/2.0\r\n\r\n", "an HTTP/2 connection preface"),
        (b"GET /ws HTTP/1.1\r\n\r\n", "no Host field (RFC 9112 §3.2)"),
    ] {
        assert_eq!(Head::parse(head, &HeadLimits::default()).unwrap_err().detail, detail);
    }
}

#[test]
fn a_plain_request_is_told_from_an_upgrade() {
    let is_upgrade = |lines: &[&str]| {
        let head = bytes(&[&["GET / HTTP/1.1", "Host: a"], lines].concat());
        Head::parse(&head, &HeadLimits::default()).unwrap().is_upgrade()
    };
    assert!(!is_upgrade(&[]));
    assert!(!is_upgrade(&["Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings"]));
    assert!(is_upgrade(&["Upgrade: WebSocket"]));
    assert!(is_upgrade(&["Upgrade: h2c, websocketx"]));
    assert!(is_upgrade(&["sec-websocket-key: x"]));
    assert!(is_upgrade(&["Sec-WebSocket-Version: 8"]));
}

#[test]
fn a_plain_request_may_be_http_1_0_and_without_host() {
    let head = Head::parse(b"OPTIONS * HTTP/1.0\r\n\r\n", &HeadLimits::default()).unwrap();
    assert_eq!((head.method(), head.path(), head.version()), ("OPTIONS", "*", Version::Http10));
    assert_eq!(head.host(), None);
}

#[test]
fn fields_are_found_by_name_in_any_case() {
    let head = with_lines(&["X-Forwarded-For:  10.0.0.1 \t", "X-Two: 1", "x-two: 2", "X-Empty:"]);
    let head = Head::parse(&head, &HeadLimits::default()).unwrap();
    assert_eq!(head.field("x-forwarded-for"), Some(&b"10.0.0.1"[..]));
    assert_eq!(head.field("X-TWO"), None);
    assert_eq!(head.field("x-empty"), Some(&b""[..]));
    assert_eq!(head.fields().len(), GOOD.len() - 1 + 4);
}

#[test]
fn the_end_of_the_head_is_found_and_nothing_behind_it_is_read() {
    let mut head = bytes(&GOOD);
    let len = head.len();
    head.extend_from_slice(b"\x81\x00 \n\n\r\r whatever");
    assert_eq!(HeadReader::new(HeadLimits::default()).advance(&head), Ok(Some(len)));
    assert_eq!(Head::parse(&head, &HeadLimits::default()).unwrap().len(), len);
}

#[test]
fn one_empty_line_before_the_request_line_is_skipped() {
    let mut head = b"\r\n".to_vec();
    head.extend(bytes(&GOOD));
    assert_eq!(HeadReader::new(HeadLimits::default()).advance(&head), Ok(Some(head.len())));
    assert_eq!(Head::parse(&head, &HeadLimits::default()).unwrap().path(), "/ws");
}

#[test]
fn the_limits_hold_to_the_byte() {
    let head = bytes(&GOOD);
    let limits = HeadLimits { bytes: head.len(), fields: GOOD.len() - 1, target: 3 };
    assert!(Head::parse(&head, &limits).is_ok());
    for tight in [
        HeadLimits { bytes: limits.bytes - 1, ..limits },
        HeadLimits { fields: limits.fields - 1, ..limits },
        HeadLimits { target: limits.target - 1, ..limits },
    ] {
        assert_eq!(Head::parse(&head, &tight).unwrap_err().reason, Reason::RequestTooLarge, "{tight:?}");
    }
}

#[test]
fn an_endless_head_ends_at_the_limit() {
    for filler in ["x", "X: y\r\n"] {
        let mut reader = HeadReader::new(HeadLimits::default());
        let mut buf = b"GET / HTTP/1.1\r\n".to_vec();
        let rejection = loop {
            match reader.advance(&buf) {
                Ok(end) => assert_eq!(end, None),
                Err(rejection) => break rejection,
            }
            buf.extend_from_slice(filler.as_bytes());
        };
        assert_eq!(rejection.reason, Reason::RequestTooLarge);
        assert!(buf.len() <= HeadLimits::default().bytes);
    }
}

#[test]
fn debug_output_shows_no_value() {
    let head = with_lines(&["Authorization: Bearer secret-value", "Cookie: secret-value"]);
    let head =
        [b"GET /ws?token=secret-value HTTP/1.1".as_slice(), &head["GET /ws HTTP/1.1".len()..]].concat();
    let shown = format!("{:?}", Head::parse(&head, &HeadLimits::default()).unwrap());
    assert!(shown.contains("Authorization") && !shown.contains("secret"), "{shown}");
}
