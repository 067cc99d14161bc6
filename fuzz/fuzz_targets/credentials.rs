//! Any field lines behind a good handshake: extraction never panics, takes only what was sent, and no byte of the
//! answer comes from a token. The first byte chooses the policy; the rest are field lines, one a line.
#![no_main]

use std::borrow::Cow;

use libfuzzer_sys::fuzz_target;
use portcullis_handshake::{
    CredentialForm, Head, HeadLimits, Policy, Preflight, PreflightRequest, Rejection, Upgrade,
};

const GOOD: &[u8] =
    b"GET /ws HTTP/1.1\r\nHost: gate.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

fuzz_target!(|input: &[u8]| {
    let Some((&choice, lines)) = input.split_first() else { return };
    let policy = policy(choice);
    let mut bytes = GOOD.to_vec();
    for line in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        bytes.extend_from_slice(line);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    let Ok(head) = Head::parse(&bytes, &HeadLimits::default()) else { return };
    let mut out = Vec::new();
    let decided =
        Upgrade::check(&head, &policy).and_then(|upgrade| upgrade.credentials(&policy)).and_then(|offer| {
            let token = offer.token();
            let form = offer.form();
            assert!(!token.is_empty() && token.len() <= policy.max_token_bytes());
            assert!(form != CredentialForm::TwoElement || policy.accepts_two_element_form());
            let negotiated = offer.accept((), &policy, &mut out)?;
            // Selected means offered, and spoken here.
            if let Some(name) = negotiated.subprotocol() {
                assert!(elements(&head).any(|element| element == name.as_bytes()));
                assert!(policy.subprotocols().any(|known| known == name) || name == "jwt");
            }
            Ok(form)
        });
    assert_eq!(decided.is_ok(), out.starts_with(b"HTTP/1.1 101 "));
    agrees_with_preflight(&head, &policy, decided.as_ref().ok().copied());
    match &decided {
        Ok(_) => check_answer(&out, &policy),
        Err(rejection) => {
            assert!(out.is_empty());
            assert!(rejection.reason.status().is_some_and(|status| (400..500).contains(&status)));
            check_words(rejection, &policy);
        }
    }
    let mut closing = Vec::new();
    if Upgrade::accept_to_close(&head, &policy, &mut closing).is_ok() {
        check_answer(&closing, &policy);
    }
});

/// The same offer told to the preflight earns the same decision.
fn agrees_with_preflight(head: &Head<'_>, policy: &Policy<u8>, form: Option<CredentialForm>) {
    let lines = |name: &str| {
        let found = head.fields().iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        found.map(|field| str::from_utf8(field.value)).collect::<Result<Vec<_>, _>>()
    };
    let (Ok(protocols), Ok(authorization), Ok(origin)) =
        (lines("sec-websocket-protocol"), lines("authorization"), lines("origin"))
    else {
        return;
    };
    let framed = |name: &str| {
        ["content-length", "transfer-encoding"].iter().any(|known| name.eq_ignore_ascii_case(known))
    };
    let mandatory = |name: &str| name.to_ascii_lowercase().starts_with("sec-websocket-");
    let odd = head.fields()[5..].iter().any(|field| {
        framed(field.name)
            || mandatory(field.name) && !field.name.eq_ignore_ascii_case("sec-websocket-protocol")
    });
    // What the preflight cannot tell: repeated fields, and faults of steps 4 and 5.
    if authorization.len() > 1 || origin.len() > 1 || odd {
        return;
    }
    let request = PreflightRequest {
        mode: "main",
        protocols: &protocols,
        authorization: authorization.first().copied(),
        origin: origin.first().copied(),
        host: head.host(),
    };
    let told = Preflight::check(&request, policy)
        .and_then(|preflight| preflight.credentials(policy))
        .and_then(|offer| {
            offer.select(policy)?;
            Ok(offer.form())
        });
    assert_eq!(told.ok(), form, "the preflight decided differently");
}

fn elements<'b>(head: &'b Head<'b>) -> impl Iterator<Item = &'b [u8]> {
    head.fields()
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case("sec-websocket-protocol"))
        .flat_map(|field| field.value.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
}

/// A 101 is one of a handful of texts, none of which can hold a byte of the request.
///
/// Searching the answer for the token would not do: the fuzzer soon offers the answer's own words as a token.
fn check_answer(out: &[u8], policy: &Policy<u8>) {
    let start = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    let rest = out.strip_prefix(start.as_bytes()).expect("the fixed part of the answer");
    let named = |name: &str| rest == format!("Sec-WebSocket-Protocol: {name}\r\n\r\n").as_bytes();
    assert!(
        rest == b"\r\n" || policy.subprotocols().any(named) || named("jwt"),
        "an answer with foreign bytes"
    );
}

/// A refusal is made of fixed words and of the policy's names alone.
fn check_words(rejection: &Rejection, policy: &Policy<u8>) {
    assert!(matches!(rejection.detail, Cow::Borrowed(_)), "a detail made at run time");
    if let Some(Cow::Owned(hint)) = &rejection.hint {
        let names = policy.subprotocols().collect::<Vec<_>>().join("`, `");
        assert_eq!(*hint, format!("Offer one of `{names}` beside the token."));
    }
}

fn policy(choice: u8) -> Policy<u8> {
    let mut builder = Policy::builder()
        .route("/ws", 1)
        .mode("main", 1)
        .accept_two_element_form(choice & 1 != 0)
        .max_token_bytes(if choice & 2 != 0 { 64 } else { 8192 });
    if choice & 4 != 0 {
        builder = builder.credential_prefix("base64url.bearer.phx.").credential_name("phoenix");
    }
    builder.build().expect("a good policy")
}
