//! `/ws/echo`, for protocol test suites; and that nothing is read before the gate.

use portcullis_test::{
    Request,
    frame::{Frame, Message},
    wrap,
};

use crate::support::{events, question};

fn masked(frame: Frame<'_>) -> Vec<u8> {
    frame.masked([1, 3, 5, 7]).to_vec()
}

#[test]
fn echo_gives_back_what_comes() {
    let server = crate::server().set("dev.echo", "true").start();
    let mut peer = server.connect();
    peer.open(&Request::upgrade("/ws/echo").bearer(&server.token("ann")));
    let large = "€".repeat((16 << 20) / 3);
    for text in
        ["", "hello", &"x".repeat(125), &"x".repeat(126), &"x".repeat(65_535), &"x".repeat(65_536), &large]
    {
        peer.text(text);
        assert!(peer.message() == Message::Text(text.into()), "{} bytes", text.len());
    }
    let bytes: Vec<u8> = (0..=255).collect();
    peer.frame(Frame::binary(&bytes));
    assert_eq!(peer.message(), Message::Binary(bytes.into()));
    // FR-07: fragments, with control frames between them.
    peer.frame(Frame::text("a").unfinished());
    peer.frame(Frame::ping(b"p"));
    peer.frame(Frame::continuation(b"b").unfinished());
    peer.frame(Frame::continuation(b"c"));
    assert_eq!(peer.message(), Message::Pong(b"p"[..].into()));
    assert_eq!(peer.message(), Message::Text("abc".into()));
    // The same limits on framing as everywhere.
    peer.frame(Frame::text("").announcing((16 << 20) + 1));
    assert_eq!(peer.closed().code, Some(1009));
}

#[test]
fn echo_asks_for_a_token_as_all_do() {
    let server = crate::server().set("dev.echo", "true").start();
    for (request, reason) in [
        (Request::upgrade("/ws/echo"), "NO_TOKEN"),
        (Request::upgrade("/ws/echo").bearer("jwt"), "TOKEN_MALFORMED"),
        (
            Request::upgrade("/ws/echo").bearer(&server.token("ann")).field("Origin", "https://evil.example"),
            "ORIGIN_NOT_ALLOWED",
        ),
    ] {
        assert_eq!(server.ask(&request).reason(), reason);
    }
}

#[test]
fn what_comes_ahead_of_a_refusal_is_never_run() {
    // Also where a refused handshake is completed to say why.
    for style in ["\"http\"", "\"close\""] {
        let server = crate::server().set("handshake.rejection", style).start();
        let expired = server.tokens().with("ann", &serde_json::json!({ "exp": 1 }));
        let ahead = masked(Frame::text(&question("m", "t", "Is this read?").to_string()));
        let mut peer = server.connect();
        peer.send(&Request::upgrade("/ws").bearer(&expired).behind(&ahead).bytes());
        peer.try_send(&ahead);
        peer.finish();
        let end = String::from_utf8_lossy(&peer.ended()).into_owned();
        assert!(end.contains("TOKEN_EXPIRED"), "{style}: {end}");
        assert!(!end.contains("message_accepted") && !end.contains("error\":"), "{style}: {end}");
        assert_eq!(server.figure("portcullis_messages_accepted_total"), 0, "{style}");
        // Nor is a second request behind it (HT-22).
        let mut peer = server.connect();
        let good = Request::upgrade("/ws").bearer(&server.token("ann"));
        peer.send(&[Request::upgrade("/ws").bearer("x").bytes(), good.bytes()].concat());
        peer.finish();
        let end = String::from_utf8_lossy(&peer.ended()).into_owned();
        assert_eq!(end.matches("HTTP/1.1 ").count(), 1, "{style}: {end}");
        assert!(!end.contains("connection_established"), "{style}: {end}");
    }
}

#[test]
fn what_comes_ahead_of_the_101_is_run_behind_it() {
    let server = crate::server().start();
    let frames = [
        masked(Frame::ping(b"early")),
        masked(Frame::text(&question("m", "t", "What is 1006?").to_string())),
    ];
    let token = format!("jwt.{}", wrap(server.token("ann")));
    let request = Request::upgrade("/ws").protocols(&["jwt-auth", &token]).behind(frames.concat());
    let mut peer = server.connect();
    // AN-07: the 101 comes first, whatever waits behind it.
    peer.open(&request);
    assert_eq!(peer.protocol(), Some("jwt-auth"));
    assert_eq!(peer.message(), Message::Pong(b"early"[..].into()));
    let messages = peer.until_ended(1);
    assert_eq!(messages[0]["type"], "connection_established");
    let events = events(&messages);
    assert_eq!([&events[0]["type"], &events[1]["type"]], ["user_message", "agent_started"]);
}
