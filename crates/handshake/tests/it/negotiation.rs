//! Step 10: the selected name and the 101 (RFC 6455 §4.2.2 item 5).

use portcullis_handshake::{Head, HeadLimits, Reason, Upgrade, accept_value};
use rstest::rstest;

use crate::support::{
    ACCEPT, KEY, Mode, TOKEN, builder, policy, refused, run, with_line, with_lines, wrapped,
};

fn offer(list: &str, more: &[&str]) -> Vec<u8> {
    let list = list.replace("WRAPPED", &wrapped(TOKEN)).replace("TOKEN", TOKEN);
    with_lines(&[&[format!("Sec-WebSocket-Protocol: {list}").as_str()], more].concat())
}

#[rstest]
#[case::credential_name("jwt-auth, jwt.WRAPPED", Some("jwt-auth"))]
#[case::other_credential_name("jwt.WRAPPED, bearer", Some("bearer"))]
#[case::version_wins("jwt-auth, portcullis.v1, jwt.WRAPPED", Some("portcullis.v1"))]
#[case::the_clients_order_among_names("bearer, jwt-auth, jwt.WRAPPED", Some("bearer"))]
#[case::unknown_names_are_passed_over("other, jwt-auth, jwt.WRAPPED", Some("jwt-auth"))]
#[case::the_token_alone("jwt.WRAPPED", None)]
fn one_offered_name_is_selected_or_none(#[case] list: &str, #[case] selected: Option<&str>) {
    let (decided, out) = run(&offer(list, &[]), &policy());
    assert_eq!(decided.unwrap().subprotocol(), selected);
    let line = selected.map(|name| format!("\r\nSec-WebSocket-Protocol: {name}")).unwrap_or_default();
    let expected = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}{line}\r\n\r\n"
    );
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[rstest]
#[case::no_name_in_common("other, jwt.WRAPPED", &[])]
#[case::another_case("JWT-AUTH, jwt.WRAPPED", &[])]
#[case::first_of_two_elements_is_not_spoken("jwt, jwt.WRAPPED", &[])]
#[case::names_beside_a_header("graphql-ws", &["Authorization: Bearer TOKEN"])]
#[case::browser_with_its_token_alone("jwt.WRAPPED", &["Origin: https://gate.example"])]
fn nothing_in_common_is_said_before_a_browser_drops_the_connection(
    #[case] list: &str,
    #[case] more: &[&str],
) {
    let rejection = refused(&offer(list, more), &policy());
    assert_eq!(rejection.reason, Reason::NoCommonSubprotocol);
    let hint = rejection.hint.unwrap();
    assert!(hint.contains("jwt-auth") && !hint.contains(&TOKEN[..12]), "{hint}");
}

#[test]
fn without_an_offer_nothing_is_selected() {
    let authorization = format!("Authorization: Bearer {TOKEN}");
    for more in [&[authorization.as_str()][..], &[&authorization, "Origin: https://gate.example"]] {
        let (decided, out) = run(&with_lines(more), &policy());
        let parts = decided.unwrap().into_parts();
        assert_eq!((parts.route, parts.subprotocol), (Mode::Main, None));
        assert_eq!(parts.origin.is_some(), more.len() == 2);
        assert!(!String::from_utf8(out).unwrap().contains("Protocol:"));
    }
}

#[test]
fn our_order_counts_among_versions() {
    let policy = builder().protocol_versions(["portcullis.v2", "portcullis.v1"]).build().unwrap();
    let (decided, _) = run(&offer("portcullis.v1, portcullis.v2, jwt.WRAPPED", &[]), &policy);
    assert_eq!(decided.unwrap().subprotocol(), Some("portcullis.v2"));
}

#[test]
fn no_extension_is_answered() {
    let extension = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x;;=";
    let (decided, out) = run(&offer("jwt-auth, jwt.WRAPPED", &[extension]), &policy());
    assert!(decided.is_ok());
    assert!(!String::from_utf8(out).unwrap().contains("Extensions"));
}

#[test]
fn the_accept_value_is_computed_over_the_key_as_sent() {
    assert_eq!(&accept_value(KEY), ACCEPT.as_bytes());
    // A key with `/` and `+`, computed with `openssl sha1 -binary | base64`.
    assert_eq!(&accept_value("////++++////++++////+w=="), b"4LdO3KipB975f8EL1W5RbjXxfmg=");
}

#[rstest]
#[case::spoken("jwt-auth, jwt.WRAPPED", &[], Some("jwt-auth"))]
#[case::stale_bundle("jwt, TOKEN", &[], Some("jwt"))]
#[case::foreign_page("jwt-auth, jwt.WRAPPED", &["Origin: https://evil.example"], Some("jwt-auth"))]
#[case::names_of_others_may_hide_a_token("abcdef, jwt.WRAPPED", &[], None)]
#[case::the_token_alone("jwt.WRAPPED", &[], None)]
fn a_refused_handshake_can_be_completed_to_be_closed(
    #[case] list: &str,
    #[case] more: &[&str],
    #[case] selected: Option<&str>,
) {
    let head = offer(list, more);
    let head = Head::parse(&head, &HeadLimits::default()).unwrap();
    let mut out = Vec::new();
    Upgrade::accept_to_close(&head, &policy(), &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(out.starts_with("HTTP/1.1 101 ") && out.contains(ACCEPT), "{out}");
    assert_eq!(out.split("Sec-WebSocket-Protocol: ").nth(1).map(str::trim_end), selected);
    assert!(!out.contains(&TOKEN[..12]));
}

#[test]
fn what_is_no_handshake_is_not_completed_to_be_closed() {
    for head in [with_line("Sec-WebSocket-Key", ""), with_line("GET", "GET /nowhere HTTP/1.1")] {
        let head = Head::parse(&head, &HeadLimits::default()).unwrap();
        let mut out = Vec::new();
        assert!(Upgrade::accept_to_close(&head, &policy(), &mut out).is_err());
        assert_eq!(out, b"");
    }
}
