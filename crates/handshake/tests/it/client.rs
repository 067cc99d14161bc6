//! The client role, against answers right and wrong.

use portcullis_handshake::{ClientError, ClientRequest, ResponseHead, encode_key};
use rstest::rstest;

use crate::support::{ACCEPT, KEY, TOKEN, policy, run};

#[test]
fn our_request_passes_our_server_and_its_answer_our_check() {
    let key = encode_key(&[0xfb; 16]);
    let element = format!("jwt.{TOKEN}");
    let protocols = ["portcullis.v1", "jwt-auth", &element];
    let request = ClientRequest {
        protocols: &protocols,
        origin: Some("https://gate.example"),
        fields: &[("User-Agent", "test")],
        ..ClientRequest::new("/ws/factory?x=1", "gate.example", &key)
    };
    let mut head = Vec::new();
    request.write(&mut head).unwrap();
    let (decided, answer) = run(&head, &policy());
    assert_eq!(decided.unwrap().identity(), TOKEN);
    let response = ResponseHead::parse(&answer).unwrap().unwrap();
    assert_eq!(response.len(), answer.len());
    assert_eq!(response.check(&key, &protocols), Ok(Some("portcullis.v1")));
}

#[rstest]
#[case::good(&[], Ok(None))]
#[case::good_in_other_case(&["UPGRADE: WebSocket", "connection: keep-alive, UPGRADE"], Ok(None))]
#[case::no_upgrade(&["Upgrade: h2c"], Err(ClientError::NoUpgrade))]
#[case::no_connection(&["Connection: close"], Err(ClientError::NoConnection))]
#[case::wrong_accept(&["Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA="], Err(ClientError::WrongAccept))]
#[case::empty_accept(&["Sec-WebSocket-Accept:"], Err(ClientError::WrongAccept))]
#[case::extension(&["Sec-WebSocket-Extensions: permessage-deflate"], Err(ClientError::UnknownExtension))]
#[case::offered_subprotocol(&["Sec-WebSocket-Protocol: jwt-auth"], Ok(Some("jwt-auth")))]
#[case::other_subprotocol(&["Sec-WebSocket-Protocol: other"], Err(ClientError::UnknownSubprotocol))]
#[case::two_subprotocols(
    &["Sec-WebSocket-Protocol: jwt-auth", "Sec-WebSocket-Protocol: bearer"],
    Err(ClientError::UnknownSubprotocol)
)]
fn an_answer_is_judged(#[case] lines: &[&str], #[case] expected: Result<Option<&str>, ClientError>) {
    let named =
        |line: &str, name: &str| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    let accept = format!("Sec-WebSocket-Accept: {ACCEPT}");
    let defaults = ["Upgrade: websocket", "Connection: Upgrade", &accept];
    let mut answer = "HTTP/1.1 101 Switching Protocols\r\n".to_owned();
    let kept = defaults.into_iter().filter(|default| {
        let name = default.split(':').next().unwrap();
        !lines.iter().any(|line| named(line, name))
    });
    for line in kept.chain(lines.iter().copied()) {
        answer.push_str(line);
        answer.push_str("\r\n");
    }
    answer.push_str("\r\n");
    let response = ResponseHead::parse(answer.as_bytes()).unwrap().unwrap();
    assert_eq!(response.check(KEY, &["jwt-auth", "bearer"]), expected);
}

#[test]
fn other_answers() {
    assert!(ResponseHead::parse(b"HTTP/1.1 101 Sw").unwrap().is_none());
    assert_eq!(ResponseHead::parse(b"\x88\x02\x03\xf0").unwrap_err(), ClientError::NotHttp);
    assert_eq!(ResponseHead::parse(b"HTTP/1.0 101 X\r\n\r\n").unwrap_err(), ClientError::NotHttp);
    let refusal = ResponseHead::parse(b"HTTP/1.1 401 Unauthorized\r\n\r\n").unwrap().unwrap();
    assert_eq!(refusal.check(KEY, &[]), Err(ClientError::Refused(401)));
}

#[test]
fn no_value_breaks_its_line() {
    let mut out = Vec::new();
    let good = ClientRequest::new("/ws", "gate.example", KEY);
    for request in [
        ClientRequest { target: "/ws\r\nX: y", ..good },
        ClientRequest { protocols: &["jwt-auth\n"], ..good },
        ClientRequest { fields: &[("X", "a\r\nY: b")], ..good },
        ClientRequest { authorization: Some("Bearer \0"), ..good },
    ] {
        assert_eq!(request.write(&mut out), Err(ClientError::Unwritable));
    }
    assert_eq!(out, b"");
}
