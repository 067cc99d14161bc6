//! What an agent is: the trait, the task that a run takes, and the sink of its events.
//!
//! A run takes a [`Task`] and tells what it does through an [`EventSink`]; its result is an [`Answer`] or a [`Failure`].
//! The sink keeps the order of events right by construction: steps are numbered, and a tool that was announced is
//! completed exactly once, whatever becomes of it. What its user says meanwhile comes through an [`Inbox`]. The router turns the start and the result of a run into
//! `agent_started`, `agent_completed` and `agent_failed`; an agent never sends those.
//!
//! This crate owns no socket and fetches nothing, and knows no agent.

mod agent;
mod event;
mod inbox;
mod message;
mod said;
mod sink;
#[cfg(test)]
mod sink_tests;
mod task;
mod tool;

pub use agent::{Agent, Keeps, RunContext, RunFuture};
pub use event::AgentEvent;
pub use inbox::{Inbox, Letterbox, Unheard};
pub use message::{Message, Part, ToolCall};
pub use said::Said;
pub use sink::{Closed, EventSink, Events};
pub use task::{Answer, Failure, Task, Usage};
pub use tool::{OpenTool, ToolError, ToolOutput};
