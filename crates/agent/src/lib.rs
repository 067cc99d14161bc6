//! The agent trait and the agents that come with Portcullis.
//!
//! A run takes a [`Task`] and tells what it does through an [`EventSink`]; its result is an [`Answer`] or a [`Failure`].
//! The sink keeps the order of events right by construction: steps are numbered, and a tool that was announced is
//! completed exactly once, whatever becomes of it. The router turns the start and the result of a run into
//! `agent_started`, `agent_completed` and `agent_failed`; an agent never sends those.
//!
//! This crate owns no socket and fetches nothing. Its one built-in agent is the [`Doctor`], which explains failed
//! handshakes without a model.

mod doctor;
mod paced;
mod sink;
#[cfg(test)]
mod sink_tests;
mod task;

pub use doctor::{Configuration, Doctor, Refusal, Surroundings};
pub use paced::Paced;
pub use sink::{AgentEvent, Closed, EventSink, ToolError, ToolOutput};
pub use task::{Agent, Answer, Failure, RunFuture, Task, Turn, Usage};
