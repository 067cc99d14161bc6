//! Whatever is sent: no panic, events in order, no credential in them, bounded work.

use std::{sync::Arc, time::Instant};

use portcullis_agent::{Agent, AgentEvent, EventSink, Inbox, RunContext};
use portcullis_diagnose::redacted;
use proptest::prelude::*;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::support::{Fixed, ask, good, task};
use crate::{Doctor, evidence::Evidence, spread};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// Text of the field, out of which anything can be put together.
fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(good()),
        Just("SECRETsecretSECRETsecret".to_owned()),
        prop::sample::select(vec![
            "jwt.",
            "jwt-auth, ",
            "['jwt', '",
            "']",
            "Bearer ",
            "Authorization: ",
            "Sec-WebSocket-Protocol: ",
            "\n",
            ", ",
            "…",
            "...",
            "new WebSocket(url, [",
            "])",
            "1006 ",
            "closed with ",
            "401 ",
            "NO_TOKEN ",
            "GET /ws HTTP/1.1\n",
            "HTTP/1.1 101 x\n",
            "Host: h\n",
            "why? ",
            "fix it",
            "`",
            "${",
            "<token>",
            "\u{0}",
            "é",
            "base64url.bearer.authorization.k8s.io.",
            "?token=",
            "\"name\":\"Sec-WebSocket-Protocol\",\"value\":\"",
            "[[",
            "eyJ",
            "ZXlK",
            "need to call \"accept\" first",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,12}",
        any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_text_is_answered_in_order(text in prop::collection::vec(fragment(), 0..24).prop_map(|parts| parts.concat())) {
        // `ask` checks the order of events.
        let transcript = block_on(ask(&text));
        prop_assert!(!transcript.answer.is_empty());
    }

    #[test]
    fn a_credential_is_never_repeated(
        before in prop::collection::vec(fragment(), 0..4).prop_map(|parts| parts.concat()),
        lead in prop::sample::select(vec!["jwt.", "jwt, ", "Bearer ", "Authorization: Bearer ", "['jwt', '", "Sec-WebSocket-Protocol: jwt, ", "bearer.", "?token="]),
        opaque in "[A-Za-z]{6}[0-9]{2}[A-Za-z0-9_-]{24}",
        after in prop::collection::vec(fragment(), 0..4).prop_map(|parts| parts.concat()),
    ) {
        for secret in [opaque, good()] {
            let all = block_on(ask(&format!("{before} {lead}{secret} {after}"))).all();
            for part in secret.split('.').filter(|part| part.len() > 20) {
                prop_assert!(!all.contains(part), "{part} in {all}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// What the doctor takes for a credential is none any more in what may be written down.
    #[test]
    fn what_is_found_may_not_be_written_down(text in prop::collection::vec(fragment(), 0..24).prop_map(|parts| parts.concat())) {
        let shown = redacted(&text);
        for token in Evidence::gather(&text).tokens {
            let token = token.text.as_str();
            // Less than that is a word of prose or code as well, and no credential travels outside of ASCII.
            if token.len() >= 16 && token.is_ascii() && token.bytes().any(|b| b.is_ascii_digit()) {
                prop_assert!(!shown.contains(token), "{token} of {text:?} in {shown:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_largest_message_takes_bounded_work() {
    for unit in [
        "jwt.a, ",
        "['",
        "1006 ",
        "401 ",
        "NO_TOKEN ",
        "eyJhbGciOi.",
        "bearer ",
        "why ",
        "Sec-WebSocket-Protocol: jwt, x\n",
        "GET /ws HTTP/1.1\nA: b\n",
        "(401)",
        "404/",
    ] {
        let text = unit.repeat(1 + 65_536 / unit.len());
        #[expect(clippy::disallowed_methods, reason = "how long it really takes")]
        let started = Instant::now();
        let transcript = ask(&text).await;
        assert!(started.elapsed().as_secs() < 30, "{unit:?} took {:?}", started.elapsed());
        assert!(transcript.tools().len() <= super::super::MAX_CALLS, "{unit:?}");
        assert!(transcript.answer.len() < 32 * 1024, "{unit:?}: {} bytes", transcript.answer.len());
    }
}

/// A value that nests was printed with an indentation as deep as it nested: a hundred times as long as it came.
#[test]
fn a_context_is_looked_through_at_a_cost_of_its_length() {
    for depth in [1, 32, 120] {
        let context = format!("{}{}{}", "[".repeat(depth), vec!["1"; 20_000].join(","), "]".repeat(depth));
        let value: Value = serde_json::from_str(&context).unwrap();
        let spread = spread(&value);
        assert!(
            spread.len() <= 2 * context.len(),
            "{depth} deep: {} bytes of {}",
            spread.len(),
            context.len()
        );
    }
    let doctor = Doctor::new(Arc::new(Fixed));
    for (context, may) in [
        (r#"{"page":"/login","width":1280}"#, true),
        (
            r#"{"a":{"b":["one","two","three","four","five","six","seven","eight","nine","ten","eleven"]}}"#,
            true,
        ),
        (r#"{"token":"abcdef"}"#, false),
        (r#"{"a":[{"password":"swordfish"}]}"#, false),
    ] {
        let value: Value = serde_json::from_str(context).unwrap();
        assert_eq!(doctor.may_repeat("why?", Some(&value)), may, "{context}");
    }
}

#[tokio::test]
async fn cancelling_ends_a_run_with_its_tool_completed() {
    let doctor = Doctor::new(Arc::new(Fixed));
    let cancel = CancellationToken::new();
    let (events, mut receiver) = EventSink::channel("run", 8);
    let run = RunContext { inbox: Inbox::channel(&events, 1).1, events, cancel: cancel.clone() };
    let run = doctor.run(task("jwt.abc 1006 NO_TOKEN"), run);
    let watch = async {
        let mut events = Vec::new();
        while let Some(event) = receiver.recv().await {
            if matches!(event, AgentEvent::ToolExecuting { .. }) {
                cancel.cancel();
            }
            events.push(event);
        }
        events
    };
    let (result, events) = tokio::join!(run, watch);
    assert_eq!(result.unwrap_err().reason, portcullis_reason::Reason::RunCancelled);
    let executing = events.iter().filter(|e| matches!(e, AgentEvent::ToolExecuting { .. })).count();
    let completed = events.iter().filter(|e| matches!(e, AgentEvent::ToolCompleted { .. })).count();
    assert_eq!(executing, completed, "{events:?}");
    assert!((1..3).contains(&executing), "it stopped early: {events:?}");
    assert!(!events.iter().any(|e| matches!(e, AgentEvent::PartialResult { .. })));
}

#[tokio::test]
async fn a_reader_that_left_ends_the_run() {
    let doctor = Doctor::new(Arc::new(Fixed));
    let (events, receiver) = EventSink::channel("run", 8);
    drop(receiver);
    let run = RunContext { inbox: Inbox::channel(&events, 1).1, events, cancel: CancellationToken::new() };
    let result = doctor.run(task("1006"), run).await;
    assert_eq!(result.unwrap_err().reason, portcullis_reason::Reason::RunCancelled);
}
