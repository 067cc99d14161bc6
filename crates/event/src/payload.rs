//! The payload of each message of the server.

use std::sync::Arc;

use portcullis_reason::{Reason, Rejection, Retry};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;

use crate::{
    AgentId, ApprovalId, ConnectionId, Epoch, ExecutionId, MessageId, Mode, RunId, ThreadId, Timestamp,
};

/// Payload of `connection_established`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ConnectionEstablished {
    /// Names the connection, as in the server's log.
    pub connection_id: ConnectionId,
    /// The verified token's subject.
    pub user_id: Arc<str>,
    /// The mode that the path leads to.
    pub mode: Mode,
    /// The subprotocol that the handshake selected; null if none.
    pub protocol: Option<Arc<str>>,
    /// How often the server pings, in milliseconds.
    #[ts(type = "number")]
    pub heartbeat_interval_ms: u64,
    /// The longest message that the server takes, in bytes of UTF-8.
    #[ts(type = "number")]
    pub max_message_bytes: u64,
    /// When the token ends; null if it has no end.
    pub token_expires_at: Option<Timestamp>,
    /// Names the server's node.
    pub node: Arc<str>,
}

/// Payload of `message_accepted`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct MessageAccepted {
    /// The client's `id`, or one that the server made where there was none.
    pub message_id: MessageId,
    /// The run that will answer it.
    pub run_id: RunId,
    /// The thread that it belongs to; new where the client named none.
    pub thread_id: ThreadId,
    /// The same `id` was accepted before: nothing was run again, and `run_id` is the first one's.
    pub duplicate: bool,
}

/// Payload of `user_message`, as the server tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct UserSaid {
    /// The message.
    pub message_id: MessageId,
    /// The run that answers it.
    pub run_id: RunId,
    /// The words, as far as its agent lets them be written down: credentials in them may be replaced by their kinds. Absent
    /// where nothing is written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    #[ts(optional)]
    pub content: Option<String>,
}

/// Payload of `agent_started`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct AgentStarted {
    /// The agent that runs.
    pub agent_id: AgentId,
    /// The kind of its adapter, for example `builtin`.
    pub agent_type: Arc<str>,
    /// Whose run it is.
    pub user_id: Arc<str>,
    /// Which attempt begins, where it is not the first: what the run told before counts no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32")]
    #[ts(optional, type = "number")]
    pub attempt: Option<u32>,
}

/// Payload of `agent_thinking`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct AgentThinking {
    /// The agent that runs.
    pub agent_id: AgentId,
    /// What it considers, for people to read.
    pub thinking_content: String,
    /// Counts the steps of the run from 1.
    pub step_number: u32,
}

/// Payload of `tool_executing`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ToolExecuting {
    /// Shared with the `tool_completed` that follows.
    pub execution_id: ExecutionId,
    /// The tool's name.
    pub tool_name: Arc<str>,
    /// Its arguments, any JSON.
    #[ts(type = "unknown")]
    pub tool_args: Value,
}

/// Payload of `tool_completed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ToolCompleted {
    /// Shared with the `tool_executing` before it.
    pub execution_id: ExecutionId,
    /// The tool's name.
    pub tool_name: Arc<str>,
    /// Whether it did what it was asked; false on failure and on cancellation.
    pub ok: bool,
    /// One line for people: the result, or why there is none.
    pub result_summary: String,
    /// The result, any JSON, where there is one to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "unknown")]
    pub result: Option<Value>,
    /// How long it took, in milliseconds.
    #[ts(type = "number")]
    pub duration_ms: u64,
}

/// Payload of `partial_result`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct PartialResult {
    /// The next piece. The pieces of a run joined are its answer so far; the server may join pieces under pressure.
    pub delta: String,
}

/// Payload of `agent_completed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct AgentCompleted {
    /// The agent that ran.
    pub agent_id: AgentId,
    /// The whole answer; it stands for itself, also where deltas went before it.
    pub final_response: String,
    /// From the message's acceptance to here, in milliseconds.
    #[ts(type = "number")]
    pub execution_time_ms: u64,
    /// What the model counted, if the agent tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Usage")]
    #[ts(optional)]
    pub usage: Option<Usage>,
}

/// What a model counted for a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Usage {
    /// Tokens read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    #[ts(optional, type = "number")]
    pub input_tokens: Option<u64>,
    /// Tokens written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    #[ts(optional, type = "number")]
    pub output_tokens: Option<u64>,
}

/// Payload of `agent_failed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct AgentFailed {
    /// The agent that ran.
    pub agent_id: AgentId,
    /// Why there is no answer.
    pub error: RunError,
}

/// Why a run ended without an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct RunError {
    /// The reason, one of the catalogue.
    #[schemars(with = "ReasonId")]
    #[ts(type = "Reason")]
    pub reason: Reason,
    /// One line for the user.
    pub message: String,
    /// Whether the same message may succeed when sent again.
    pub retryable: bool,
}

/// Payload of `approval_requested`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ApprovalRequested {
    /// To be named in `approve`.
    pub approval_id: ApprovalId,
    /// The tool that the agent wants to use.
    pub tool_name: Arc<str>,
    /// The arguments that it would get, any JSON.
    #[ts(type = "unknown")]
    pub tool_args: Value,
    /// When the question counts as denied.
    pub expires_at: Timestamp,
}

/// Payload of `approval_resolved`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ApprovalResolved {
    /// The question's name.
    pub approval_id: ApprovalId,
    /// The tool that the agent wanted to use.
    pub tool_name: Arc<str>,
    /// The arguments that were shown.
    #[ts(type = "unknown")]
    pub tool_args: Value,
    /// When the question would have counted as denied.
    pub expires_at: Timestamp,
    /// What came of it.
    pub resolution: Resolution,
    /// What the person added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    #[ts(optional)]
    pub comment: Option<String>,
}

/// What came of a question to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// Someone agreed.
    Approved,
    /// Someone declined.
    Denied,
    /// Nobody answered in time; counts as denied.
    Expired,
}

/// Payload of `token_expiring`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct TokenExpiring {
    /// When the token ends.
    pub expires_at: Timestamp,
    /// How long that is from now, for clients whose clock is off.
    #[ts(type = "number")]
    pub seconds_left: u64,
}

/// Payload of `resumed`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Resumed {
    /// One entry for each thread that was resumed; threads with a gap have their own `resume_gap`.
    #[ts(type = "readonly ResumedThread[]")]
    pub threads: Vec<ResumedThread>,
}

/// One resumed thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ResumedThread {
    /// The thread.
    pub thread_id: ThreadId,
    /// The stream's epoch.
    pub epoch: Epoch,
    /// The first event that is sent again: the client's `after_seq` + 1.
    #[ts(type = "number")]
    pub from_seq: u64,
    /// The stream's last event at that moment. `from_seq` - 1 where nothing was missed.
    #[ts(type = "number")]
    pub to_seq: u64,
}

/// Payload of `resume_gap`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ResumeGap {
    /// The thread.
    pub thread_id: ThreadId,
    /// The stream's present epoch; absent where the server holds no stream for the thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Epoch")]
    #[ts(optional)]
    pub epoch: Option<Epoch>,
    /// The oldest event that is still to be had; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    #[ts(optional, type = "number")]
    pub first_available_seq: Option<u64>,
    /// The stream's last event; 0 where it has none.
    #[ts(type = "number")]
    pub last_seq: u64,
    /// Why the client cannot have what it missed.
    pub reason: GapReason,
}

/// Why a thread cannot be resumed from where the client stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The stream was lost and rebuilt: positions of the old epoch mean nothing now.
    EpochChanged,
    /// The events after the client's position are no longer retained.
    Trimmed,
    /// The client's position lies beyond the stream's end.
    Ahead,
    /// The user has no such thread here. Another user's thread looks the same.
    UnknownThread,
    /// The connection's mode retains nothing.
    NotResumable,
}

/// Payload of `error`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ErrorNotice {
    /// The reason, one of the catalogue.
    #[schemars(with = "ReasonId")]
    #[ts(type = "Reason")]
    pub reason: Reason,
    /// The reason's title.
    pub title: Arc<str>,
    /// What to change in this very case.
    pub message: String,
    /// Whether trying again can help.
    #[ts(type = "Retry")]
    pub retry: RetryAdvice,
    /// Names this occurrence, the same id as in the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Arc<str>")]
    #[ts(optional)]
    pub request_id: Option<Arc<str>>,
    /// The `id` of the message that was refused, where it had one that could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "MessageId")]
    #[ts(optional)]
    pub message_id: Option<MessageId>,
}

impl ErrorNotice {
    /// The public view of `rejection`: its hint, or the reason's remedy where there is none. Its detail stays behind.
    pub fn new(rejection: &Rejection) -> Self {
        let reason = rejection.reason.shown_as();
        let message = rejection.hint.as_deref().unwrap_or_else(|| reason.help().remedy());
        Self {
            reason,
            title: Arc::from(reason.title()),
            message: message.to_owned(),
            retry: reason.retry().into(),
            request_id: None,
            message_id: None,
        }
    }

    /// Names the message that was refused.
    #[must_use]
    pub fn for_message(mut self, id: Option<MessageId>) -> Self {
        self.message_id = id;
        self
    }
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Retry")]
pub enum RetryAdvice {
    /// The same will fail again.
    Never,
    /// After the client changed something.
    AfterChange,
    /// Later, with growing pauses.
    Backoff,
    /// At once.
    Now,
}

impl From<Retry> for RetryAdvice {
    fn from(retry: Retry) -> Self {
        match retry {
            Retry::Never => Self::Never,
            Retry::AfterChange => Self::AfterChange,
            Retry::Backoff => Self::Backoff,
            Retry::Now => Self::Now,
        }
    }
}

/// Payload of `draining`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Draining {
    /// How long to wait before connecting again, in milliseconds; spread over the clients by the server.
    #[ts(type = "number")]
    pub reconnect_after_ms: u64,
}

/// Payload of `pong`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Pong {
    /// The ping's payload, as it came; null if it had none.
    #[serde(default)]
    #[ts(type = "unknown")]
    pub echo: Value,
}

/// The identifier of a reason, one of the catalogue. The catalogue grows, so the set is open.
#[derive(JsonSchema)]
#[schemars(transparent, rename = "Reason")]
#[expect(dead_code, reason = "lends its schema to fields of type Reason")]
struct ReasonId(#[schemars(regex(pattern = "^[A-Z][A-Z0-9_]*$"))] String);
