//! Where WebSockets are blocked: events over `GET /sse`, messages by `POST /messages`, with the same credentials, envelope
//! and cursor.

use portcullis_reason::Reason;
use portcullis_test::{Peer, Request, Response, Server, SseBlock, Tokens};
use serde_json::{Value, json};

use crate::support::{assert_order, assert_problem, assert_refused, question};

/// Opens a stream for `request`, and reads up to its first message.
#[track_caller]
fn open(server: &Server, request: &Request) -> Peer {
    let mut peer = server.connect();
    peer.send(&request.bytes());
    let head = peer.response_to_head();
    assert_eq!(head.status, 200, "{}", head.raw);
    assert_eq!(head.field("Content-Type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(
        (head.field("X-Accel-Buffering"), head.field("Cache-Control")),
        (Some("no"), Some("no-store, no-transform"))
    );
    let hello = peer.sse().unwrap();
    assert_eq!((hello.data["type"].as_str(), &hello.id), (Some("connection_established"), &None));
    peer
}

fn stream(target: &str, token: &str) -> Request {
    Request::plain("GET", target).field("Accept", "text/event-stream").bearer(token)
}

#[track_caller]
fn post(server: &Server, user: &str, message: &Value) -> Response {
    server.ask(&Request::post("/messages", message).bearer(&server.token(user)))
}

/// Blocks up to the terminal event of a run.
#[track_caller]
fn until_ended(peer: &mut Peer) -> Vec<SseBlock> {
    let mut blocks = Vec::new();
    loop {
        let block = peer.sse().expect("the stream goes on");
        let last = matches!(block.data["type"].as_str(), Some("agent_completed" | "agent_failed"));
        blocks.push(block);
        if last {
            return blocks;
        }
    }
}

fn data(blocks: &[SseBlock]) -> Vec<Value> {
    blocks.iter().map(|block| block.data.clone()).filter(|data| data["seq"].is_u64()).collect()
}

/// The stream's last word, and that it ends.
#[track_caller]
fn farewell(peer: &mut Peer) -> (u64, String) {
    loop {
        let block = peer.sse().expect("a last word");
        if block.event.as_deref() == Some("close") {
            assert_eq!(peer.sse(), None, "nothing comes behind it");
            let text = block.data["reason"].as_str().unwrap().to_owned();
            return (block.data["code"].as_u64().unwrap(), text);
        }
    }
}

#[test]
fn a_user_asks_and_hears_the_events_in_order_and_goes_on_where_they_left() {
    let server = crate::server().start();
    let token = server.token("ann");
    let mut peer = open(&server, &stream("/sse", &token));
    let mut other = server.live("/ws", "ann");
    let accepted = post(&server, "ann", &question("m-1", "a,b:c", "What does 1006 mean?"));
    assert_eq!((accepted.status, accepted.field("Content-Type")), (200, Some("application/json")));
    assert_eq!(accepted.json()["type"], "message_accepted");
    assert_eq!(accepted.json()["payload"]["message_id"], "m-1");
    let blocks = until_ended(&mut peer);
    let told = data(&blocks);
    assert_order(&told);
    let kinds: Vec<_> = told.iter().map(|event| event["type"].as_str().unwrap()).collect();
    for kind in ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed"] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    assert_eq!(data_of(&other.until_ended(1)), told, "the same events as on a WebSocket");
    // The same message again runs once.
    assert_eq!(
        post(&server, "ann", &question("m-1", "a,b:c", "What does 1006 mean?")).json()["payload"]["duplicate"],
        true
    );

    // From the middle, and from a second thread too: each id tells of all that came.
    post(&server, "ann", &question("m-2", "second", "What is NO_TOKEN?"));
    let second = until_ended(&mut peer);
    drop(peer);
    let middle = second[2].id.clone().unwrap();
    assert!(middle.contains("a%2Cb%3Ac:") && middle.contains("second:"), "{middle}");
    post(&server, "ann", &question("m-3", "a,b:c", "What is 1008?"));
    let mut back = open(&server, &stream("/sse?resume=second::0", &token).field("Last-Event-ID", &middle));
    let resumed = back.sse().unwrap();
    assert_eq!(resumed.data["type"], "resumed", "{resumed:?}");
    let mut missed = Vec::new();
    while missed.iter().filter(|event: &&Value| event["type"] == "agent_completed").count() < 2 {
        missed.extend(data(&until_ended(&mut back)));
    }
    let of = |thread: &str| {
        missed.iter().filter(|event| event["thread_id"] == thread).cloned().collect::<Vec<_>>()
    };
    assert_eq!(of("second"), data(&second[3..]), "what came behind the cursor, and once");
    assert_eq!(of("a,b:c")[0]["seq"].as_u64(), Some(told.len() as u64 + 1));
}

fn data_of(messages: &[Value]) -> Vec<Value> {
    messages.iter().filter(|message| message["seq"].is_u64()).cloned().collect()
}

#[test]
fn a_stream_is_refused_as_an_upgrade_is() {
    let server = crate::server().set("gateway.allowed_origins", r#"["https://chat.example"]"#).start();
    let refused = |name: &str, request: &Request, reason: Reason| {
        assert_refused(name, &server, &server.ask(request), reason);
    };
    let token = server.token("ann");
    refused("nobody", &Request::plain("GET", "/sse"), Reason::NoToken);
    refused("malformed", &stream("/sse", "abc"), Reason::TokenMalformed);
    let expired = server.tokens().with("ann", &json!({ "exp": Tokens::now() - 3_600 }));
    refused("expired", &stream("/sse", &expired), Reason::TokenExpired);
    refused(
        "another page",
        &stream("/sse", &token).field("Origin", "https://evil.example"),
        Reason::OriginNotAllowed,
    );
    refused("two tokens", &stream("/sse", &token).bearer(&token), Reason::AmbiguousCredentials);
    refused("a mode that is none", &stream("/sse?mode=none", &token), Reason::UnknownMode);
    refused("a mode that needs a WebSocket", &stream("/sse?mode=isolated", &token), Reason::UnknownMode);
    refused("a cursor that is none", &stream("/sse", &token).field("Last-Event-ID", "x"), Reason::BadRequest);
    let mut peer = server.connect();
    peer.send(&stream("/sse?mode=factory", &token).field("Origin", "https://chat.example").bytes());
    let head = peer.response_to_head();
    assert_eq!((head.status, head.field("Access-Control-Allow-Origin")), (200, Some("https://chat.example")));
    let hello = peer.sse().unwrap();
    assert_eq!(hello.data["payload"]["mode"], "factory");
    assert_eq!(server.figure("portcullis_connections{mode=\"factory\"}"), 1);
    drop(peer);
}

#[test]
fn a_message_that_cannot_be_taken_is_told_with_a_status() {
    let server = crate::server().set("limits.message_bytes", "\"4 KiB\"").start();
    let answer = |message: &Value| {
        let response = post(&server, "ann", message);
        (response.status, response.json()["payload"]["reason"].as_str().unwrap_or_default().to_owned())
    };
    let told = |status: u16, reason: &str| (status, reason.to_owned());
    assert_eq!(answer(&json!({ "type": "nonsense", "id": "m" })), told(400, "MESSAGE_MALFORMED"));
    let unknown = json!({ "type": "user_message", "payload": { "content": "Hello?", "agent": "none" } });
    assert_eq!(answer(&unknown), told(404, "UNKNOWN_AGENT"));
    let cancel = json!({ "type": "cancel_run", "payload": { "run_id": "run-0" } });
    assert_eq!(answer(&cancel), told(404, "UNKNOWN_RUN"));
    let pong = post(&server, "ann", &json!({ "type": "ping", "payload": 7 }));
    assert_eq!((pong.status, &pong.json()["payload"]["echo"]), (200, &json!(7)));
    let ack = json!({ "type": "ack", "payload": { "thread_id": "t", "seq": 1 } });
    assert_eq!(post(&server, "ann", &ack).status, 202);

    let long = post(&server, "ann", &question("m", "t", &"x".repeat(5_000)));
    assert_problem("too long", &long, Reason::BadRequest);
    let resume = post(&server, "ann", &json!({ "type": "resume", "payload": { "threads": [] } }));
    assert_problem("about a connection", &resume, Reason::BadRequest);
    let nobody = server.ask(&Request::post("/messages", &question("m", "t", "?")));
    assert_problem("nobody", &nobody, Reason::NoToken);
    let token = server.token("ann");
    let isolated = Request::post("/messages?mode=isolated", &question("m", "t", "?")).bearer(&token);
    assert_problem("isolated", &server.ask(&isolated), Reason::UnknownMode);
    assert_eq!(server.figure("portcullis_messages_accepted_total"), 0);
}

#[test]
fn a_stream_ends_with_its_token_and_with_its_login() {
    let server = crate::server().set("token.leeway", "\"1s\"").set("heartbeat.interval", "\"200ms\"").start();
    let short = server.tokens().with("ann", &json!({ "exp": Tokens::now() + 1 }));
    let mut peer = open(&server, &stream("/sse", &short));
    let mut alive = false;
    let expiring = loop {
        let block = peer.sse().unwrap();
        alive |= block.comment;
        if block.data["type"] == "token_expiring" {
            break block;
        }
    };
    assert!(expiring.data["payload"]["seconds_left"].as_u64().unwrap() <= 1);
    while !alive {
        alive = peer.sse().expect("a sign of life").comment;
    }
    let (code, reason) = farewell(&mut peer);
    assert!(code == 1008 && reason.starts_with("TOKEN_EXPIRED: "), "{code} {reason}");
    assert_eq!(server.figure("portcullis_connections{mode=\"main\"}"), 0);
}

#[test]
fn a_server_that_stops_says_when_to_come_back() {
    let server = crate::server().start();
    let mut peer = open(&server, &stream("/sse", &server.token("ann")));
    server.terminate();
    let retry = peer.sse().unwrap();
    let draining = peer.sse().unwrap();
    assert_eq!(
        (draining.data["type"].as_str(), retry.retry),
        (Some("draining"), draining.data["payload"]["reconnect_after_ms"].as_u64())
    );
    let (code, reason) = farewell(&mut peer);
    assert!(code == 1012 && reason.starts_with("DRAINING: "), "{code} {reason}");
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn a_reader_that_stops_reading_is_let_go_and_can_come_back() {
    let server = crate::server()
        .set("limits.queue_bytes", "\"64 KiB\"")
        .set("runs.retained_bytes", "\"64 MiB\"")
        .set("runs.retained_events", "1000000")
        .start();
    let token = server.token("ann");
    let mut slow = open(&server, &stream("/sse", &token));
    let pasted = server.tokens().with("ann", &json!({ "note": "x".repeat(6_000) }));
    let mut runs = 0;
    let mut fast = server.live("/ws", "ann");
    while server.figure("portcullis_connections{mode=\"main\"}") == 2 {
        for _ in 0..20 {
            runs += 1;
            assert!(runs < 5_000, "nobody was too slow");
            fast.say(&question(&format!("m-{runs}"), "t", &format!("What is wrong with {pasted}?")));
            fast.until_ended(1);
        }
    }
    let mut cursor = None;
    let mut seen = Vec::new();
    while let Some(block) = slow.sse() {
        cursor = block.id.clone().or(cursor);
        seen.extend(data(&[block]));
    }
    let mut back = open(&server, &stream("/sse", &token).field("Last-Event-ID", cursor.unwrap()));
    while seen.iter().filter(|event| event["type"] == "agent_completed").count() < runs {
        seen.extend(data(&until_ended(&mut back)));
    }
    assert_eq!(assert_order(&seen).len(), runs);
}
