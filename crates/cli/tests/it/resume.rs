//! Coming back: nothing is missed, nothing comes twice, and what cannot be had is said plainly. And going on with a fresh
//! token.

use portcullis_test::{Peer, Request, Server, Tokens};
use serde_json::{Value, json};

use crate::support::{assert_order, events, question};

/// Runs `count` questions on a thread to their end, and gives the events.
fn talk(peer: &mut Peer, thread: &str, count: usize) -> Vec<Value> {
    for number in 0..count {
        peer.say(&question(&format!("{thread}-{number}-{}", peer_number()), thread, "What is 1006?"));
    }
    events(&peer.until_ended(count))
}

fn peer_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

fn epoch(event: &Value) -> &str {
    event["epoch"].as_str().unwrap()
}

/// The events of one thread behind `after`.
fn behind(events: &[Value], thread: &str, after: u64) -> Vec<Value> {
    let wanted = |event: &&Value| event["thread_id"] == thread && event["seq"].as_u64().unwrap() > after;
    events.iter().filter(wanted).cloned().collect()
}

#[test]
fn nothing_is_missed_and_nothing_comes_twice() {
    let server = crate::server().set("runs.per_user", "100").start();
    let mut first = server.live("/ws", "ann");
    let mut all = talk(&mut first, "a", 3);
    all.extend(talk(&mut first, "b:/?&", 2));
    drop(first);
    let epochs =
        |thread: &str| epoch(all.iter().find(|event| event["thread_id"] == thread).unwrap()).to_owned();
    let (a, b) = (epochs("a"), epochs("b:/?&"));
    let last = behind(&all, "a", 0).len() as u64;
    // From every place, by the query and by the command alike.
    for after in [0, 1, 5, last - 1, last] {
        let expected = behind(&all, "a", after);
        let mut by_query = server.connect();
        let target = format!("/ws?resume=a:{a}:{after}&resume=b%3A%2F%3F%26:{b}:0");
        by_query.open(&Request::upgrade(&target).bearer(&server.token("ann")));
        assert_eq!(by_query.json()["type"], "connection_established");
        let told = by_query.json();
        let threads = told["payload"]["threads"].as_array().unwrap();
        assert_eq!((told["type"].as_str(), threads.len()), (Some("resumed"), 2), "{told}");
        let range = (threads[0]["from_seq"].as_u64().unwrap(), threads[0]["to_seq"].as_u64().unwrap());
        assert_eq!(range, (after + 1, last), "{told}");
        let mut replayed = by_query.replayed(&told);
        replayed.extend(by_query.drain());
        assert_eq!(behind(&replayed, "a", 0), expected, "after {after}");
        assert_eq!(behind(&replayed, "b:/?&", 0), behind(&all, "b:/?&", 0), "after {after}");

        let mut by_command = server.live("/ws/factory", "ann");
        let point = json!({ "thread_id": "a", "epoch": a, "after_seq": after });
        by_command.say(&json!({ "type": "resume", "payload": { "threads": [point] } }));
        let told = by_command.json();
        let mut replayed = by_command.replayed(&told);
        replayed.extend(by_command.drain());
        assert_eq!(replayed, expected, "after {after}");
    }
}

#[test]
fn who_comes_back_in_the_middle_sees_each_event_once() {
    let server = crate::server()
        .set("runs.per_user", "200")
        .set("runs.retained_bytes", "\"8 MiB\"")
        .set("runs.retained_events", "100000")
        .start();
    let mut talker = server.live("/ws", "ann");
    let count = 60;
    for number in 0..count {
        talker.say(&question(&format!("m-{number}"), "t", "What is 1006?"));
    }
    // Others come back while it goes on, as often as there is something to come back to.
    let mut late: Vec<Peer> = Vec::new();
    let mut seen = Vec::new();
    let mut ended = 0;
    while ended < count {
        let message = talker.json();
        let done = message["type"] == "agent_completed";
        seen.push(message);
        ended += usize::from(done);
        if done && ended % 6 == 0 && late.len() < 10 {
            late.push(server.live("/ws?resume=t::0", "ann"));
        }
    }
    let all = events(&seen);
    assert_order(&all);
    for mut peer in late {
        assert_eq!(peer.json()["type"], "resumed");
        let told = events(&peer.until_ended(count));
        assert_eq!(told, all, "all of it, once and in order");
    }
}

#[test]
fn what_cannot_be_had_is_said_plainly() {
    let server = crate::server().set("runs.retained_events", "10").start();
    let mut peer = server.live("/ws", "ann");
    let all = talk(&mut peer, "t", 3);
    let (epoch, last) = (epoch(&all[0]).to_owned(), all.len() as u64);
    let gap = |peer: &mut Peer, thread: &str, epoch: &str, after: u64| {
        let point = json!({ "thread_id": thread, "epoch": epoch, "after_seq": after });
        peer.say(&json!({ "type": "resume", "payload": { "threads": [point] } }));
        let answers = peer.drain();
        let [gap] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!(
            (gap["type"].as_str(), gap["thread_id"].as_str()),
            (Some("resume_gap"), Some(thread)),
            "{gap}"
        );
        gap["payload"].clone()
    };
    let trimmed = gap(&mut peer, "t", &epoch, 0);
    let first = trimmed["first_available_seq"].as_u64().unwrap();
    assert!((last - 9..=last - 4).contains(&first), "ten at most, and half of that at least: {trimmed}");
    let stream = |reason: &str| {
        json!({
            "thread_id": "t", "epoch": epoch, "first_available_seq": first, "last_seq": last, "reason": reason,
        })
    };
    assert_eq!(gap(&mut peer, "t", &epoch, 0), stream("trimmed"));
    assert_eq!(gap(&mut peer, "t", &epoch, last + 1), stream("ahead"));
    assert_eq!(gap(&mut peer, "t", "another", 1), stream("epoch_changed"));
    let nothing = json!({ "thread_id": "u", "last_seq": 0, "reason": "unknown_thread" });
    assert_eq!(gap(&mut peer, "u", &epoch, 0), nothing);
    // Another user's thread looks as if it were not there.
    let mut bob = server.live("/ws", "bob");
    let nothing = json!({ "thread_id": "t", "last_seq": 0, "reason": "unknown_thread" });
    assert_eq!(gap(&mut bob, "t", &epoch, 0), nothing);
    let mut isolated = server.live("/ws/isolated", "ann");
    let nothing = json!({ "thread_id": "t", "last_seq": 0, "reason": "not_resumable" });
    assert_eq!(gap(&mut isolated, "t", &epoch, 0), nothing);

    // A place without its epoch means nothing.
    drop(peer);
    let mut again = server.live("/ws?resume=t::7", "ann");
    let refused = again.json();
    assert_eq!(refused["payload"]["reason"], "MESSAGE_MALFORMED", "{refused}");
    assert_eq!(again.drain(), Vec::<Value>::new(), "the connection goes on");
}

#[test]
fn the_older_endpoint_does_not_resume() {
    let server = crate::server().start();
    let mut peer = server.live("/ws", "ann");
    talk(&mut peer, "t", 1);
    let mut legacy = server.live("/ws/legacy?resume=t::0", "ann");
    let gap = legacy.json();
    assert_eq!(gap["type"], "resume_gap", "{gap}");
    assert_eq!(gap["data"]["reason"], "not_resumable", "{gap}");
}

fn reauthenticate(peer: &mut Peer, token: &str) -> Vec<Value> {
    peer.say(&json!({ "type": "reauthenticate", "id": "r", "payload": { "token": token } }));
    peer.drain()
}

#[test]
fn a_fresh_token_of_the_same_user_moves_the_end() {
    // `outlive` asks as fast as it can.
    let server = crate::server()
        .set("token.leeway", "\"0s\"")
        .set("limits.messages_per_second", "1000000")
        .set("limits.message_burst", "1000000")
        .start();
    let tokens = server.tokens();
    let end = Tokens::now() + 3;
    let mut peer = server.connect();
    peer.open(&Request::upgrade("/ws").bearer(&tokens.with("ann", &json!({ "exp": end }))));
    let expiring = peer.wait_for("token_expiring");
    assert!(expiring["payload"]["seconds_left"].as_u64().unwrap() <= 3, "{expiring}");

    let refused = |answers: Vec<Value>, reason: &str| {
        let [error] = &answers[..] else { panic!("{reason}: {answers:?}") };
        assert_eq!(error["payload"]["reason"], reason, "{error}");
        assert_eq!(error["payload"]["message_id"], "r", "{error}");
    };
    let good = server.token("ann");
    refused(reauthenticate(&mut peer, &server.token("bob")), "INSUFFICIENT_SCOPE");
    refused(
        reauthenticate(&mut peer, &tokens.with("ann", &json!({ "iss": "https://other" }))),
        "INSUFFICIENT_SCOPE",
    );
    refused(reauthenticate(&mut peer, &tokens.with("ann", &json!({ "exp": 1 }))), "TOKEN_EXPIRED");
    refused(reauthenticate(&mut peer, &portcullis_test::alter(&good, 2)), "SIGNATURE_INVALID");
    refused(reauthenticate(&mut peer, "no token"), "TOKEN_MALFORMED");
    // Success is silent.
    assert_eq!(reauthenticate(&mut peer, &good), Vec::<Value>::new());
    outlive(&server, &mut peer, end);
}

/// Talks until `end` has passed by a second: by the old token the connection would be closed.
fn outlive(server: &Server, peer: &mut Peer, end: u64) {
    while Tokens::now() <= end {
        assert_eq!(peer.drain(), Vec::<Value>::new());
    }
    let told = talk(peer, "t", 1);
    assert_eq!(assert_order(&told).len(), 1);
    assert_eq!(server.figure("portcullis_closes_sent_total{code=\"1011\"}"), 0);
}
