//! A preflight decides as the handshake does.

use portcullis_handshake::{Preflight, PreflightRequest, Reason, Rejection};

use crate::support::{Mode, TOKEN, policy, run, with_line, wrapped};

fn decide(request: &PreflightRequest<'_>) -> Result<(Mode, String, Option<String>), Rejection> {
    let policy = policy();
    let offer = Preflight::check(request, &policy)?.credentials(&policy)?;
    let selected = offer.select(&policy)?;
    assert!(!format!("{offer:?}").contains(&TOKEN[..12]));
    Ok((offer.route(), offer.token().to_owned(), selected.map(|name| name.to_string())))
}

fn request<'b>(mode: &'b str, protocols: &'b [&'b str]) -> PreflightRequest<'b> {
    PreflightRequest { mode, protocols, authorization: None, origin: None, host: Some("gate.example") }
}

#[test]
fn the_same_offer_earns_the_same_decision() {
    let wrapped = format!("jwt.{}", wrapped(TOKEN));
    let two = format!("{wrapped}x");
    for protocols in [
        &["jwt-auth", &wrapped][..],
        &["portcullis.v1", "jwt-auth", &wrapped],
        &[&wrapped],
        &["other", &wrapped],
        &["jwt", TOKEN],
        &["jwt.", "jwt-auth"],
        &[&wrapped, &two],
        &["jwt-auth"],
        &["jwt auth"],
        &[],
    ] {
        for origin in [None, Some("https://gate.example"), Some("https://evil.example")] {
            let told = decide(&PreflightRequest { origin, ..request("factory", protocols) });
            let mut line = "GET /ws/factory HTTP/1.1".to_owned();
            if !protocols.is_empty() {
                line = format!("{line}\r\nSec-WebSocket-Protocol: {}", protocols.join(", "));
            }
            if let Some(origin) = origin {
                line = format!("{line}\r\nOrigin: {origin}");
            }
            let made = run(&with_line("GET", &line), &policy()).0;
            let made = made.map(|made| {
                (made.route(), made.identity().clone(), made.subprotocol().map(ToOwned::to_owned))
            });
            assert_eq!(told, made, "{protocols:?} {origin:?}");
        }
    }
}

#[test]
fn the_header_form_is_understood() {
    let authorization = format!("Bearer {TOKEN}");
    let told = decide(&PreflightRequest { authorization: Some(&authorization), ..request("main", &[]) });
    assert_eq!(told, Ok((Mode::Main, TOKEN.to_owned(), None)));
}

#[test]
fn a_foreign_page_learns_only_that_it_is_foreign() {
    let foreign = PreflightRequest { origin: Some("https://evil.example"), ..request("nonsense", &["jwt."]) };
    assert_eq!(decide(&foreign).unwrap_err().reason, Reason::OriginNotAllowed);
    assert_eq!(decide(&request("nonsense", &["jwt."])).unwrap_err().reason, Reason::UnknownMode);
}
