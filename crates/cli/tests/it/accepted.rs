//! Every form of a good handshake that is taken, and what the 101 says to it.

use portcullis_test::{Request, wrap};

/// A request, and the subprotocol that it has to be answered with.
type Row = (String, Request, Option<&'static str>);

const PREFIXES: [&str; 6] = [
    "jwt.",
    "jwt-auth.",
    "bearer.",
    "base64url.bearer.authorization.k8s.io.",
    "base64url.bearer.phx.",
    "anycable-token.",
];

#[test]
fn every_form_of_a_good_handshake_is_taken() {
    let server = crate::server()
        .set("handshake.credential_prefixes", r#"["base64url.bearer.phx.", "anycable-token."]"#)
        .set("handshake.accept_two_element_form", "true")
        .set("gateway.allowed_origins", r#"["https://chat.example"]"#)
        .start();
    let token = server.token("ann");
    let wrapped = wrap(&token);
    let own = format!("http://{}", server.gateway());
    let mut rows = credentials(&token, &wrapped);
    rows.extend(surroundings(&token));
    let same =
        Request::upgrade("/ws").bearer(&token).instead("Host", &own["http://".len()..]).field("Origin", &own);
    rows.push(("HS-12 the server's own origin".into(), same, None));
    for (name, request, selected) in &rows {
        let response = server.connect().ask(request);
        assert_eq!(response.status, 101, "{name}: {}", response.raw);
        // AN-08: never a word of it.
        assert!(
            !response.raw.contains(&token) && !response.raw.contains(&wrapped),
            "{name}: {}",
            response.raw
        );
        let mut peer = server.connect();
        peer.open(request);
        assert_eq!(peer.protocol(), *selected, "{name}");
        let first = peer.json();
        assert_eq!(first["payload"]["user_id"], "ann", "{name}: {first}");
        assert_eq!(first["payload"]["protocol"].as_str(), *selected, "{name}: {first}");
    }
    let forms = server.ask(&Request::plain("GET", "/ws/config")).json()["credential_forms"].to_string();
    for prefix in PREFIXES {
        assert!(forms.contains(&format!("\"{prefix}<")), "{prefix}: {forms}");
    }
    assert!(forms.contains("jwt, <jwt>"), "{forms}");
}

/// Where the token stands, and which name is selected beside it.
fn credentials(token: &str, wrapped: &str) -> Vec<Row> {
    let upgrade = || Request::upgrade("/ws");
    let offer = |name: &str, element: &str| upgrade().protocols(&[name, element]);
    let element = format!("jwt.{wrapped}");
    let mut rows: Vec<Row> = Vec::new();
    let mut row = |name: &str, request, selected| rows.push((name.to_owned(), request, selected));
    row("the header", upgrade().bearer(token), None);
    row("HT-05 bearer", upgrade().field("Authorization", format!("bearer {token}")), None);
    row("HT-05 BEARER", upgrade().field("Authorization", format!("BEARER  {token}")), None);
    row("two elements", offer("jwt", token), Some("jwt"));
    row("two elements, wrapped", offer("jwt", wrapped), Some("jwt"));
    row("both places, one token", offer("jwt-auth", &element).bearer(token), Some("jwt-auth"));
    row("no plain name, no browser", upgrade().protocols(&[&element]), None);
    row("HS-11 two lines", upgrade().protocols(&[&element]).protocols(&["bearer"]), Some("bearer"));
    let version = upgrade().protocols(&["jwt-auth", "portcullis.v1"]).bearer(token);
    row("a version before a credential's name", version, Some("portcullis.v1"));
    row(
        "AN-05 one of several",
        upgrade().protocols(&["soap", "bearer", "wamp"]).bearer(token),
        Some("bearer"),
    );
    for prefix in PREFIXES {
        for (form, text) in [("wrapped", wrapped), ("bare", token)] {
            row(&format!("{prefix} {form}"), offer("jwt-auth", &format!("{prefix}{text}")), Some("jwt-auth"));
        }
    }
    rows
}

/// What may stand around it.
fn surroundings(token: &str) -> Vec<Row> {
    let good = || Request::upgrade("/ws").bearer(token);
    let long = format!("GET /ws?{} HTTP/1.1", "a".repeat(8_000));
    let rows = [
        ("HS-12 a listed origin", good().field("Origin", "https://chat.example")),
        ("HS-05 in another case", good().instead("Upgrade", "WebSocket")),
        ("HS-06 among others", good().instead("Connection", "keep-alive, Upgrade")),
        ("HS-06 in two lines", good().instead("Connection", "keep-alive").field("Connection", "upgrade")),
        ("HS-03 an absolute target", good().line("GET http://127.0.0.1/ws HTTP/1.1")),
        ("a mode in the query", good().line("GET /ws?mode=factory HTTP/1.1")),
        ("AN-06 extensions", good().field("Sec-WebSocket-Extensions", "permessage-deflate; x=y")),
        ("HT-11 a length of nothing", good().field("Content-Length", "0")),
        ("HT-15 a long target", good().line(&long)),
        ("AN-04 a key with / and +", good().instead("Sec-WebSocket-Key", "////++++////++++////+w==")),
    ];
    rows.map(|(name, request)| (name.to_owned(), request, None)).into()
}
