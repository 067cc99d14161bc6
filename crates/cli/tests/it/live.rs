//! Each reason that ends a live connection, refuses a message or fails a run, earned by what a client sends or leaves out.

use std::thread;

use portcullis_reason::{CloseProfile, Reason};
use portcullis_test::frame::{Frame, Header, LengthForm, Message, Opcode, WireCode};
use portcullis_test::{Peer, Request, Server, Shared, Tokens};
use serde_json::{Value, json};

use crate::{
    Scenario,
    support::{assert_order, ended_runs, events, question},
};

static PLAIN: Shared = Shared::new(|| crate::server().start());

/// What is earned here, and how.
pub(crate) const EARNED: &[Scenario] = &[
    (Reason::ProtocolError, framing),
    (Reason::InvalidPayload, text_that_is_not_utf8),
    (Reason::MessageTooBig, messages_too_big),
    (Reason::UnsupportedData, binary),
    (Reason::HeartbeatTimeout, silence),
    (Reason::TokenExpired, a_token_that_ends),
    (Reason::SlowConsumer, a_reader_that_is_too_slow),
    (Reason::RateLimited, messages_too_fast),
    (Reason::MessageMalformed, messages_that_say_nothing),
    (Reason::UnknownAgent, an_agent_that_is_not_there),
    (Reason::UnknownRun, runs_that_are_not_there),
    (Reason::TooManyRuns, too_many_runs),
    (Reason::QuotaReached, as_much_as_may_be_is_kept),
    (Reason::RunCancelled, a_run_that_is_cancelled),
    (Reason::RunLimit, a_run_that_says_too_much),
];

#[test]
fn each_reason_of_a_live_connection_is_earned() {
    // Side by side: some of them wait for a clock.
    thread::scope(|scope| {
        let running: Vec<_> =
            EARNED.iter().map(|&(reason, scenario)| (reason, scope.spawn(scenario))).collect();
        for (reason, running) in running {
            assert!(running.join().is_ok(), "{reason} was not earned; see above");
        }
    });
}

/// Sends `bytes` on a live connection and asserts that it ends for `reason`, and that nothing behind them is read.
#[track_caller]
fn assert_ends(name: &str, bytes: &[u8], reason: Reason) {
    let server = PLAIN.get();
    let mut peer = server.live("/ws", &format!("user of {name}"));
    let behind =
        Frame::text(&question("late", "t", "Is this read?").to_string()).masked([1, 2, 3, 4]).to_vec();
    peer.try_send(&[bytes, &behind].concat());
    let close = peer.closed();
    assert_eq!(close.code, reason.close_code(CloseProfile::Standard), "{name}: {close:?}");
    assert!(close.reason.starts_with(&format!("{reason}: ")), "{name}: {close:?}");
    let mut again = server.live("/ws?resume=t::0", &format!("user of {name}"));
    let gap = again.wait_for("resume_gap");
    assert_eq!(gap["payload"]["reason"], "unknown_thread", "{name}: what came behind was run");
}

fn masked(frame: Frame<'_>) -> Vec<u8> {
    frame.masked([9, 8, 7, 6]).to_vec()
}

fn framing() {
    let header = |header: Header, payload: &[u8]| {
        masked(Frame {
            header: Header { length: payload.len() as u64, ..header },
            payload: payload.to_vec().into(),
        })
    };
    let text = Header::new(Opcode::Text, 0);
    assert_ends("FR-01 no mask", &Frame::text("hello").to_vec(), Reason::ProtocolError);
    for rsv in 1..8 {
        let frame = header(Header { rsv, ..text }, b"hello");
        assert_ends(&format!("FR-03 reserved bits {rsv:03b}"), &frame, Reason::ProtocolError);
    }
    for opcode in [3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF] {
        let frame = header(Header { opcode, ..text }, b"hello");
        assert_ends(&format!("FR-04 opcode {opcode:#x}"), &frame, Reason::ProtocolError);
    }
    let long = header(Header { form: LengthForm::Bits16, ..text }, b"hello");
    assert_ends("FR-06 a length in a longer form", &long, Reason::ProtocolError);
    let top = [0x81, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 1, 9, 8, 7, 6];
    assert_ends("FR-05 a length with its top bit", &top, Reason::ProtocolError);
    assert_ends("FR-08 nothing to continue", &masked(Frame::continuation(b"x")), Reason::ProtocolError);
    let twice = [masked(Frame::text("a").unfinished()), masked(Frame::text("b"))].concat();
    assert_ends("FR-08 a start inside a message", &twice, Reason::ProtocolError);
    let ping = masked(Frame::new(Opcode::Ping, vec![0; 126]));
    assert_ends("CT-01 a long ping", &ping, Reason::ProtocolError);
    assert_ends("CT-01 half a ping", &masked(Frame::ping(b"x").unfinished()), Reason::ProtocolError);
    let close = |body: &[u8]| masked(Frame::new(Opcode::Close, body.to_vec()));
    assert_ends("CT-08 a close of one byte", &close(&[3]), Reason::ProtocolError);
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        assert_ends(&format!("CL-05 code {code}"), &close(&code.to_be_bytes()), Reason::ProtocolError);
    }
}

fn text_that_is_not_utf8() {
    let text = |bytes: &[u8]| masked(Frame::new(Opcode::Text, bytes.to_vec()));
    assert_ends("FR-10 an overlong form", &text(b"\xC0\xAF"), Reason::InvalidPayload);
    assert_ends("FR-10 a surrogate", &text(b"\xED\xA0\x80"), Reason::InvalidPayload);
    assert_ends("FR-10 a sequence cut short", &text(b"\xE2\x82"), Reason::InvalidPayload);
    // FR-11: noticed in the first fragment; the rest of the message never comes.
    let first = masked(Frame::new(Opcode::Text, b"\xFF".to_vec()).unfinished());
    assert_ends("FR-11 in the first fragment", &first, Reason::InvalidPayload);
    let close = masked(Frame::new(Opcode::Close, b"\x03\xE8\xFF".to_vec()));
    assert_ends("CT-09 a close reason", &close, Reason::InvalidPayload);
}

fn messages_too_big() {
    let limit = 64 * 1024;
    let frame = masked(Frame::text(&"x".repeat(limit + 1)));
    assert_ends("FR-12 a frame over the limit", &frame, Reason::MessageTooBig);
    let announced = masked(Frame::text("").announcing(1 << 40));
    assert_ends("FR-12 a frame that only announces", &announced, Reason::MessageTooBig);
    let half = "x".repeat(limit / 2 + 1);
    let halves =
        [masked(Frame::text(&half).unfinished()), masked(Frame::continuation(half.as_bytes()))].concat();
    assert_ends("FR-12 a message over the limit", &halves, Reason::MessageTooBig);
    let first = masked(Frame::text("x").unfinished());
    let pieces = [first, masked(Frame::continuation(b"x").unfinished()).repeat(300)].concat();
    assert_ends("FR-12 many small fragments", &pieces, Reason::MessageTooBig);
}

fn binary() {
    assert_ends("binary", &masked(Frame::binary(b"{}")), Reason::UnsupportedData);
}

fn silence() {
    // Time enough for an answer on a machine that is busy with something else.
    let server =
        crate::server().set("heartbeat.interval", "\"150ms\"").set("heartbeat.timeout", "\"4s\"").start();
    let mut peer = server.live("/ws", "ann");
    peer.ignore_pings();
    // Each answer earns another ping; then there are none any more.
    for _ in 0..4 {
        let Message::Ping(payload) = peer.message() else { panic!("a ping was expected") };
        peer.frame(Frame::pong(&payload));
    }
    let close = peer.closed();
    assert_eq!(close.code, Some(1001), "{close:?}");
    assert!(close.reason.starts_with("HEARTBEAT_TIMEOUT: "), "{close:?}");
    assert_eq!(server.figure("portcullis_heartbeat_timeouts_total"), 1);
}

fn a_token_that_ends() {
    // The leeway is what a busy machine has for the handshake.
    let server = crate::server().set("token.leeway", "\"4s\"").start();
    let ends = Tokens::now() + 1;
    let mut peer = server.connect();
    peer.open(&Request::upgrade("/ws").bearer(&server.tokens().with("ann", &json!({ "exp": ends }))));
    let expiring = peer.wait_for("token_expiring");
    assert!(expiring["payload"]["seconds_left"].as_u64().unwrap() <= 1, "{expiring}");
    let close = peer.closed();
    assert_eq!(close.code, Some(1008), "{close:?}");
    assert!(close.reason.starts_with("TOKEN_EXPIRED: "), "{close:?}");
    assert!(Tokens::now() > ends, "the leeway counts");
}

/// The leeway is counted from the token's end, not from when it was shown.
#[test]
fn a_connection_with_a_token_that_is_over_ends_when_handshakes_with_it_do() {
    let server = crate::server().set("token.leeway", "\"60s\"").start();
    let exp = Tokens::now() - 57;
    let mut peer = server.connect();
    peer.open(&Request::upgrade("/ws").bearer(&server.tokens().with("ann", &json!({ "exp": exp }))));
    let close = peer.closed();
    assert!(close.reason.starts_with("TOKEN_EXPIRED: "), "{close:?}");
    assert!(Tokens::now() < exp + 60 + 57, "{exp}");
}

fn a_reader_that_is_too_slow() {
    let server = crate::server()
        .set("limits.queue_bytes", "\"64 KiB\"")
        .set("runs.retained_bytes", "\"64 MiB\"")
        .set("runs.retained_events", "1000000")
        .start();
    // The slow one reads nothing. What the system keeps for it fills first, which it may do for many megabytes unless it is
    // told otherwise, then its queue here.
    let mut slow = Peer::connect_narrow(server.gateway());
    slow.open(&Request::upgrade("/ws").bearer(&server.token("ann")));
    let mut fast = server.live("/ws", "ann");
    let token = server.tokens().with("ann", &json!({ "note": "x".repeat(6_000) }));
    let mut runs = 0;
    while server.figure("portcullis_closes_sent_total{code=\"1011\"}") == 0
        && !server.metrics().contains("portcullis_closes_sent_total{code=\"1013\"} 1")
    {
        for _ in 0..20 {
            runs += 1;
            assert!(runs < 5_000, "nobody was too slow");
            fast.say(&question(&format!("m-{runs}"), "t", &format!("What is wrong with {token}?")));
            fast.until_ended(1);
        }
    }
    // It is told if it reads on within a second; whether it does is for the machine to say, and the log tells it anyway.
    server.log().line(&["connection ended", "SLOW_CONSUMER", "1013"]);
    let seen: Vec<Value> = std::iter::from_fn(|| slow.try_json()).collect();
    // What was too slow comes back and misses nothing.
    let last = seen.last().unwrap();
    let (epoch, seq) = (last["epoch"].as_str().unwrap(), last["seq"].as_u64().unwrap());
    let mut again = server.connect();
    again.open(&Request::upgrade(&format!("/ws?resume=t:{epoch}:{seq}")).bearer(&server.token("ann")));
    let resumed = again.wait_for("resumed");
    let rest = again.replayed(&resumed);
    let all = [events(&seen), events(&rest)].concat();
    assert_eq!(assert_order(&all).len(), runs);
}

fn messages_too_fast() {
    let server =
        crate::server().set("limits.messages_per_second", "1").set("limits.message_burst", "2").start();
    let mut peer = server.live("/ws", "ann");
    let ping = masked(Frame::text(r#"{"type":"ping"}"#));
    peer.send(&ping.repeat(6));
    let mut kinds = Vec::new();
    let close = loop {
        match peer.message() {
            Message::Text(text) => {
                let message: Value = serde_json::from_str(&text).unwrap();
                kinds.push(message["payload"]["reason"].as_str().unwrap_or("pong").to_owned());
            }
            Message::Close(close) => break close.unwrap(),
            other => panic!("{other:?}"),
        }
    };
    // The burst is answered, as many are refused, and who goes on after that does not listen.
    assert_eq!(kinds, ["pong", "pong", "RATE_LIMITED", "RATE_LIMITED"]);
    assert_eq!(close.code.get(), 1008);
    assert!(close.reason.starts_with("RATE_LIMITED: "), "{}", close.reason);
}

/// Another connection or request has none of its own, and another user has all of theirs.
#[test]
fn what_a_user_sends_counts_wherever_it_comes() {
    let server =
        crate::server().set("limits.messages_per_second", "1").set("limits.message_burst", "20").start();
    let mut first = server.live("/ws", "ann");
    let mut second = server.live("/ws/isolated", "ann");
    let mut bob = server.live("/ws", "bob");
    let ping = masked(Frame::text(r#"{"type":"ping"}"#));
    first.send(&ping.repeat(20));
    for _ in 0..20 {
        assert_eq!(first.json()["type"], "pong");
    }
    second.send(&ping);
    assert_eq!(second.json()["payload"]["reason"], "RATE_LIMITED");
    let list = Request::plain("GET", "/api/v1/threads").bearer(&server.token("ann"));
    let refused = server.ask(&list);
    assert_eq!((refused.status, refused.field("Retry-After")), (429, Some("1")), "{}", refused.raw);
    bob.send(&ping);
    assert_eq!(bob.json()["type"], "pong");
    // Control frames have an allowance of their own, as large.
    first.send(&masked(Frame::ping(b"a")).repeat(15));
    second.send(&masked(Frame::ping(b"b")).repeat(60));
    let close = loop {
        match second.message() {
            Message::Close(close) => break close.unwrap(),
            Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(close.reason.starts_with("RATE_LIMITED: "), "{}", close.reason);
    first.send(&ping);
    assert_eq!(first.wait_for("error")["payload"]["reason"], "RATE_LIMITED", "that one goes on");
}

/// Sends one message and asserts that it is answered by an `error` for `reason`, and that the connection goes on.
#[track_caller]
fn assert_error(peer: &mut Peer, text: &str, reason: Reason, id: Option<&str>) {
    peer.text(text);
    let answers = peer.drain();
    let [error] = &answers[..] else { panic!("{text}: {answers:?}") };
    assert_eq!(error["type"], "error", "{text}: {error}");
    let payload = if error["payload"].is_null() { &error["data"] } else { &error["payload"] };
    assert_eq!(payload["reason"], reason.id(), "{text}: {error}");
    assert_eq!(payload["title"], reason.title(), "{text}: {error}");
    assert_eq!(payload["retry"], reason.retry().as_str(), "{text}: {error}");
    assert!(payload["message"].as_str().is_some_and(|message| !message.is_empty()), "{text}: {error}");
    assert_eq!(payload["message_id"].as_str(), id, "{text}: {error}");
    assert!(!error.to_string().contains("not-to-be-repeated"), "{text}: {error}");
}

fn messages_that_say_nothing() {
    let server = PLAIN.get();
    for path in ["/ws", "/ws/factory", "/ws/isolated", "/ws/legacy"] {
        let mut peer = server.live(path, "mal");
        for (text, id) in [
            ("", None),
            ("not-to-be-repeated", None),
            ("[]", None),
            ("7", None),
            ("{}", None),
            (r#"{"type":"not-to-be-repeated"}"#, None),
            (r#"{"type":"user_message"}"#, None),
            (r#"{"type":"user_message","id":"m","payload":{}}"#, Some("m")),
            (r#"{"type":"user_message","id":"m","payload":{"content":"  "}}"#, Some("m")),
            (r#"{"type":"user_message","id":"m","payload":{"content":7}}"#, Some("m")),
            (r#"{"type":"user_message","id":"m","id":"n","payload":{"content":"a"}}"#, None),
            (r#"{"type":"user_message","thread_id":"not to be repeated","payload":{"content":"a"}}"#, None),
            (r#"{"type":"cancel_run","id":"m","payload":{}}"#, Some("m")),
            (r#"{"type":"resume","id":"m","payload":{"threads":7}}"#, Some("m")),
            (r#"{"type":"reauthenticate","id":"m","payload":{}}"#, Some("m")),
        ] {
            assert_error(&mut peer, text, Reason::MessageMalformed, id);
        }
    }
}

fn an_agent_that_is_not_there() {
    let server = PLAIN.get();
    let mut peer = server.live("/ws", "mal");
    let text =
        r#"{"type":"user_message","id":"m","payload":{"content":"Hello?","agent":"not-to-be-repeated"}}"#;
    assert_error(&mut peer, text, Reason::UnknownAgent, Some("m"));
}

fn runs_that_are_not_there() {
    let server = PLAIN.get();
    let (mut ann, mut bob) = (server.live("/ws", "run-ann"), server.live("/ws", "run-bob"));
    ann.say(&question("m", "t", "What is 1006?"));
    let ended = ann.until_ended(1).pop().unwrap();
    let run = ended["run_id"].as_str().unwrap();
    let cancel =
        |run: &str| json!({ "type": "cancel_run", "id": "c", "payload": { "run_id": run } }).to_string();
    // One's own that has ended, another user's, and one that never was: alike.
    assert_error(&mut ann, &cancel(run), Reason::UnknownRun, Some("c"));
    assert_error(&mut bob, &cancel(run), Reason::UnknownRun, Some("c"));
    assert_error(&mut bob, &cancel("run-0"), Reason::UnknownRun, Some("c"));
    let steer =
        |run: &str| json!({ "type": "steer", "id": "c", "payload": { "run_id": run, "content": "a" } });
    assert_error(&mut ann, &steer(run).to_string(), Reason::UnknownRun, Some("c"));
    assert_error(&mut bob, &steer("run-0").to_string(), Reason::UnknownRun, Some("c"));
    let approve = r#"{"type":"approve","id":"c","payload":{"approval_id":"a","decision":"approved"}}"#;
    assert_error(&mut bob, approve, Reason::UnknownRun, Some("c"));
}

/// Questions on one thread in one write, so that they stand in a queue.
fn burst(peer: &mut Peer, count: usize, content: &str) {
    let frames =
        (0..count).map(|i| masked(Frame::text(&question(&format!("m-{i}"), "t", content).to_string())));
    peer.send(&frames.collect::<Vec<_>>().concat());
}

fn too_many_runs() {
    let server = crate::server().set("runs.per_user", "1").start();
    let mut peer = server.live("/ws", "ann");
    burst(&mut peer, 20, &"What is 1006? ".repeat(100));
    let (mut accepted, mut refused) = (0, 0);
    let mut messages = Vec::new();
    while accepted + refused < 20 {
        let message = peer.json();
        accepted += usize::from(message["type"] == "message_accepted");
        if message["type"] == "error" {
            assert_eq!(message["payload"]["reason"], "TOO_MANY_RUNS", "{message}");
            refused += 1;
        }
        messages.push(message);
    }
    assert!(refused > 0, "one at a time, and twenty came at once");
    while ended_runs(&messages) < accepted {
        messages.push(peer.json());
    }
    assert_eq!(assert_order(&events(&messages)).len(), accepted, "what was accepted ends");
}

fn as_much_as_may_be_is_kept() {
    let server = crate::server().set("events.bytes_per_user", "\"4 KiB\"").start();
    let mut peer = server.live("/ws", "ann");
    let ask = |peer: &mut Peer, id: &str| {
        peer.say(&question(id, "t", "What does 1006 mean?"));
        peer.until("agent_completed")
    };
    ask(&mut peer, "m1");
    peer.say(&question("m2", "t2", "What does 1006 mean?"));
    let refused = peer.wait_for("error");
    assert_eq!(refused["payload"]["reason"], "QUOTA_REACHED", "{refused}");
    let told = refused["payload"]["message"].as_str().unwrap();
    assert!(told.contains("4 KiB") && told.contains("delete a thread"), "{told}");
    let token = server.token("ann");
    let message = question("m3", "t2", "What does 1006 mean?");
    let posted = server.ask(&Request::post("/messages", &message).bearer(&token));
    assert_eq!(posted.status, 403, "{}", posted.raw);
    // The first is answered for what it is, and others have room of their own.
    peer.say(&question("m1", "t", "What does 1006 mean?"));
    assert_eq!(peer.wait_for("message_accepted")["payload"]["duplicate"], true);
    ask(&mut server.live("/ws", "bob"), "m1");
    // It counts no more once it is deleted.
    let deleted = server.ask(&Request::plain("DELETE", "/api/v1/threads/t").bearer(&token));
    assert_eq!(deleted.status, 204, "{}", deleted.raw);
    ask(&mut peer, "m4");
}

fn a_run_that_is_cancelled() {
    let server = crate::server().set("runs.per_user", "100").start();
    let (mut asks, mut cancels) = (server.live("/ws", "ann"), server.live("/ws", "ann"));
    let long = "Why does jwt.abc give 1011, 1008 and NO_TOKEN? ".repeat(1_000);
    burst(&mut asks, 40, &long);
    let last = loop {
        let message = asks.json();
        if message["type"] == "message_accepted" && message["payload"]["message_id"] == "m-39" {
            break message["run_id"].as_str().unwrap().to_owned();
        }
    };
    // From another device.
    cancels.say(&json!({ "type": "cancel_run", "payload": { "run_id": last } }));
    let messages = cancels.until_ended(40);
    let failed: Vec<_> = messages.iter().filter(|message| message["type"] == "agent_failed").collect();
    let [failed] = &failed[..] else { panic!("{failed:?}") };
    assert_eq!(failed["run_id"], last.as_str());
    assert_eq!(failed["payload"]["error"]["reason"], "RUN_CANCELLED");
    assert_eq!(server.figure("portcullis_runs_failed_total{reason=\"RUN_CANCELLED\"}"), 1);
}

fn a_run_that_says_too_much() {
    let server = crate::server().set("runs.output_bytes", "\"1 KiB\"").start();
    let mut peer = server.live("/ws", "ann");
    peer.say(&question("m", "t", "What do 1008 and 1011 mean?"));
    let messages = peer.until_ended(1);
    assert_order(&events(&messages));
    let last = messages.last().unwrap();
    assert_eq!(last["payload"]["error"]["reason"], "RUN_LIMIT", "{last}");
}

#[test]
fn what_is_allowed_stays_open() {
    let server = PLAIN.get();
    let mut peer = server.live("/ws", "good");
    // FR-07, FR-09: fragments with a ping between, and every byte on its own.
    let text = r#"{"type":"ping","payload":"€"}"#.as_bytes();
    let start = Frame::new(Opcode::Text, &text[..28]).unfinished();
    let parts = [masked(start), masked(Frame::ping(b"between")), masked(Frame::continuation(&text[28..]))];
    for byte in parts.concat() {
        peer.send(&[byte]);
    }
    assert_eq!(peer.message(), Message::Pong(b"between"[..].into()), "CT-03");
    assert_eq!(peer.wait_for("pong")["payload"]["echo"], "€");
    peer.frame(Frame::pong(b"nobody asked"));
    assert_eq!(peer.drain(), Vec::<Value>::new(), "CT-05");
    for code in [1000, 1001, 1008, 1011, 1014, 3000, 3999, 4000, 4999] {
        let mut peer = server.live("/ws", "good");
        peer.frame(Frame::close(WireCode::new(code).unwrap(), "bye"));
        assert_eq!(peer.closed().code, Some(code), "CT-06, CL-06");
    }
    let mut peer = server.live("/ws", "good");
    peer.frame(Frame::empty_close());
    assert_eq!(peer.closed().code, None, "an empty one is answered by an empty one");
}

/// Everything there is in a server's favour: nobody needed its own fault.
#[track_caller]
pub(crate) fn assert_blameless(server: &Server) {
    assert_eq!(server.figure("portcullis_closes_sent_total{code=\"1011\"}"), 0);
    assert_eq!(server.figure("portcullis_handshake_rejections_total{reason=\"INTERNAL\"}"), 0);
    assert_eq!(server.figure("portcullis_runs_failed_total{reason=\"INTERNAL\"}"), 0);
    assert!(!server.log().text().contains("panicked"), "{}", server.log().text());
}
