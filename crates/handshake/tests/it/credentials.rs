//! Step 7: where a token may stand, and each way of getting it wrong.

use portcullis_handshake::{CredentialForm, Head, HeadLimits, Reason, Upgrade};
use rstest::rstest;

use crate::support::{Mode, TOKEN, builder, policy, refused, run, with_line, with_lines, wrapped};

fn protocols(list: &str) -> Vec<u8> {
    with_lines(&[&format!("Sec-WebSocket-Protocol: {list}")])
}

fn fill(text: &str) -> String {
    text.replace("WRAPPED", &wrapped(TOKEN)).replace("TOKEN", TOKEN)
}

#[rstest]
#[case::bearer(&["Authorization: Bearer TOKEN"], CredentialForm::Authorization)]
#[case::scheme_in_lower_case(&["authorization: bearer TOKEN"], CredentialForm::Authorization)]
#[case::scheme_in_upper_case(&["Authorization: BEARER   TOKEN  "], CredentialForm::Authorization)]
#[case::beside_another_scheme(&["Authorization: Basic eDp5", "Authorization: Bearer TOKEN"], CredentialForm::Authorization)]
#[case::jwt_wrapped(&["Sec-WebSocket-Protocol: jwt-auth, jwt.WRAPPED"], CredentialForm::Wrapped)]
#[case::jwt_bare(&["Sec-WebSocket-Protocol: jwt-auth, jwt.TOKEN"], CredentialForm::Bare)]
#[case::jwt_auth_wrapped(&["Sec-WebSocket-Protocol: jwt-auth, jwt-auth.WRAPPED"], CredentialForm::Wrapped)]
#[case::bearer_bare(&["Sec-WebSocket-Protocol: bearer, bearer.TOKEN"], CredentialForm::Bare)]
#[case::kubernetes(&["Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.WRAPPED, bearer"], CredentialForm::Wrapped)]
#[case::token_first(&["Sec-WebSocket-Protocol: jwt.WRAPPED,jwt-auth"], CredentialForm::Wrapped)]
#[case::token_only(&["Sec-WebSocket-Protocol: jwt.WRAPPED"], CredentialForm::Wrapped)]
#[case::over_two_lines(&["Sec-WebSocket-Protocol: jwt-auth", "sec-websocket-protocol: jwt.WRAPPED"], CredentialForm::Wrapped)]
#[case::empty_elements(&["Sec-WebSocket-Protocol: ,, jwt-auth,\t,jwt.WRAPPED ,"], CredentialForm::Wrapped)]
#[case::same_in_both_places(&["Authorization: Bearer TOKEN", "Sec-WebSocket-Protocol: jwt-auth, jwt.WRAPPED"], CredentialForm::Wrapped)]
#[case::basic_is_no_credential(&["Authorization: Basic eDp5", "Sec-WebSocket-Protocol: jwt-auth, jwt.TOKEN"], CredentialForm::Bare)]
fn a_token_is_found(#[case] lines: &[&str], #[case] form: CredentialForm) {
    let lines: Vec<String> = lines.iter().map(|line| fill(line)).collect();
    let head = with_lines(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let policy = policy();
    let head = Head::parse(&head, &HeadLimits::default()).unwrap();
    let offer = Upgrade::check(&head, &policy).unwrap().credentials(&policy).unwrap();
    assert_eq!((offer.token(), offer.form(), offer.route()), (TOKEN, form, Mode::Main));
    assert!(!format!("{offer:?}").contains(&TOKEN[..12]));
}

#[rstest]
#[case::empty("jwt.", Reason::TokenMalformed)]
#[case::empty_bearer("jwt-auth, bearer.", Reason::TokenMalformed)]
#[case::empty_kubernetes("base64url.bearer.authorization.k8s.io.", Reason::TokenMalformed)]
#[case::too_short("jwt.abc", Reason::TokenMalformed)]
#[case::not_a_jwt("jwt.invalid_token_format", Reason::TokenMalformed)]
#[case::several("jwt.token1, jwt.token2, jwt.token3", Reason::AmbiguousCredentials)]
#[case::several_equal("jwt.WRAPPED, jwt.WRAPPED", Reason::AmbiguousCredentials)]
#[case::same_in_two_forms("jwt.WRAPPED, bearer.TOKEN", Reason::AmbiguousCredentials)]
#[case::outside_base64url("jwt.abc$def", Reason::TokenMalformed)]
#[case::standard_alphabet("jwt.ab+/ab+/", Reason::TokenMalformed)]
#[case::padded("jwt.eA==", Reason::TokenMalformed)]
#[case::padded_bare("jwt.a.b.c=", Reason::TokenMalformed)]
#[case::stray_bits("jwt.eB", Reason::TokenMalformed)]
#[case::impossible_length("jwt.eHh4e", Reason::TokenMalformed)]
#[case::not_utf8("jwt.gICA", Reason::TokenMalformed)]
#[case::control_characters_within("jwt.AAAA", Reason::TokenMalformed)]
#[case::space_within_wrapped("jwt.eCB4", Reason::TokenMalformed)]
#[case::quote_in_bare("jwt.a.b\".c", Reason::TokenMalformed)]
#[case::other_protocol("other-protocol", Reason::NoToken)]
#[case::plain_name_only("jwt-auth", Reason::NoToken)]
#[case::first_of_two_only("jwt", Reason::NoToken)]
#[case::two_elements("jwt, TOKEN", Reason::ProtocolMismatch)]
#[case::two_elements_wrapped("jwt, WRAPPED", Reason::ProtocolMismatch)]
#[case::two_elements_opaque("jwt, abcdef", Reason::ProtocolMismatch)]
#[case::two_elements_jwt_auth("jwt-auth, TOKEN", Reason::ProtocolMismatch)]
#[case::two_elements_bearer("bearer, TOKEN", Reason::ProtocolMismatch)]
#[case::naked_token("TOKEN", Reason::ProtocolMismatch)]
#[case::naked_token_beside_name("portcullis.v1, TOKEN", Reason::ProtocolMismatch)]
#[case::prefix_in_other_case("jwt-auth, JWT.WRAPPED", Reason::ProtocolMismatch)]
#[case::unknown_prefix("jwt-auth, mine.WRAPPED", Reason::ProtocolMismatch)]
#[case::two_elements_and_prefix("jwt, TOKEN, jwt.TOKEN", Reason::AmbiguousCredentials)]
#[case::element_with_space("jwt auth", Reason::BadUpgrade)]
#[case::element_with_quotes("\"jwt-auth\"", Reason::BadUpgrade)]
#[case::element_not_ascii("caf\u{e9}", Reason::BadUpgrade)]
fn a_bad_subprotocol_list_is_named(#[case] list: &str, #[case] reason: Reason) {
    let rejection = refused(&protocols(&fill(list)), &policy());
    assert_eq!(rejection.reason, reason, "{}", rejection.detail);
    assert!(!rejection.detail.is_empty());
    for secret in [&TOKEN[..12], &wrapped(TOKEN)[..12], "invalid_token", "token1", "abcdef"] {
        assert!(!format!("{rejection:?}").contains(secret), "{rejection:?}");
    }
}

#[rstest]
#[case::without_token(&["Authorization: Bearer"], Reason::TokenMalformed)]
#[case::without_token_but_space(&["Authorization: Bearer  "], Reason::TokenMalformed)]
#[case::space_inside(&["Authorization: Bearer a b"], Reason::TokenMalformed)]
#[case::list(&["Authorization: Bearer a, Bearer b"], Reason::TokenMalformed)]
#[case::quoted(&["Authorization: Bearer \"a.b.c\""], Reason::TokenMalformed)]
#[case::not_ascii(&["Authorization: Bearer \u{e9}"], Reason::TokenMalformed)]
#[case::padding_alone(&["Authorization: Bearer =="], Reason::TokenMalformed)]
#[case::twice(&["Authorization: Bearer TOKEN", "Authorization: Bearer TOKEN"], Reason::AmbiguousCredentials)]
#[case::header_and_other_subprotocol(&["Authorization: Bearer a.b.c", "Sec-WebSocket-Protocol: jwt-auth, jwt.TOKEN"], Reason::AmbiguousCredentials)]
#[case::empty_element_beside_header(&["Authorization: Bearer TOKEN", "Sec-WebSocket-Protocol: jwt."], Reason::TokenMalformed)]
#[case::basic(&["Authorization: Basic eDp5"], Reason::NoToken)]
#[case::no_scheme(&["Authorization: TOKEN"], Reason::NoToken)]
#[case::colon(&["Authorization: Bearer:TOKEN"], Reason::NoToken)]
#[case::empty_field(&["Authorization:"], Reason::NoToken)]
#[case::cookie(&["Cookie: token=TOKEN"], Reason::NoToken)]
#[case::nothing(&[], Reason::NoToken)]
fn a_bad_header_is_named(#[case] lines: &[&str], #[case] reason: Reason) {
    let lines: Vec<String> = lines.iter().map(|line| fill(line)).collect();
    let rejection = refused(&with_lines(&lines.iter().map(String::as_str).collect::<Vec<_>>()), &policy());
    assert_eq!(rejection.reason, reason, "{}", rejection.detail);
    assert!(!format!("{rejection:?}").contains(&TOKEN[..12]));
}

#[test]
fn the_limit_counts_the_token_and_not_its_wrapping() {
    let policy = builder().max_token_bytes(TOKEN.len()).build().unwrap();
    let tight = builder().max_token_bytes(TOKEN.len() - 1).build().unwrap();
    for head in [
        protocols(&fill("jwt-auth, jwt.WRAPPED")),
        protocols(&fill("jwt-auth, jwt.TOKEN")),
        with_lines(&[&fill("Authorization: Bearer TOKEN")]),
    ] {
        assert!(run(&head, &policy).0.is_ok());
        assert_eq!(refused(&head, &tight).reason, Reason::TokenTooLarge);
    }
    assert_eq!(
        refused(&protocols(&format!("jwt.{}", "a".repeat(12_000))), &tight).reason,
        Reason::TokenTooLarge
    );
    let long = refused(&protocols(&format!("jwt.{}", "a".repeat(10_000))), &crate::support::policy());
    assert_eq!(long.reason, Reason::TokenMalformed, "7,500 bytes are within the limit, and not UTF-8");
}

#[test]
fn an_absent_token_is_explained_case_by_case() {
    let hint = |head: Vec<u8>| refused(&head, &policy()).hint.unwrap().into_owned();
    let hints = [
        hint(with_lines(&[])),
        hint(protocols("other-protocol")),
        hint(with_lines(&["Authorization: Basic eDp5"])),
        hint(with_line("GET", "GET /ws?access_token=secret HTTP/1.1")),
    ];
    for (index, hint) in hints.iter().enumerate() {
        assert!(!hints[..index].contains(hint), "{hint}");
        assert!(!hint.contains("secret"));
    }
}

#[test]
fn more_prefixes_by_configuration() {
    let policy = builder()
        .credential_prefix("base64url.bearer.phx.")
        .credential_prefix("anycable-token.")
        .credential_name("phoenix")
        .credential_name("actioncable-v1-json")
        .build()
        .unwrap();
    for (list, selected) in [
        ("phoenix, base64url.bearer.phx.WRAPPED", "phoenix"),
        ("actioncable-v1-json, anycable-token.TOKEN", "actioncable-v1-json"),
    ] {
        let (decided, _) = run(&protocols(&fill(list)), &policy);
        let negotiated = decided.unwrap();
        assert_eq!((negotiated.identity().as_str(), negotiated.subprotocol()), (TOKEN, Some(selected)));
    }
}

#[test]
fn the_two_element_form_is_taken_where_switched_on() {
    let policy = builder().accept_two_element_form(true).build().unwrap();
    for (list, token, selected) in [
        ("jwt, TOKEN", TOKEN, "jwt"),
        ("jwt, WRAPPED", TOKEN, "jwt"),
        ("jwt-auth, TOKEN", TOKEN, "jwt-auth"),
        ("bearer, TOKEN", TOKEN, "bearer"),
        ("jwt, TOKEN, portcullis.v1", TOKEN, "portcullis.v1"),
    ] {
        let negotiated = run(&protocols(&fill(list)), &policy).0.unwrap();
        assert_eq!(
            (negotiated.identity().as_str(), negotiated.subprotocol()),
            (token, Some(selected)),
            "{list}"
        );
        assert_eq!(negotiated.into_parts().form, CredentialForm::TwoElement);
    }
    for (list, reason) in [
        ("jwt", Reason::NoToken),
        ("TOKEN", Reason::ProtocolMismatch),
        ("portcullis.v1, TOKEN", Reason::ProtocolMismatch),
        ("jwt, TOKEN, TOKEN", Reason::AmbiguousCredentials),
        ("jwt, a=b", Reason::BadUpgrade),
        ("jwt, mine.WRAPPED", Reason::ProtocolMismatch),
    ] {
        assert_eq!(refused(&protocols(&fill(list)), &policy).reason, reason, "{list}");
    }
}

#[test]
fn an_endless_list_of_names_is_not_read_to_its_end() {
    assert_eq!(refused(&protocols(&"a,".repeat(128)), &policy()).reason, Reason::NoToken);
    assert_eq!(refused(&protocols(&"a,".repeat(129)), &policy()).reason, Reason::RequestTooLarge);
}

#[test]
fn a_bare_token_is_lent_from_the_callers_buffer() {
    for line in ["Authorization: Bearer TOKEN", "Sec-WebSocket-Protocol: jwt-auth, jwt.TOKEN"] {
        let bytes = with_lines(&[&fill(line)]);
        let policy = policy();
        let head = Head::parse(&bytes, &HeadLimits::default()).unwrap();
        let offer = Upgrade::check(&head, &policy).unwrap().credentials(&policy).unwrap();
        assert!(bytes.as_ptr_range().contains(&offer.token().as_ptr()), "{line}");
    }
}
