//! Telling at a pace, so that a person can watch and a test can act in the middle.

use std::time::Duration;

use portcullis_agent::{Closed, EventSink, ToolError, ToolOutput};
use serde_json::Value;

/// A run's sink that waits before each step and each piece of the answer.
#[derive(Debug)]
pub(crate) struct Paced {
    events: EventSink,
    pause: Duration,
}

impl Paced {
    pub(crate) const fn new(events: EventSink, pause: Duration) -> Self {
        Self { events, pause }
    }

    async fn pause(&self) {
        if !self.pause.is_zero() {
            tokio::time::sleep(self.pause).await;
        }
    }

    pub(crate) async fn thinking(&self, content: impl Into<String>) -> Result<(), Closed> {
        self.pause().await;
        self.events.thinking(content).await
    }

    pub(crate) async fn delta(&self, delta: impl Into<String>) -> Result<(), Closed> {
        self.pause().await;
        self.events.delta(delta).await
    }

    /// Tools take their own time.
    pub(crate) async fn tool<F>(
        &self,
        name: &str,
        args: Value,
        tool: F,
    ) -> Result<Result<ToolOutput, ToolError>, Closed>
    where
        F: Future<Output = Result<ToolOutput, ToolError>>,
    {
        self.events.tool(name, args, tool).await
    }
}
