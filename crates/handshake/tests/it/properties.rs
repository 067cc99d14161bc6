//! What holds for every input.

use portcullis_handshake::{
    ClientRequest, Head, HeadLimits, HeadReader, Parts, Refusal, ResponseHead, Upgrade, encode_key,
};
use proptest::prelude::*;

use crate::support::{Mode, builder, policy, run, wrapped};

/// Heads that are nearly good: lines of handshakes, broken in places.
fn nearly_good() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just("Host: gate.example".to_owned()),
        Just("Upgrade: websocket".to_owned()),
        Just("Connection: keep-alive, Upgrade".to_owned()),
        Just("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==".to_owned()),
        Just("Sec-WebSocket-Version: 13".to_owned()),
        Just("Origin: https://gate.example".to_owned()),
        "Sec-WebSocket-Protocol: [ -~]{0,60}",
        "Sec-WebSocket-Protocol: (jwt|jwt-auth|bearer)(,|\\.)[A-Za-z0-9._-]{0,60}",
        "Authorization: [Bb]earer ?[ -~]{0,40}",
        "[A-Za-z-]{1,12} ?:[ -~]{0,20}",
        "[ \t]?[a-z]{0,4}",
    ];
    let end = prop_oneof![9 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r")];
    (
        prop_oneof![8 => Just("GET /ws HTTP/1.1".to_owned()), 1 => "[A-Z]{1,4} [ -~]{0,12} HTTP/1.[019]"],
        proptest::collection::vec((line, end), 0..12),
        "\r\n",
    )
        .prop_map(|(first, lines, last)| {
            let mut head = first + "\r\n";
            for (line, end) in lines {
                head.push_str(&line);
                head.push_str(end);
            }
            (head + &last).into_bytes()
        })
}

fn any_input() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..300), nearly_good()]
}

proptest! {
    #[test]
    fn a_head_in_parts_is_the_same_head(input in nearly_good()) {
        let limits = HeadLimits::default();
        if let Ok(head) = Head::parse(&input, &limits) {
            let query = if head.query().is_empty() { String::new() } else { format!("?{}", head.query()) };
            let target = format!("{}{query}", head.path());
            let parts = Parts { version: head.version(), method: head.method(), authority: head.host(), target: &target };
            let fields = head.fields().iter().map(|field| (field.name, field.value));
            let other = Head::from_parts(parts, fields, &limits).unwrap();
            prop_assert_eq!(format!("{head:?}"), format!("{other:?}"));
            prop_assert_eq!(head.host(), other.host());
            prop_assert_eq!((head.path(), head.query()), (other.path(), other.query()));
            prop_assert_eq!(head.is_upgrade(), other.is_upgrade());
            let decide = |head: &Head<'_>| {
                let policy = policy();
                let offer = Upgrade::check(head, &policy)?.credentials(&policy)?;
                offer.accept((), &policy, &mut Vec::new()).map(|made| made.route())
            };
            prop_assert_eq!(decide(&head), decide(&other));
        }
    }

    #[test]
    fn any_split_of_the_input_gives_the_same_result(input in any_input(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8), bytes in 1_usize..400) {
        let limits = HeadLimits { bytes, fields: 8, target: 64 };
        let whole = HeadReader::new(limits).advance(&input);
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        ends.push(input.len());
        ends.sort_unstable();
        let mut reader = HeadReader::new(limits);
        let mut result = Ok(None);
        for end in ends {
            result = reader.advance(&input[..end]);
            if result != Ok(None) {
                break;
            }
        }
        prop_assert_eq!(result, whole);
    }

    #[test]
    fn every_input_ends_in_a_decision_and_a_refusal_is_a_client_error(input in any_input()) {
        let (decided, out) = run(&input, &policy());
        match decided {
            Ok(negotiated) => {
                prop_assert!(!negotiated.identity().is_empty());
                prop_assert!(out.starts_with(b"HTTP/1.1 101 "));
            }
            Err(rejection) => {
                prop_assert_eq!(&out, b"");
                Refusal::new(&rejection, "r").write_http1("GET", &mut Vec::new());
                prop_assert!(rejection.reason.status().is_some_and(|status| (400..500).contains(&status)));
            }
        }
    }

    #[test]
    fn what_the_client_writes_the_server_takes(
        random in any::<[u8; 16]>(),
        token in "[A-Za-z0-9_-]{20,80}\\.[A-Za-z0-9_-]{20,80}\\.[A-Za-z0-9_-]{20,80}",
        prefix in prop::sample::select(vec!["jwt.", "jwt-auth.", "bearer.", "base64url.bearer.authorization.k8s.io."]),
        wrap in any::<bool>(),
        names in prop::sample::subsequence(vec!["bearer", "portcullis.v1", "jwt-auth", "other"], 0..4),
        place in any::<prop::sample::Index>(),
    ) {
        let key = encode_key(&random);
        let sent = if wrap { &wrapped(&token) } else { &token };
        let element = format!("{prefix}{sent}");
        let mut protocols = names.clone();
        protocols.insert(place.index(names.len() + 1), &element);
        let mut head = Vec::new();
        ClientRequest { protocols: &protocols, ..ClientRequest::new("/ws/isolated", "gate.example", &key) }.write(&mut head).unwrap();
        let (decided, out) = run(&head, &policy());
        if names == ["other"] {
            prop_assert!(decided.is_err());
            return Ok(());
        }
        let negotiated = decided.unwrap();
        prop_assert_eq!(negotiated.identity(), &token);
        prop_assert_eq!(negotiated.route(), Mode::Isolated);
        let answer = ResponseHead::parse(&out).unwrap().unwrap();
        prop_assert_eq!(answer.check(&key, &protocols), Ok(negotiated.subprotocol()));
    }

    /// No byte of a response comes from a token, whatever form it was sent in and however the handshake ends.
    #[test]
    fn no_response_holds_the_token(
        token in "[A-Za-z0-9._-]{16,60}",
        before in prop::sample::select(vec![
            "Authorization: Bearer ", "Authorization: ", "Sec-WebSocket-Protocol: ", "Sec-WebSocket-Protocol: jwt, ",
            "Sec-WebSocket-Protocol: jwt-auth, jwt.", "Sec-WebSocket-Protocol: jwt.", "Sec-WebSocket-Protocol: Jwt.",
            "Sec-WebSocket-Protocol: jwt-auth, mine.", "Sec-WebSocket-Protocol: jwt-auth, ", "Origin: https://",
            "Cookie: ", "Sec-WebSocket-Extensions: ", "Sec-WebSocket-Key: ", "Host: ",
        ]),
        after in prop::sample::select(vec!["", ", portcullis.v1", ", jwt-auth", "==", " x"]),
        wrap in any::<bool>(),
        lenient in any::<bool>(),
    ) {
        let sent = if wrap { wrapped(&token) } else { token.clone() };
        let policy = builder().accept_two_element_form(lenient).build().unwrap();
        let line = format!("GET /ws?token={token} HTTP/1.1\r\n{before}{sent}{after}");
        let head = crate::support::with_line("GET", &line);
        let (decided, mut out) = run(&head, &policy);
        if let Ok(head) = Head::parse(&head, &HeadLimits::default()) {
            let _ = Upgrade::accept_to_close(&head, &policy, &mut out);
            let shown = format!("{head:?}");
            prop_assert!(!shown.contains(&token), "{}", shown);
        }
        if let Err(rejection) = decided {
            Refusal::new(&rejection, "r").write_http1("GET", &mut out);
            let (shown, hidden) = (format!("{rejection:?} {rejection}"), &sent);
            prop_assert!(!shown.contains(hidden.as_str()) && !shown.contains(&token), "{}", shown);
        }
        let out = String::from_utf8(out).unwrap();
        prop_assert!(!out.contains(&sent) && !out.contains(&token), "{}", out);
    }
}
