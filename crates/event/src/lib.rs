//! The wire types of protocol v1: commands, events, ids and positions in a stream.
//!
//! This crate owns what may stand in a text frame, in both directions, and how it is written and read. `docs/protocol.md`
//! is its normative text; schema, vectors and TypeScript types are generated from here (`cargo xtask generate`). It does
//! no I/O, reads no clock and makes no random ids: those come from the caller.

mod command;
mod decode;
mod envelope;
mod id;
mod mode;
mod payload;
pub mod schema;
mod server;
mod time;
mod wire;

pub use command::{
    Ack, Approve, CancelRun, ClientMessage, Command, Decision, Ping, Reauthenticate, Resume, ResumePoint,
    Secret, Steer, UserMessage,
};
pub use decode::{
    MAX_DEPTH, MAX_PING_BYTES, MAX_RESUME_THREADS, MAX_SEQ, decode, message_id_of, resume_from_query,
};
pub use envelope::{Envelope, ParseError};
pub use id::{
    AgentId, ApprovalId, ConnectionId, Epoch, EventId, ExecutionId, InvalidId, MAX_ID, MessageId, Position,
    RunId, ThreadId,
};
pub use mode::{Mode, UnknownMode};
pub use payload::{
    AgentCompleted, AgentFailed, AgentStarted, AgentThinking, ApprovalRequested, ApprovalResolved,
    ConnectionEstablished, Draining, ErrorNotice, GapReason, MessageAccepted, PartialResult, Pong,
    Resolution, ResumeGap, Resumed, ResumedThread, RetryAdvice, RunError, TokenExpiring, ToolCompleted,
    ToolExecuting, Usage, UserSaid,
};
pub use server::{Class, MessageType, ServerMessage};
pub use time::{InvalidTimestamp, Timestamp};
pub use wire::Wire;
