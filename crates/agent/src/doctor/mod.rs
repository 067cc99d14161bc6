//! The built-in agent: a doctor for failed WebSocket and JWT handshakes that needs no model (design §10, `builtin`).

mod scan;
mod surroundings;

use std::{fmt, sync::Arc};

use tokio_util::sync::CancellationToken;

pub use self::surroundings::{Configuration, Refusal, Surroundings};
use crate::{Agent, Answer, EventSink, Failure, RunFuture, Task};

/// Answers questions about failed handshakes, with evidence or without.
pub struct Doctor {
    surroundings: Arc<dyn Surroundings>,
}

impl fmt::Debug for Doctor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doctor").finish_non_exhaustive()
    }
}

impl Doctor {
    /// A doctor for the server that `surroundings` describes.
    pub fn new(surroundings: Arc<dyn Surroundings>) -> Self {
        Self { surroundings }
    }

    async fn answer(
        &self,
        task: Task,
        events: EventSink,
        cancel: CancellationToken,
    ) -> Result<Answer, Failure> {
        if cancel.is_cancelled() {
            return Err(Failure::cancelled());
        }
        events.thinking(format!("Reading the message ({} bytes).", task.content.len())).await?;
        let text = format!("The server's environment is {}.", self.surroundings.configuration().environment);
        events.delta(text.clone()).await?;
        Ok(Answer { final_response: text, usage: None })
    }
}

impl Agent for Doctor {
    fn id(&self) -> &str {
        "doctor"
    }

    fn kind(&self) -> &str {
        "builtin"
    }

    fn run(&self, task: Task, events: EventSink, cancel: CancellationToken) -> RunFuture<'_> {
        Box::pin(self.answer(task, events, cancel))
    }
}
