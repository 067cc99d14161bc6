//! What the tests of this binary have in common.

use std::collections::{HashMap, HashSet};

use portcullis_reason::{BearerError, Reason};
use portcullis_test::{PATIENCE, Peer, Response, Server};
use portcullis_units::Clock;
use serde_json::{Value, json};

/// Asserts everything that the answer to a refused handshake promises, and that the log tells the same.
#[track_caller]
pub(crate) fn assert_refused(name: &str, server: &Server, response: &Response, reason: Reason) {
    let shown = reason.shown_as();
    let context = || format!("{name}: {}", response.raw);
    assert_eq!(response.reason(), shown.id(), "{}", context());
    assert_eq!(Some(response.status), reason.status(), "{}", context());
    assert_problem(name, response, shown);
    assert_fields(name, response, shown);

    let problem = response.json();
    let id = problem["request_id"].as_str().unwrap();
    assert_eq!(response.field("X-Request-Id"), Some(id), "{}", context());
    // The log knows the reason itself, where the answer may show a coarser one.
    let line = server.log().line(&[&format!("\"request_id\":\"{id}\"")]);
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["reason"], reason.id(), "{name}: {line}");
    assert_ne!(line["detail"], "", "{name}: the log says what was found");
}

/// The problem document (RFC 9457 §3).
#[track_caller]
pub(crate) fn assert_problem(name: &str, response: &Response, reason: Reason) {
    let problem = response.json();
    assert_eq!(response.field("Content-Type"), Some("application/problem+json"), "{name}");
    assert_eq!(problem["type"], format!("/reasons/{reason}"), "{name}");
    assert_eq!(problem["title"], reason.title(), "{name}");
    assert_eq!(problem["status"], response.status, "{name}");
    assert_eq!(problem["retry"], reason.retry().as_str(), "{name}");
    assert_ne!(problem["remedy"].as_str(), Some(""), "{name}");
    assert_ne!(problem["request_id"].as_str(), Some(""), "{name}");
    for member in problem.as_object().unwrap().keys() {
        let known = ["type", "title", "status", "detail", "reason", "retry", "remedy", "request_id"];
        assert!(known.contains(&member.as_str()), "{name}: {member}");
    }
}

/// The fields that follow from status and reason.
#[track_caller]
fn assert_fields(name: &str, response: &Response, reason: Reason) {
    let context = || format!("{name}: {}", response.raw);
    // RFC 6585 §4, §5: no answer of these kinds may be stored.
    assert_eq!(response.field("Cache-Control"), Some("no-store"), "{}", context());
    assert!(response.field("Connection").unwrap().contains("close"), "{}", context());
    assert_eq!(response.field("Content-Length"), Some(response.body.len().to_string().as_str()));
    assert!(!response.has("Sec-WebSocket-Accept"), "{}", context());
    assert!(!response.has("Sec-WebSocket-Protocol"), "{}", context());

    // RFC 6750 §3, §3.1: a challenge with every 401, an error only where there was a credential.
    match (response.status, reason.bearer_error()) {
        (401, None) => assert_eq!(response.field("WWW-Authenticate"), Some("Bearer realm=\"portcullis\"")),
        (_, Some(error)) => {
            let status = if error == BearerError::InvalidRequest { [400, 401] } else { [401, 403] };
            assert!(status.contains(&response.status), "{}", context());
            let challenge = response.field("WWW-Authenticate").unwrap();
            let start =
                format!("Bearer realm=\"portcullis\", error=\"{}\", error_description=\"", error.as_str());
            // The title of what is shown: the difference between two that look alike must not stand here either.
            assert_eq!(challenge, format!("{start}{}\"", reason.title()), "{}", context());
            assert_eq!(challenge.matches("error=").count(), 1, "{}", context());
        }
        (_, None) => assert!(!response.has("WWW-Authenticate"), "{}", context()),
    }
    // RFC 9110 §15.5.6, §10.2.3, §15.5.22; RFC 6455 §4.4.
    assert_eq!(response.has("Allow"), response.status == 405, "{}", context());
    assert_eq!(response.has("Retry-After"), matches!(response.status, 429 | 503), "{}", context());
    if response.status == 426 {
        assert_eq!(response.field("Upgrade"), Some("websocket"), "{}", context());
        assert_eq!(response.field("Sec-WebSocket-Version"), Some("13"), "{}", context());
    }
}

/// Waits until `condition` holds. Each look at it has to be a round trip of its own: nothing here sleeps.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Clock::system().instant() + PATIENCE;
    while !condition() {
        assert!(Clock::system().instant() < deadline, "{what}: not in time");
    }
}

/// A question, as a client of today sends it.
pub(crate) fn question(id: &str, thread: &str, content: &str) -> Value {
    json!({ "type": "user_message", "id": id, "thread_id": thread, "payload": { "content": content } })
}

/// Opens one more connection of a user at a path and gives it with its greeting's payload.
#[track_caller]
pub(crate) fn greet(server: &Server, target: &str, subject: &str) -> (Peer, Value) {
    let mut peer = server.connect();
    peer.open(&portcullis_test::Request::upgrade(target).bearer(&server.token(subject)));
    let first = peer.json();
    assert_eq!(first["type"], "connection_established", "{first}");
    // The older form has it under another name.
    let payload = if first["payload"].is_null() { &first["data"] } else { &first["payload"] };
    (peer, payload.clone())
}

/// Only the events of runs, without the control messages between them.
pub(crate) fn events(messages: &[Value]) -> Vec<Value> {
    messages.iter().filter(|message| message["seq"].is_u64()).cloned().collect()
}

/// Asserts the order that docs/protocol.md promises of every run and of every thread, and gives the runs that were seen, each
/// with its thread and the type of its terminal event.
#[track_caller]
pub(crate) fn assert_order(events: &[Value]) -> HashMap<String, (String, String)> {
    let mut last: HashMap<&str, (&str, u64)> = HashMap::new();
    let mut open: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut ended: HashMap<String, (String, String)> = HashMap::new();
    let mut told = HashSet::new();
    for event in events {
        let text = |name: &str| event[name].as_str().unwrap_or_else(|| panic!("no {name} in {event}"));
        let (kind, run, thread, epoch) = (text("type"), text("run_id"), text("thread_id"), text("epoch"));
        let seq = event["seq"].as_u64().unwrap();
        let expected = last.insert(thread, (epoch, seq)).unwrap_or((epoch, seq - 1));
        assert_eq!((epoch, seq), (expected.0, expected.1 + 1), "a gap before {event}");
        assert!(!ended.contains_key(run), "an event behind the terminal one: {event}");
        if kind == "user_message" {
            assert!(told.insert(run), "a message is told twice: {event}");
            continue;
        }
        assert!(told.contains(run), "a message is told before its run: {event}");
        if kind == "agent_started" {
            assert!(open.insert(run, Vec::new()).is_none(), "a second start: {event}");
            continue;
        }
        let tools = open.get_mut(run).unwrap_or_else(|| panic!("an event before agent_started: {event}"));
        let tool = || event["payload"]["execution_id"].as_str().unwrap();
        match kind {
            "tool_executing" => tools.push(tool()),
            "tool_completed" => {
                let place = tools.iter().position(|open| *open == tool());
                tools.remove(place.unwrap_or_else(|| panic!("no such tool is going on: {event}")));
            }
            "agent_completed" | "agent_failed" => {
                assert!(tools.is_empty(), "a tool without its end before {event}");
                ended.insert(run.to_owned(), (thread.to_owned(), kind.to_owned()));
            }
            _ => {}
        }
    }
    assert_eq!(open.len(), ended.len(), "a run without its end");
    ended
}

/// How many terminal events are among `messages`.
pub(crate) fn ended_runs(messages: &[Value]) -> usize {
    let terminal =
        |message: &&Value| message["type"] == "agent_completed" || message["type"] == "agent_failed";
    messages.iter().filter(terminal).count()
}
