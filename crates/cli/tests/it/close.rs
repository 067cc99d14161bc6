//! What can be configured of the handshake: refusals as close frames, the close profiles, further credential forms.

use portcullis_reason::{CloseProfile, Reason};
use portcullis_test::{Request, frame::Message};
use serde_json::json;

use crate::{credentials, support::assert_refused, upgrade};

#[test]
fn a_refusal_can_be_a_close_frame_in_each_profile() {
    for &profile in CloseProfile::ALL {
        let server = crate::strict()
            .set("handshake.rejection", "\"close\"")
            .set("handshake.close_codes", &format!("\"{}\"", profile.as_str()))
            .start();
        for row in credentials::rows(server.tokens()) {
            let shown = row.reason.shown_as();
            let mut peer = server.connect();
            let Some(code) = shown.close_code(profile) else {
                assert_refused(row.name, &server, &peer.ask(&row.request), row.reason);
                continue;
            };
            peer.send(&row.request.bytes());
            peer.opened(&row.request);
            let Message::Close(Some(close)) = peer.message() else { panic!("{}: no close frame", row.name) };
            assert_eq!(close.code.get(), code, "{} in {profile:?}", row.name);
            assert_eq!(close.reason, format!("{}: {}", shown.id(), shown.title()), "{}", row.name);
            // Only a word of our own is ever selected: a refused offer may hide a token.
            let own = [None, Some("portcullis.v1"), Some("jwt-auth"), Some("bearer"), Some("jwt")];
            assert!(own.contains(&peer.protocol()), "{}: {:?}", row.name, peer.protocol());
            peer.finish();
            assert_eq!(peer.ended(), b"", "{}: nothing behind the close", row.name);
        }
        assert_eq!(server.figure("portcullis_handshakes_total{outcome=\"accepted\"}"), 0);
        let live = server.ask(
            &Request::plain("GET", "/ws/stats").bearer(&credentials::token(server.tokens(), &json!({}))),
        );
        assert_eq!(live.json()["connections"]["main"], 0, "no session exists: {}", live.raw);
    }
}

#[test]
fn a_request_that_is_no_handshake_is_never_completed() {
    let server = crate::strict().set("handshake.rejection", "\"close\"").start();
    let token = credentials::token(server.tokens(), &json!({}));
    for row in upgrade::rows(&token).into_iter().filter(|row| !row.head) {
        let mut peer = server.connect();
        peer.try_send(&row.bytes);
        assert_refused(row.name, &server, &peer.response(), row.reason);
    }
}

#[test]
fn profiles_differ_where_they_promise_to() {
    // The four profiles of docs/protocol.md §10, for three reasons that tell them apart.
    for (profile, no_token, expired, draining) in [
        (CloseProfile::Standard, 1008, 1008, 1012),
        (CloseProfile::ServerError, 1011, 1011, 1012),
        (CloseProfile::StrictProtocol, 1002, 1008, 1012),
        (CloseProfile::Application, 4401, 4408, 4504),
    ] {
        for (reason, code) in
            [(Reason::NoToken, no_token), (Reason::TokenExpired, expired), (Reason::Draining, draining)]
        {
            assert_eq!(reason.close_code(profile), Some(code), "{reason} in {profile:?}");
        }
        let server =
            crate::server().set("handshake.close_codes", &format!("\"{}\"", profile.as_str())).start();
        let mut peer = server.live("/ws", "ann");
        server.terminate();
        assert_eq!(peer.closed().code, Some(draining), "{profile:?}");
        assert_eq!(server.exit_code(), Some(0));
    }
}
