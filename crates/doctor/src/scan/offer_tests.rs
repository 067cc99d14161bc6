use super::credential::credentials;
use super::element::{Element, Expression};
use super::offer::{Offer, Source, code, headers, lists, tokens};

const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";

fn all(text: &str) -> Vec<Offer> {
    let lower = text.to_ascii_lowercase();
    let mut offers = headers(text, &lower);
    offers.extend(code(text, &lower));
    let lists = lists(text, &credentials(text), &offers);
    offers.extend(lists);
    offers
}

fn shape(element: &Element) -> String {
    let text = element.literal.as_str().replace(JWT, "JWT");
    match element.expression {
        None => text,
        Some(Expression::Plain) => format!("{text}+expr"),
        Some(Expression::Base64) => format!("{text}+base64"),
        Some(Expression::Base64Url) => format!("{text}+base64url"),
    }
}

#[test]
fn reads_offers_in_every_dress() {
    use Source::{Code, List, RequestHeader, ResponseHeader};
    let cases: &[(String, Source, &[&str], &[&str])] = &[
        (format!("Sec-WebSocket-Protocol: jwt, {JWT}"), RequestHeader, &["jwt", "JWT"], &[]),
        (format!("wscat -H \"sec-websocket-protocol: jwt.{JWT}\" x"), RequestHeader, &["jwt.JWT"], &[]),
        (format!("curl -H 'Authorization: Bearer {JWT}' http://h"), RequestHeader, &[], &["Bearer JWT"]),
        ("Authorization: Bearer".into(), RequestHeader, &[], &["Bearer"]),
        ("Authorization: Bearer <token>".into(), RequestHeader, &[], &["Bearer +expr"]),
        (
            format!("Sec-WebSocket-Protocol:\njwt-auth, jwt.{JWT}\nUpgrade:\nwebsocket"),
            RequestHeader,
            &["jwt-auth", "jwt.JWT"],
            &[],
        ),
        (
            format!("{{\"name\":\"Sec-WebSocket-Protocol\",\"value\":\"jwt, {JWT}\"}}"),
            RequestHeader,
            &["jwt", "JWT"],
            &[],
        ),
        (
            format!("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Protocol: jwt.{JWT}\r\n"),
            ResponseHeader,
            &["jwt.JWT"],
            &[],
        ),
        (format!("< sec-websocket-protocol: jwt.{JWT}"), ResponseHeader, &["jwt.JWT"], &[]),
        ("headers={'Authorization': f'Bearer {token}'}".into(), RequestHeader, &[], &["Bearer +expr"]),
        ("{Authorization: 'Bearer ' + token}".into(), RequestHeader, &[], &["Bearer+expr"]),
        (format!("['jwt', '{JWT}']"), Code, &["jwt", "JWT"], &[]),
        ("new WebSocket(url, ['jwt', token])".into(), Code, &["jwt", "+expr"], &[]),
        ("new WebSocket(url, ['jwt-auth', `jwt.${token}`])".into(), Code, &["jwt-auth", "jwt.+expr"], &[]),
        (
            "new WebSocket(url, ['jwt-auth', 'jwt.' + btoa(token)])".into(),
            Code,
            &["jwt-auth", "jwt.+base64"],
            &[],
        ),
        (
            "new WebSocket(url, ['jwt-auth', `jwt.${base64url(token)}`])".into(),
            Code,
            &["jwt-auth", "jwt.+base64url"],
            &[],
        ),
        ("websockets.connect(uri, subprotocols=[\"chat\"])".into(), Code, &["chat"], &[]),
        ("new WebSocket('wss://h/ws')".into(), Code, &[], &[]),
        ("new WebSocket(url, 'jwt.abc')".into(), Code, &["jwt.abc"], &[]),
        ("jwt.token1, jwt.token2, jwt.token3".into(), List, &["jwt.token1", "jwt.token2", "jwt.token3"], &[]),
        (format!("jwt, {JWT}"), List, &["jwt", "JWT"], &[]),
        (format!("jwt-auth, jwt.{JWT}"), List, &["jwt-auth", "jwt.JWT"], &[]),
        (format!("jwt.{JWT}, jwt-auth"), List, &["jwt.JWT", "jwt-auth"], &[]),
        (format!("I sent Bearer {JWT}"), List, &[], &["Bearer JWT"]),
    ];
    for (text, source, elements, authorization) in cases {
        let offers = all(text);
        assert_eq!(offers.len(), 1, "{text}: {offers:?}");
        assert_eq!(offers[0].source, *source, "{text}");
        let (got, auth): (Vec<_>, Vec<_>) = (
            offers[0].elements.iter().map(shape).collect(),
            offers[0].authorization.iter().map(shape).collect(),
        );
        assert_eq!(
            (got, auth),
            (
                elements.iter().map(ToString::to_string).collect(),
                authorization.iter().map(ToString::to_string).collect()
            ),
            "{text}"
        );
    }
}

#[test]
fn mentions_are_no_offers() {
    for text in [
        "Sent non-empty 'Sec-WebSocket-Protocol' header but no response was received",
        "what is authorization? and [1, 2, 3] or [INFO] or arr[0]",
        "No JWT in WebSocket headers or subprotocols",
        JWT,
        "new WebSocket(url, protocols)",
    ] {
        assert_eq!(all(text), vec![], "{text}");
    }
}

#[test]
fn an_opaque_second_element_is_a_token_too() {
    let offer = &all("['jwt', 'opaque-session-secret']")[0];
    assert_eq!(tokens(offer)[0].1.as_str(), "opaque-session-secret");
}

#[test]
fn hostile_nesting_stays_linear() {
    for unit in ["['", "[", "[\"a\",", "new WebSocket(", "sec-websocket-protocol:", "jwt, jwt.", "bearer "] {
        let text = unit.repeat(65_536 / unit.len());
        // Quadratic work on this much text takes minutes; the bound has room for a busy machine.
        #[expect(clippy::disallowed_methods, reason = "how long it really takes")]
        let started = std::time::Instant::now();
        all(&text);
        assert!(started.elapsed().as_secs() < 30, "{unit}");
    }
}
