//! Stopping: SIGTERM lets runs end, tells everybody when to come back, and takes nobody new.

use portcullis_reason::Reason;
use portcullis_test::{Builder, Peer, Request, Server, frame::Message};
use serde_json::Value;

use crate::{
    Scenario,
    support::{assert_order, assert_refused, ended_runs, events, question},
};

/// What is earned here, and how.
pub(crate) const EARNED: &[Scenario] = &[(Reason::Draining, a_handshake_while_the_server_stops)];

/// Enough work on one thread to last for a while.
const RUNS: usize = 150;

/// A live connection with so much accepted and not ended, and what it has seen.
fn busy(server: &Server) -> (Peer, Vec<Value>) {
    let mut peer = server.live("/ws", "ann");
    let long = "Why does jwt.abc give 1011, 1008 and NO_TOKEN? ".repeat(1_000);
    for number in 0..RUNS {
        peer.say(&question(&format!("m-{number}"), "t", &long));
    }
    let mut seen = Vec::new();
    while seen.iter().filter(|message: &&Value| message["type"] == "message_accepted").count() < RUNS {
        seen.push(peer.json());
    }
    (peer, seen)
}

fn patient() -> Builder {
    crate::server()
        .set("runs.per_user", "1000")
        .set("limits.queue_bytes", "\"64 MiB\"")
        .set("gateway.drain", "\"60s\"")
}

/// Everything up to the close frame, and the frame's code and text.
fn rest(peer: &mut Peer) -> (Vec<Value>, u16, String) {
    let mut seen = Vec::new();
    loop {
        match peer.message() {
            Message::Text(text) => seen.push(serde_json::from_str(&text).unwrap()),
            Message::Close(Some(close)) => return (seen, close.code.get(), close.reason.into_owned()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn accepted_messages_end_before_the_server_does() {
    let server = patient().start();
    assert!(server.ready_file().exists());
    let (mut peer, mut seen) = busy(&server);
    server.terminate();
    seen.extend(peer.until("draining"));
    let back = seen.last().unwrap()["payload"]["reconnect_after_ms"].as_u64().unwrap();
    assert!((500..=30_500).contains(&back), "{back}");
    assert!(ended_runs(&seen) < RUNS, "runs were going on when it was told to stop");
    // Nothing new is begun.
    peer.say(&question("late", "t", "What is 1012?"));
    let (last, code, reason) = rest(&mut peer);
    seen.extend(last);
    assert_eq!((code, reason.as_str()), (1012, "DRAINING: The server is restarting"));
    let errors: Vec<_> = seen.iter().filter(|message| message["type"] == "error").collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0]["payload"]["reason"], "DRAINING");
    let ended = assert_order(&events(&seen));
    assert_eq!(ended.len(), RUNS);
    assert!(ended.values().all(|(_, kind)| kind == "agent_completed"), "the window was long enough for all");
    peer.finish();
    assert_eq!(server.exit_code(), Some(0));
    assert!(!server.ready_file().exists(), "the ready file goes with the server");
    assert!(!server.log().text().contains("panicked"));
}

#[test]
fn runs_that_outlast_the_window_fail_and_say_why() {
    let server = patient().set("gateway.drain", "\"20ms\"").start();
    let (mut peer, mut seen) = busy(&server);
    server.terminate();
    let (last, code, _) = rest(&mut peer);
    seen.extend(last);
    assert_eq!(code, 1012);
    let ended = assert_order(&events(&seen));
    assert_eq!(ended.len(), RUNS, "each run has its end all the same");
    let reasons: Vec<_> = seen
        .iter()
        .filter(|message| message["type"] == "agent_failed")
        .map(|it| &it["payload"]["error"])
        .collect();
    assert!(!reasons.is_empty());
    assert!(
        reasons.iter().all(|error| error["reason"] == "DRAINING" && error["retryable"] == true),
        "{reasons:?}"
    );
    peer.finish();
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let server = patient().start();
    let (mut peer, _) = busy(&server);
    server.terminate();
    // The first one has arrived.
    peer.wait_for("draining");
    server.terminate();
    assert_eq!(server.exit_code(), Some(0));
    server.log().line(&["stopped without waiting"]);
    assert!(!server.ready_file().exists());
}

fn a_handshake_while_the_server_stops() {
    let server = patient().start();
    let (_busy, _) = busy(&server);
    // Open before the signal, and asked after it.
    let request = Request::upgrade("/ws").bearer(&server.token("bob")).bytes();
    let mut late = server.connect();
    late.send(&request[..20]);
    let mut health = server.connect();
    health.send(b"GET /ws/health HTTP/1.1\r\n");
    assert_eq!(server.ask(&Request::plain("GET", "/ws/health")).status, 200);
    server.terminate();
    server.log().line(&["\"message\":\"draining\""]);
    late.send(&request[20..]);
    let response = late.response();
    assert_refused("draining", &server, &response, Reason::Draining);
    health.send(b"Host: 127.0.0.1\r\n\r\n");
    let response = health.response();
    assert_eq!(
        (response.status, response.json()["status"].as_str()),
        (503, Some("draining")),
        "{}",
        response.raw
    );
    // Nobody waits in a queue that is not served any more.
    assert!(std::net::TcpStream::connect(server.gateway()).is_err());
}

#[test]
fn stopping_earns_its_reason() {
    for (_, scenario) in EARNED {
        scenario();
    }
}
