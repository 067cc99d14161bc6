//! What the server says: the table of its messages, from which their names, classes and the union are derived.

use serde::Serialize;

use crate::payload::{
    AgentCompleted, AgentFailed, AgentStarted, AgentThinking, ApprovalRequested, ApprovalResolved,
    ConnectionEstablished, Draining, ErrorNotice, MessageAccepted, PartialResult, Pong, ResumeGap, Resumed,
    TokenExpiring, ToolCompleted, ToolExecuting, UserSaid,
};

macro_rules! messages {
    ($( $(#[doc = $doc:literal])+ $class:ident $variant:ident($payload:ident) = $name:literal; )+) => {
        /// The type of a server message, without its payload.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum MessageType { $( $(#[doc = $doc])+ $variant, )+ }

        impl MessageType {
            /// Every type, in the order of the protocol's table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name on the wire.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $name,)+ } }

            /// What the message says, in a line of Markdown.
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc, "\n",)+).trim_ascii(),)+ }
            }

            /// Whether it belongs to a thread's stream or to a connection.
            pub const fn class(self) -> Class { match self { $(Self::$variant => Class::$class,)+ } }

            /// The name of the payload's type, in the schema and in TypeScript.
            pub const fn payload_type(self) -> &'static str {
                match self { $(Self::$variant => stringify!($payload),)+ }
            }

            /// The payload's schema, its subschemas kept by `generator`.
            pub(crate) fn payload_schema(self, generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                match self { $(Self::$variant => generator.subschema_for::<$payload>(),)+ }
            }
        }

        /// What the server says.
        #[derive(Clone, Debug, PartialEq)]
        pub enum ServerMessage { $( $(#[doc = $doc])+ $variant($payload), )+ }

        impl ServerMessage {
            /// Its type.
            pub const fn kind(&self) -> MessageType { match self { $(Self::$variant(_) => MessageType::$variant,)+ } }

            /// Reads the payload of a message of type `kind`.
            pub(crate) fn read(kind: MessageType, payload: &str) -> Result<Self, serde_json::Error> {
                match kind { $(MessageType::$variant => serde_json::from_str(payload).map(Self::$variant),)+ }
            }
        }

        $(impl From<$payload> for ServerMessage {
            fn from(payload: $payload) -> Self { Self::$variant(payload) }
        })+

        /// The payload alone.
        pub(crate) struct Payload<'a>(pub(crate) &'a ServerMessage);

        impl Serialize for Payload<'_> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self.0 { $(ServerMessage::$variant(payload) => payload.serialize(serializer),)+ }
            }
        }
    };
}

/// To what a message belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// To a thread's stream: it has a position and reaches every connection that follows the thread.
    Event,
    /// To one connection: it has no position and is not replayed.
    Control,
}

messages! {
    /// The first message on every connection: who and where the client is, and what it must respect.
    Control ConnectionEstablished(ConnectionEstablished) = "connection_established";
    /// The message is recorded and will end in exactly one terminal event.
    Control MessageAccepted(MessageAccepted) = "message_accepted";
    /// What a user said, on all of their devices and when the thread is read again.
    Event UserMessage(UserSaid) = "user_message";
    /// The first thing that a run's agent tells.
    Event AgentStarted(AgentStarted) = "agent_started";
    /// A step of the agent's reasoning, for people to read.
    Event AgentThinking(AgentThinking) = "agent_thinking";
    /// A tool was called; its `tool_completed` follows, whatever happens.
    Event ToolExecuting(ToolExecuting) = "tool_executing";
    /// A tool returned, failed or was cancelled.
    Event ToolCompleted(ToolCompleted) = "tool_completed";
    /// A piece of the answer as it streams.
    Event PartialResult(PartialResult) = "partial_result";
    /// Terminal: the run's answer.
    Event AgentCompleted(AgentCompleted) = "agent_completed";
    /// Terminal: the run ended without an answer.
    Event AgentFailed(AgentFailed) = "agent_failed";
    /// A person must agree before the agent goes on.
    Event ApprovalRequested(ApprovalRequested) = "approval_requested";
    /// The question was answered, or nobody answered in time.
    Event ApprovalResolved(ApprovalResolved) = "approval_resolved";
    /// The connection's token ends soon: send `reauthenticate`.
    Control TokenExpiring(TokenExpiring) = "token_expiring";
    /// Answers `resume`: the missed events of these threads have been sent or follow at once.
    Control Resumed(Resumed) = "resumed";
    /// Answers `resume`: what the client missed in this thread is not to be had any more.
    Control ResumeGap(ResumeGap) = "resume_gap";
    /// A message could not be taken; the connection goes on.
    Control Error(ErrorNotice) = "error";
    /// The server is going away: come back after the given time.
    Control Draining(Draining) = "draining";
    /// Answers `ping`.
    Control Pong(Pong) = "pong";
}

impl MessageType {
    /// The type of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }

    /// Whether the event ends its run.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::AgentCompleted | Self::AgentFailed)
    }
}
