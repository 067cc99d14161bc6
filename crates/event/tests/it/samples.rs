//! One message of every type, and strategies that make many.

use std::sync::Arc;

use portcullis_event::{
    AgentCompleted, AgentFailed, AgentId, AgentStarted, AgentThinking, ApprovalId, ApprovalRequested,
    ApprovalResolved, Class, ConnectionEstablished, ConnectionId, Draining, Envelope, Epoch, ErrorNotice,
    EventId, ExecutionId, GapReason, MessageAccepted, MessageId, Mode, PartialResult, Pong, Position,
    Resolution, ResumeGap, Resumed, ResumedThread, RunError, RunId, ServerMessage, ThreadId, Timestamp,
    TokenExpiring, ToolCompleted, ToolExecuting, Usage, UserSaid,
};
use portcullis_reason::{Reason, Rejection};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json};

/// One message of each type, every optional member filled.
#[expect(clippy::too_many_lines, reason = "one of each message")]
pub(crate) fn messages() -> Vec<ServerMessage> {
    let agent_id = AgentId::new("doctor").unwrap();
    let thread_id = ThreadId::new("t-1").unwrap();
    let epoch = Epoch::new("k3Jq").unwrap();
    let execution_id = ExecutionId::new("x-1").unwrap();
    let approval_id = ApprovalId::new("a-1").unwrap();
    let at = Timestamp::from_unix_ms(1_757_578_530_123);
    let hint = Rejection::new(Reason::UnknownAgent, "for the log alone").with_hint("the agents are: doctor");
    vec![
        ConnectionEstablished {
            connection_id: ConnectionId::new("c-1").unwrap(),
            user_id: "ada".into(),
            mode: Mode::Factory,
            protocol: Some("portcullis.v1".into()),
            heartbeat_interval_ms: 25_000,
            max_message_bytes: 65_536,
            token_expires_at: Some(at),
            node: "node-1".into(),
        }
        .into(),
        MessageAccepted {
            message_id: MessageId::new("m-1").unwrap(),
            run_id: RunId::new("r-1").unwrap(),
            thread_id: thread_id.clone(),
            duplicate: true,
        }
        .into(),
        UserSaid {
            message_id: MessageId::new("m-1").unwrap(),
            run_id: RunId::new("r-1").unwrap(),
            content: Some("Why 1006?".into()),
        }
        .into(),
        AgentStarted {
            agent_id: agent_id.clone(),
            agent_type: "builtin".into(),
            user_id: "ada".into(),
            attempt: None,
        }
        .into(),
        AgentThinking { agent_id: agent_id.clone(), thinking_content: "Hm.".into(), step_number: 1 }.into(),
        ToolExecuting { execution_id: execution_id.clone(), tool_name: "t".into(), tool_args: json!({}) }
            .into(),
        ToolCompleted {
            execution_id,
            tool_name: "t".into(),
            ok: true,
            result_summary: "done".into(),
            result: Some(json!([1])),
            duration_ms: 3,
        }
        .into(),
        PartialResult { delta: "The".into() }.into(),
        AgentCompleted {
            agent_id: agent_id.clone(),
            final_response: "The end".into(),
            execution_time_ms: 12,
            usage: Some(Usage { input_tokens: Some(3), output_tokens: Some(4) }),
        }
        .into(),
        AgentFailed {
            agent_id,
            error: RunError { reason: Reason::RunLimit, message: "after 60 s".into(), retryable: true },
        }
        .into(),
        ApprovalRequested {
            approval_id: approval_id.clone(),
            tool_name: "t".into(),
            tool_args: json!({}),
            expires_at: at,
        }
        .into(),
        ApprovalResolved {
            approval_id,
            tool_name: "t".into(),
            tool_args: json!({}),
            expires_at: at,
            resolution: Resolution::Approved,
            comment: Some("go on".into()),
        }
        .into(),
        TokenExpiring { expires_at: at, seconds_left: 60 }.into(),
        Resumed {
            threads: vec![ResumedThread {
                thread_id: thread_id.clone(),
                epoch: epoch.clone(),
                from_seq: 2,
                to_seq: 5,
            }],
        }
        .into(),
        ResumeGap {
            thread_id,
            epoch: Some(epoch),
            first_available_seq: Some(7),
            last_seq: 9,
            reason: GapReason::Trimmed,
        }
        .into(),
        ErrorNotice {
            request_id: Some("q-1".into()),
            ..ErrorNotice::new(&hint).for_message(Some(MessageId::new("m-1").unwrap()))
        }
        .into(),
        Draining { reconnect_after_ms: 900 }.into(),
        Pong { echo: json!("hello") }.into(),
    ]
}

/// Puts a message into an envelope as its class asks.
pub(crate) fn envelope(message: ServerMessage, seq: u64) -> Envelope {
    let id = EventId::numbered("e", seq).unwrap();
    let timestamp = Timestamp::from_unix_ms(1_757_578_530_000 + seq.cast_signed());
    match message.kind().class() {
        Class::Control => Envelope::control(id, timestamp, message),
        Class::Event => {
            let position = Position { epoch: Epoch::new("k3Jq").unwrap(), seq };
            Envelope::event(
                id,
                position,
                ThreadId::new("t-1").unwrap(),
                RunId::new("r-1").unwrap(),
                timestamp,
                message,
            )
        }
    }
}

pub(crate) fn id() -> impl Strategy<Value = String> {
    "[!-~]{1,128}"
}

pub(crate) fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(option::of(inner.clone()), 0..4).prop_map(Value::from),
            vec((any::<String>(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp::from_unix_ms)
}

fn text() -> impl Strategy<Value = Arc<str>> {
    any::<String>().prop_map(Arc::from)
}

/// Takes a sample and replaces its texts, numbers and JSON by others.
pub(crate) fn any_message() -> impl Strategy<Value = ServerMessage> {
    let parts = (id(), text(), any::<String>(), json(), any::<u64>(), timestamp(), any::<bool>());
    (select(messages()), parts, option::of(json()), select(Reason::ALL)).prop_map(
        |(mut message, (id, name, words, value, number, at, flag), maybe, reason)| {
            match &mut message {
                ServerMessage::ConnectionEstablished(p) => {
                    p.connection_id = ConnectionId::new(&id).unwrap();
                    (p.user_id, p.heartbeat_interval_ms, p.max_message_bytes) =
                        (name.clone(), number, number);
                    (p.protocol, p.token_expires_at) = (flag.then_some(name), flag.then_some(at));
                }
                ServerMessage::MessageAccepted(p) => {
                    (p.message_id, p.duplicate) = (MessageId::new(&id).unwrap(), flag);
                }
                ServerMessage::UserMessage(p) => {
                    (p.message_id, p.content) = (MessageId::new(&id).unwrap(), flag.then_some(words));
                }
                ServerMessage::AgentStarted(p) => {
                    (p.agent_id, p.user_id) = (AgentId::new(&id).unwrap(), name);
                    p.attempt = flag.then_some(number as u32);
                }
                ServerMessage::AgentThinking(p) => {
                    (p.thinking_content, p.step_number) = (words, number as u32);
                }
                ServerMessage::ToolExecuting(p) => (p.tool_name, p.tool_args) = (name, value),
                ServerMessage::ToolCompleted(p) => {
                    (p.ok, p.result_summary, p.result, p.duration_ms) = (flag, words, maybe, number);
                }
                ServerMessage::PartialResult(p) => p.delta = words,
                ServerMessage::AgentCompleted(p) => {
                    (p.final_response, p.execution_time_ms) = (words, number);
                    p.usage = flag.then_some(Usage { input_tokens: Some(number), output_tokens: None });
                }
                ServerMessage::AgentFailed(p) => {
                    p.error = RunError { reason, message: words, retryable: flag };
                }
                ServerMessage::ApprovalRequested(p) => (p.tool_args, p.expires_at) = (value, at),
                ServerMessage::ApprovalResolved(p) => {
                    (p.tool_args, p.comment) = (value, flag.then_some(words));
                }
                ServerMessage::TokenExpiring(p) => (p.expires_at, p.seconds_left) = (at, number),
                ServerMessage::Resumed(p) => p.threads[0].to_seq = number,
                ServerMessage::ResumeGap(p) => {
                    (p.last_seq, p.first_available_seq) = (number, flag.then_some(number));
                    p.epoch = p.epoch.take().filter(|_| flag);
                }
                ServerMessage::Error(p) => {
                    *p = ErrorNotice::new(&Rejection::new(reason, words.clone()).with_hint(words));
                }
                ServerMessage::Draining(p) => p.reconnect_after_ms = number,
                ServerMessage::Pong(p) => p.echo = maybe.unwrap_or_default(),
            }
            message
        },
    )
}
