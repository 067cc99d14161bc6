//! What a client says.

use std::fmt;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::Value;
use ts_rs::TS;

use crate::{AgentId, ApprovalId, Epoch, MessageId, RunId, ThreadId};

/// A client's message, read.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientMessage {
    /// Makes the message idempotent: the same id again is acknowledged and not run twice.
    pub id: Option<MessageId>,
    /// The thread that it is about; a `user_message` without one starts a thread.
    pub thread_id: Option<ThreadId>,
    /// What it asks for.
    pub command: Command,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// `user_message` and its aliases: run an agent on this.
    UserMessage(UserMessage),
    /// `cancel_run`: stop a run of one's own.
    CancelRun(CancelRun),
    /// `steer`: say something to a run that is going on.
    Steer(Steer),
    /// `approve`: answer `approval_requested`.
    Approve(Approve),
    /// `resume`: send again what was missed.
    Resume(Resume),
    /// `ack`: seen up to here.
    Ack(Ack),
    /// `reauthenticate`: go on with a fresh token of the same subject.
    Reauthenticate(Reauthenticate),
    /// `ping`: answer `pong` with the payload.
    Ping(Ping),
}

/// Payload of `user_message`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, TS)]
pub struct UserMessage {
    /// The user's words; not empty, not only white space.
    #[schemars(length(min = 1), regex(pattern = r"\S"))]
    pub content: String,
    /// The agent to run; the server's default where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub agent: Option<AgentId>,
    /// Anything that the agent should know beside the words, any JSON of at most 32 levels.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "unknown")]
    pub context: Option<Value>,
}

/// Payload of `cancel_run`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema, TS)]
pub struct CancelRun {
    /// The run to stop.
    pub run_id: RunId,
}

/// Payload of `steer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema, TS)]
pub struct Steer {
    /// The run that is to hear it.
    pub run_id: RunId,
    /// The user's words; not empty, not only white space.
    #[schemars(length(min = 1), regex(pattern = r"\S"))]
    pub content: String,
}

/// Payload of `approve`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema, TS)]
pub struct Approve {
    /// The question, from `approval_requested`.
    pub approval_id: ApprovalId,
    /// The answer.
    pub decision: Decision,
    /// A word to the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub comment: Option<String>,
}

/// A person's answer to `approval_requested`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Go on.
    Approved,
    /// Do not.
    Denied,
}

/// Payload of `resume`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema, TS)]
pub struct Resume {
    /// Where the client stands in each thread; at most 100, no thread twice.
    #[schemars(length(max = 100))]
    #[ts(type = "readonly ResumePoint[]")]
    pub threads: Vec<ResumePoint>,
}

/// Where a client stands in a thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema, TS)]
pub struct ResumePoint {
    /// The thread.
    pub thread_id: ThreadId,
    /// The epoch of `after_seq`. May be left out where `after_seq` is 0: from the start of whatever is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub epoch: Option<Epoch>,
    /// The last event that the client has; 0 for none.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    #[ts(type = "number")]
    pub after_seq: u64,
}

/// Payload of `ack`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema, TS)]
pub struct Ack {
    /// The thread.
    pub thread_id: ThreadId,
    /// The last event that the client has taken in.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    #[ts(type = "number")]
    pub seq: u64,
}

/// Payload of `reauthenticate`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, TS)]
pub struct Reauthenticate {
    /// A bare JWT of the same subject.
    pub token: Secret,
}

/// Payload of `ping`: any JSON of at most 1,024 bytes and 32 levels, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(transparent)]
pub struct Ping {
    /// What `pong` will carry in `echo`; null where there was none.
    pub echo: Value,
}

/// A credential: never logged, never repeated.
// `Debug` hides it; only `expose` shows it.
#[derive(Clone, PartialEq, Eq, JsonSchema, TS)]
#[schemars(transparent)]
pub struct Secret(
    #[schemars(with = "String", length(min = 1))]
    #[ts(type = "string")]
    Box<str>,
);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The credential, for the verifier alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// For the client's role only: a `reauthenticate` that is being sent. Nothing that is logged serialises commands.
impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Command {
    /// The canonical name of every command.
    pub const NAMES: &'static [&'static str] =
        &["user_message", "cancel_run", "steer", "approve", "resume", "ack", "reauthenticate", "ping"];

    /// The names of `user_message`: its own, then its aliases.
    pub const USER_MESSAGE_NAMES: &'static [&'static str] =
        &["user_message", "chat", "agent_request", "start_agent", "agent_task"];

    /// The canonical name on the wire, also for metric labels.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::UserMessage(_) => "user_message",
            Self::CancelRun(_) => "cancel_run",
            Self::Steer(_) => "steer",
            Self::Approve(_) => "approve",
            Self::Resume(_) => "resume",
            Self::Ack(_) => "ack",
            Self::Reauthenticate(_) => "reauthenticate",
            Self::Ping(_) => "ping",
        }
    }
}

impl ClientMessage {
    /// The canonical v1 text, for the client's role: tester, bench and tests.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("commands are plain data with string keys")
    }
}

impl Serialize for ClientMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", self.command.name())?;
        if let Some(id) = &self.id {
            map.serialize_entry("id", id)?;
        }
        if let Some(thread_id) = &self.thread_id {
            map.serialize_entry("thread_id", thread_id)?;
        }
        match &self.command {
            Command::UserMessage(payload) => map.serialize_entry("payload", payload)?,
            Command::CancelRun(payload) => map.serialize_entry("payload", payload)?,
            Command::Steer(payload) => map.serialize_entry("payload", payload)?,
            Command::Approve(payload) => map.serialize_entry("payload", payload)?,
            Command::Resume(payload) => map.serialize_entry("payload", payload)?,
            Command::Ack(payload) => map.serialize_entry("payload", payload)?,
            Command::Reauthenticate(payload) => map.serialize_entry("payload", payload)?,
            Command::Ping(payload) => map.serialize_entry("payload", payload)?,
        }
        map.end()
    }
}
