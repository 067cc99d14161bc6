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

/// Enough runs in one thread to last for a while, at the pace of [`patient`].
const RUNS: usize = 8;

/// A live connection with so much accepted and not ended, and what it has seen.
fn busy(server: &Server) -> (Peer, Vec<Value>) {
    let mut peer = server.live("/ws", "ann");
    for number in 0..RUNS {
        peer.say(&question(&format!("m-{number}"), "t", "Why does jwt.abc give 1011?"));
    }
    let mut seen = Vec::new();
    while seen.iter().filter(|message: &&Value| message["type"] == "message_accepted").count() < RUNS {
        seen.push(peer.json());
    }
    (peer, seen)
}

fn patient() -> Builder {
    crate::server().set("dev.pace", "\"20ms\"").set("gateway.drain", "\"60s\"")
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
fn who_waits_for_nothing_is_closed_first_and_one_by_one() {
    let server = patient().set("limits.connections_per_address", "1000").start();
    let mut idle: Vec<Peer> = (0..300).map(|n| server.live("/ws", &format!("user-{n}"))).collect();
    let (mut waiting, mut seen) = busy(&server);
    // The same user on another device, and one whose runs would end with the connection.
    let mut device = server.live("/ws", "ann");
    let mut alone = server.live("/ws/isolated", "cem");
    alone.say(&question("m", "t", "Why does jwt.abc give 1011?"));
    let mut own = vec![alone.wait_for("message_accepted")];
    server.terminate();
    let mut back = Vec::new();
    for peer in &mut idle {
        let (told, code, _) = rest(peer);
        assert_eq!(code, 1012);
        let [draining] = &told[..] else { panic!("{told:?}") };
        back.push(draining["payload"]["reconnect_after_ms"].as_u64().unwrap());
        peer.finish();
    }
    assert!(
        back.iter().collect::<std::collections::HashSet<_>>().len() > 100,
        "they come back one by one: {back:?}"
    );
    for (peer, seen, runs) in [(&mut alone, &mut own, 1), (&mut waiting, &mut seen, RUNS)] {
        let (last, code, _) = rest(peer);
        seen.extend(last);
        assert_eq!(code, 1012);
        let ended = assert_order(&events(seen));
        assert_eq!(ended.len(), runs);
        assert!(
            ended.values().all(|(_, kind)| kind == "agent_completed"),
            "closed before its runs had ended"
        );
        peer.finish();
    }
    let (on_the_other, ..) = rest(&mut device);
    assert_eq!(
        events(&on_the_other).last(),
        events(&seen).last(),
        "the other device of a user who waits stays as well"
    );
    device.finish();
    assert_eq!(server.exit_code(), Some(0));
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
