//! What an agent is given, and what it gives back.

use std::{borrow::Cow, fmt, sync::Arc};

use portcullis_reason::{Reason, Retry};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{message::Message, sink::Closed};

/// A user's message, with what an agent may know about it.
#[derive(Clone)]
pub struct Task {
    /// The run that answers it.
    pub run_id: Arc<str>,
    /// The thread it stands in.
    pub thread_id: Arc<str>,
    /// The verified subject who asked.
    pub user_id: Arc<str>,
    /// The conversation as far as it is remembered, oldest first. Its last message is the user's, which the run answers.
    pub messages: Vec<Message>,
    /// What the front end sent beside that message.
    pub context: Option<Value>,
}

impl Task {
    /// What was asked: the words of the last message of the user.
    pub fn question(&self) -> Cow<'_, str> {
        let asked = self.messages.iter().rfind(|message| matches!(message, Message::User { .. }));
        asked.map(Message::text).unwrap_or_default()
    }
}

// Written by hand: what the front end sent may hold a token, which must not reach a log through `Debug`.
impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("run_id", &self.run_id)
            .field("thread_id", &self.thread_id)
            .field("messages", &self.messages)
            .finish_non_exhaustive()
    }
}

/// What a model consumed, as its provider counted it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
}

/// The result of a run that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The whole answer, Markdown; the deltas that were streamed before, joined, are the same text.
    pub final_response: String,
    /// What it cost, where a model was asked.
    pub usage: Option<Usage>,
}

/// The result of a run that did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why, by the catalogue.
    pub reason: Reason,
    /// One line for the user. It names no token, key or claim.
    pub message: String,
    /// Whether the same message may succeed when sent again.
    pub retryable: bool,
}

impl Failure {
    /// A failure whose `retryable` follows the catalogue.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        let retryable = matches!(reason.retry(), Retry::Backoff | Retry::Now);
        Self { reason, message: message.into(), retryable }
    }

    /// The run was stopped by its owner, or by the router on their behalf.
    pub fn cancelled() -> Self {
        Self::new(Reason::RunCancelled, "The run was cancelled.")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}

impl std::error::Error for Failure {}

impl From<Closed> for Failure {
    /// Nobody listens any more: the run ends as a cancelled one does.
    fn from(_: Closed) -> Self {
        Self::cancelled()
    }
}
