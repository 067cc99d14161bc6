//! What a run tells while it goes on.

use portcullis_event::ExecutionId;
use serde_json::Value;

use crate::said::Said;

/// What a run does while it goes on. Start and result are the router's to tell.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentEvent {
    /// A step of reasoning (`agent_thinking`).
    Thinking {
        /// What the agent considers, for the user to read.
        content: String,
        /// Counts from 1 within the run, without gaps.
        step: u32,
    },
    /// A tool begins (`tool_executing`). Exactly one [`AgentEvent::ToolCompleted`] with the same id follows.
    ToolExecuting {
        /// Unique within the run; see [`EventSink::begin_tool`](crate::EventSink::begin_tool).
        execution_id: ExecutionId,
        /// The tool's name.
        tool_name: String,
        /// Its arguments. They hold no credential.
        tool_args: Value,
    },
    /// A tool ended, well or not (`tool_completed`).
    ToolCompleted {
        /// The id of its [`AgentEvent::ToolExecuting`].
        execution_id: ExecutionId,
        /// The tool's name.
        tool_name: String,
        /// Whether it came to a result.
        ok: bool,
        /// One line for the user.
        result_summary: String,
        /// The whole result, where there is one.
        result: Option<Value>,
        /// How long it took.
        duration_ms: u64,
    },
    /// It has heard something that its user said meanwhile (`user_message`).
    Heard(Said),
    /// A piece of the answer (`partial_result`); the pieces joined are the final response.
    PartialResult {
        /// The piece.
        delta: String,
    },
}
