//! A doctor with fixed surroundings, and its transcript.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use portcullis_agent::{Agent, AgentEvent, EventSink, Failure, Inbox, Message, RunContext, Task};
use portcullis_reason::{CloseProfile, Reason};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{Configuration, Doctor, Refusal, Surroundings};

/// 2025-09-11T12:00:00Z.
pub(super) const NOW: u64 = 1_757_592_000;

pub(super) struct Fixed;

impl Surroundings for Fixed {
    fn now(&self) -> u64 {
        NOW
    }

    fn configuration(&self) -> Arc<Configuration> {
        let strings = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        Arc::new(Configuration {
            environment: "development".into(),
            loopback: true,
            paths: vec![("/ws".into(), "main".into()), ("/ws/isolated".into(), "isolated".into())],
            origins: strings(&["https://app.example.com"]),
            credential_prefixes: strings(&[
                "jwt.",
                "jwt-auth.",
                "bearer.",
                "base64url.bearer.authorization.k8s.io.",
            ]),
            accept_two_element_form: false,
            subprotocols: strings(&["portcullis.v1", "jwt-auth", "bearer"]),
            max_token_bytes: 8192,
            algorithms: strings(&["ES256", "HS256"]),
            issuers: strings(&["http://127.0.0.1:8081"]),
            audiences: strings(&["portcullis"]),
            required_claims: strings(&["exp"]),
            leeway_seconds: 30,
            heartbeat_interval_ms: 25_000,
            max_message_bytes: 65_536,
            close_profile: CloseProfile::Standard,
            echo: false,
            auth_url: "http://127.0.0.1:8081".into(),
            warnings: Vec::new(),
        })
    }

    fn recent_refusals(&self, user_id: &str) -> Vec<Refusal> {
        if user_id != "refused" {
            return Vec::new();
        }
        let refusal = |at, reason, id: &str| Refusal {
            at,
            reason,
            request_id: id.into(),
            form: Some("subprotocol_wrapped".into()),
        };
        vec![
            refusal(NOW - 30, Reason::TokenExpired, "r2"),
            refusal(NOW - 90, Reason::TokenExpired, "r1"),
            refusal(NOW - 8000, Reason::AudienceMismatch, "r0"),
        ]
    }
}

/// Everything that a run told.
pub(super) struct Transcript {
    pub(super) events: Vec<AgentEvent>,
    pub(super) answer: String,
}

impl Transcript {
    /// Names of the tools that came to a result, in order.
    pub(super) fn tools(&self) -> Vec<&str> {
        self.events
            .iter()
            .filter_map(|event| match event {
                AgentEvent::ToolCompleted { tool_name, ok: true, .. } => Some(tool_name.as_str()),
                _ => None,
            })
            .collect()
    }

    /// All of it as text, for searching.
    pub(super) fn all(&self) -> String {
        format!("{:?}\n{}", self.events, self.answer)
    }

    /// The first line of the answer.
    pub(super) fn headline(&self) -> &str {
        self.answer.lines().next().unwrap_or_default()
    }

    /// Checks what every run promises: steps count up, tools are announced and completed in pairs one after the other,
    /// and the pieces joined are the answer.
    pub(super) fn assert_order(&self) {
        let (mut step, mut open, mut streamed) = (0, None, String::new());
        for event in &self.events {
            match event {
                AgentEvent::Thinking { step: number, .. } => {
                    step += 1;
                    assert_eq!(*number, step);
                }
                AgentEvent::ToolExecuting { execution_id, .. } => {
                    assert_eq!(open.replace(execution_id.clone()), None, "one tool at a time");
                }
                AgentEvent::ToolCompleted { execution_id, .. } => {
                    assert_eq!(open.take().as_ref(), Some(execution_id), "completed after announced");
                }
                AgentEvent::Heard(said) => panic!("it does not listen: {said:?}"),
                AgentEvent::PartialResult { delta } => streamed.push_str(delta),
            }
        }
        assert_eq!(open, None, "every tool is completed");
        assert_eq!(streamed, self.answer);
    }
}

pub(super) fn task(content: &str) -> Task {
    Task {
        run_id: "run".into(),
        thread_id: "thread".into(),
        user_id: "anna".into(),
        messages: vec![Message::user(content)],
        context: None,
    }
}

pub(super) async fn run_task(task: Task) -> Result<Transcript, Failure> {
    let doctor = Doctor::new(Arc::new(Fixed));
    let (events, mut receiver) = EventSink::channel(Arc::clone(&task.run_id), 8);
    let run = RunContext { inbox: Inbox::channel(&events, 1).1, events, cancel: CancellationToken::new() };
    let collect = async {
        let mut events = Vec::new();
        while let Some(event) = receiver.recv().await {
            events.push(event);
        }
        events
    };
    let (answer, events) = tokio::join!(doctor.run(task, run), collect);
    let transcript = Transcript { events, answer: answer?.final_response };
    transcript.assert_order();
    Ok(transcript)
}

pub(super) async fn ask(content: &str) -> Transcript {
    run_task(task(content)).await.unwrap()
}

pub(super) async fn ask_next(content: &str, history: &[(&str, &str)]) -> Transcript {
    let said = |(question, answer): &(&str, &str)| [Message::user(*question), Message::assistant(*answer)];
    let mut task = task(content);
    task.messages.splice(0..0, history.iter().flat_map(said));
    run_task(task).await.unwrap()
}

/// A token of these claims; the signature has HS256's length and belongs to no key.
pub(super) fn token(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode([7; 32]))
}

/// A token that this server would take, but for its signature.
pub(super) fn good() -> String {
    token(&json!({ "alg": "HS256", "typ": "JWT" }), &claims())
}

pub(super) fn claims() -> Value {
    json!({ "sub": "anna", "iss": "http://127.0.0.1:8081", "aud": "portcullis", "iat": NOW - 86_400, "exp": NOW + 3600 })
}

/// [`good`] with one claim changed.
pub(super) fn with(name: &str, value: Value) -> String {
    let mut claims = claims();
    claims[name] = value;
    token(&json!({ "alg": "HS256", "typ": "JWT" }), &claims)
}
