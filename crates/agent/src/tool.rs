//! A tool of a run, from its announcement to its completion.

use std::fmt;

use portcullis_event::ExecutionId;
use serde_json::Value;
use tokio::{sync::mpsc::UnboundedSender, time::Instant};

use crate::event::AgentEvent;

/// What a tool found.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolOutput {
    /// One line for the user.
    pub summary: String,
    /// The whole result.
    pub result: Option<Value>,
}

/// Why a tool came to no result: one line for the user, free of credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolError(pub String);

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ToolError {}

/// A tool that was announced and has not ended. It is completed on every way out: by [`finish`](Self::finish), or as
/// stopped or failed where it is dropped.
#[must_use = "a tool that is dropped is told as stopped"]
pub struct OpenTool {
    /// None once it was completed.
    events: Option<UnboundedSender<AgentEvent>>,
    id: ExecutionId,
    name: String,
    began: Instant,
}

impl OpenTool {
    pub(crate) fn new(events: UnboundedSender<AgentEvent>, id: ExecutionId, name: String) -> Self {
        Self { events: Some(events), id, name, began: Instant::now() }
    }

    /// The id under which it was announced.
    pub const fn id(&self) -> &ExecutionId {
        &self.id
    }

    /// Tells what came of it. Never waits: there is always room for a completion.
    pub fn finish(mut self, outcome: Result<ToolOutput, ToolError>) {
        match outcome {
            Ok(output) => self.complete(true, output.summary, output.result),
            Err(error) => self.complete(false, error.0, None),
        }
    }

    fn complete(&mut self, ok: bool, result_summary: String, result: Option<Value>) {
        let Some(events) = self.events.take() else { return };
        let duration_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        // Without a reader nobody is left to be told.
        let _ = events.send(AgentEvent::ToolCompleted {
            execution_id: self.id.clone(),
            tool_name: std::mem::take(&mut self.name),
            ok,
            result_summary,
            result,
            duration_ms,
        });
    }
}

impl Drop for OpenTool {
    fn drop(&mut self) {
        let summary = if std::thread::panicking() { "The tool failed." } else { "The tool was stopped." };
        self.complete(false, summary.to_owned(), None);
    }
}

impl fmt::Debug for OpenTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenTool").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}
