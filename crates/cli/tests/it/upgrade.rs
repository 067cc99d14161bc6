//! Every way in which a request is no handshake, as bytes. Each has a good token: nothing but the named fault is wrong.

use portcullis_reason::Reason::{
    self, BadUpgrade, MethodNotAllowed, RequestTooLarge, UnknownMode, UnsupportedVersion,
};
use portcullis_test::Request;

/// One request that has to be refused.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) reason: Reason,
    pub(crate) bytes: Vec<u8>,
    /// The answer has no body.
    pub(crate) head: bool,
}

/// The rows; `token` is good. The names begin with the requirement's id.
pub(crate) fn rows(token: &str) -> Vec<Row> {
    let good = || Request::upgrade("/ws").bearer(token);
    let line = |line: &str| good().line(line);
    let mut rows = Vec::new();
    let mut row = |name, reason, request: Request| {
        rows.push(Row { name, reason, bytes: request.bytes(), head: false });
    };

    row("HS-02 POST", MethodNotAllowed, line("POST /ws HTTP/1.1"));
    row("HS-02 PUT", MethodNotAllowed, line("PUT /ws HTTP/1.1"));
    row("HS-02 get in lower case", MethodNotAllowed, line("get /ws HTTP/1.1"));
    row("HS-02 CONNECT", MethodNotAllowed, line("CONNECT 127.0.0.1:80 HTTP/1.1"));
    row("HS-02 HTTP/1.0", BadUpgrade, line("GET /ws HTTP/1.0"));
    row("HS-02 no version", BadUpgrade, line("GET /ws"));
    row("HS-02 HTTP/2.0", BadUpgrade, line("GET /ws HTTP/2.0"));
    row("HS-04 no Host", BadUpgrade, good().without("Host"));
    row("HS-04 two equal Hosts", BadUpgrade, good().field("Host", "127.0.0.1"));
    row("HS-04 two Hosts", BadUpgrade, good().field("Host", "evil.example"));
    row("HS-04 an empty Host", BadUpgrade, good().instead("Host", ""));
    row("HS-04 a Host with user information", BadUpgrade, good().instead("Host", "a@127.0.0.1"));
    row("HS-04 a Host with a path", BadUpgrade, good().instead("Host", "127.0.0.1/ws"));
    row("HS-05 no Upgrade", BadUpgrade, good().without("Upgrade"));
    row("HS-05 another Upgrade", BadUpgrade, good().instead("Upgrade", "h2c"));
    row("HS-05 websocket inside a word", BadUpgrade, good().instead("Upgrade", "websockets"));
    row("HS-06 no Connection", BadUpgrade, good().without("Connection"));
    row("HS-06 Connection: close", BadUpgrade, good().instead("Connection", "close"));
    row("HS-06 upgrade inside a word", BadUpgrade, good().instead("Connection", "upgraded"));
    let key = |value: &str| good().instead("Sec-WebSocket-Key", value);
    row("HS-07 no key", BadUpgrade, good().without("Sec-WebSocket-Key"));
    row("HS-07 an empty key", BadUpgrade, key(""));
    row("HS-07 a key of 15 bytes", BadUpgrade, key("AAAAAAAAAAAAAAAAAAAA"));
    row("HS-07 a key of 17 bytes", BadUpgrade, key("AAAAAAAAAAAAAAAAAAAAAAA="));
    row("HS-07 a key in base64url", BadUpgrade, key("____-AAAAAAAAAAAAAAAAA=="));
    row("HS-07 a key with unused bits", BadUpgrade, key("AAAAAAAAAAAAAAAAAAAAAB=="));
    row("HS-08 the key twice", BadUpgrade, good().field("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="));
    let version = |value: &str| good().instead("Sec-WebSocket-Version", value);
    row("HS-09 no version", BadUpgrade, good().without("Sec-WebSocket-Version"));
    row("HS-09 the version twice", BadUpgrade, good().field("Sec-WebSocket-Version", "13"));
    row("HS-09 version 8", UnsupportedVersion, version("8"));
    row("HS-09 version 14", UnsupportedVersion, version("14"));
    row("HS-09 version 013", UnsupportedVersion, version("013"));
    row("HS-09 versions 13, 8", UnsupportedVersion, version("13, 8"));
    row("HS-09 no number", UnsupportedVersion, version(""));
    row("HS-14 an unknown path", UnknownMode, line("GET /chat HTTP/1.1"));
    row("HS-14 a path in another case", UnknownMode, line("GET /WS HTTP/1.1"));
    row("HS-14 a slash too many", UnknownMode, line("GET /ws/ HTTP/1.1"));
    row("HS-14 an unknown mode", UnknownMode, line("GET /ws?mode=best HTTP/1.1"));
    row("HS-14 two modes", UnknownMode, line("GET /ws?mode=main&mode=main HTTP/1.1"));
    row("HS-14 a mode against the path", UnknownMode, line("GET /ws/main?mode=factory HTTP/1.1"));
    row("HS-14 no echo unless it is on", UnknownMode, line("GET /ws/echo HTTP/1.1"));
    row("HT-07 white space before a colon", BadUpgrade, good().field("X-A ", "b"));
    row("HT-08 a folded line", BadUpgrade, good().field("X-A", "b\r\n c"));
    row("HT-09 a bare CR", BadUpgrade, good().field("X-A", "b\rc"));
    row("HT-09 a bare LF", BadUpgrade, good().field("X-A", "b\nX-B: c"));
    row("HT-09 white space before the first field", BadUpgrade, line("GET /ws HTTP/1.1\r\n X-A: b"));
    row("HT-10 NUL in a value", BadUpgrade, good().field("X-A", "b\0c"));
    row("HT-10 no name", BadUpgrade, good().field("", "b"));
    row("HT-11 a negative length", BadUpgrade, good().field("Content-Length", "-1"));
    row("HT-11 two lengths", BadUpgrade, good().field("Content-Length", "0").field("Content-Length", "5"));
    row("HT-11 a body", BadUpgrade, good().field("Content-Length", "5").behind("hello"));
    row("HT-12 a coding", BadUpgrade, good().field("Transfer-Encoding", "chunked").behind("0\r\n\r\n"));
    row(
        "HT-12 a length and a coding",
        BadUpgrade,
        good().field("Content-Length", "5").field("Transfer-Encoding", "chunked").behind("0\r\n\r\n"),
    );
    row("HT-14 an absolute target of another scheme", BadUpgrade, line("GET ftp://127.0.0.1/ws HTTP/1.1"));
    row("HT-15 a target too long", RequestTooLarge, line(&format!("GET /ws?{} HTTP/1.1", "a".repeat(9_000))));
    row("HT-16 one field too large", RequestTooLarge, good().field("X-A", "b".repeat(64 * 1024)));
    row("HT-16 too many fields", RequestTooLarge, (0..80).fold(good(), |it, _| it.field("X-A", "b")));
    row("HT-21 a dot segment", BadUpgrade, line("GET /ws/../ws HTTP/1.1"));
    row("HT-21 an encoded dot segment", BadUpgrade, line("GET /ws/%2e%2e/ws HTTP/1.1"));
    row("HT-21 an encoded slash", BadUpgrade, line("GET /ws%2Ffactory HTTP/1.1"));
    row("HT-21 an empty segment", BadUpgrade, line("GET //ws HTTP/1.1"));
    row("HT-21 another spelling of the path", UnknownMode, line("GET /%77s HTTP/1.1"));
    row("HT-21 white space in the target", BadUpgrade, line("GET /ws x HTTP/1.1"));
    // Nothing that follows from an offer is ever answered unasked, so an unknown element is a fault of its own.
    row("AN-05 no token of RFC 9110", BadUpgrade, good().field("Sec-WebSocket-Protocol", "a b"));

    let raw = |name, bytes: &[u8]| Row { name, reason: BadUpgrade, bytes: bytes.to_vec(), head: false };
    rows.push(raw("H2-07 the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    rows.push(raw("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"));
    rows.push(raw("a frame", &[0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]));
    rows.push(Row {
        name: "HS-02 HEAD",
        reason: MethodNotAllowed,
        bytes: line("HEAD /ws HTTP/1.1").bytes(),
        head: true,
    });
    rows
}
