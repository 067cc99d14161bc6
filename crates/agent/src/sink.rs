//! The way of events out of a run, which keeps their order right by construction (design §5).

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    sync::mpsc::{self, Permit},
    time::Instant,
};

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
        /// Unique within the server as long as run ids are: `RUN.N`.
        execution_id: String,
        /// The tool's name.
        tool_name: String,
        /// Its arguments. They hold no credential.
        tool_args: Value,
    },
    /// A tool ended, well or not (`tool_completed`).
    ToolCompleted {
        /// The id of its [`AgentEvent::ToolExecuting`].
        execution_id: String,
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
    /// A piece of the answer (`partial_result`); the pieces joined are the final response.
    PartialResult {
        /// The piece.
        delta: String,
    },
}

/// Nobody receives events any more, so the run may as well stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody receives the events of this run")
    }
}

impl std::error::Error for Closed {}

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

/// Where an agent tells what it does. Clones belong to the same run.
///
/// The channel is bounded: an agent that is faster than its reader waits. No event is ever lost once a call returned.
#[derive(Clone)]
pub struct EventSink {
    events: mpsc::Sender<AgentEvent>,
    run: Arc<Run>,
}

struct Run {
    id: Arc<str>,
    /// Time before each step and piece.
    pause: Duration,
    counters: Mutex<Counters>,
}

#[derive(Default)]
struct Counters {
    steps: u32,
    tools: u32,
}

impl fmt::Debug for EventSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSink").field("run_id", &self.run.id).finish_non_exhaustive()
    }
}

impl EventSink {
    /// The least capacity of a channel. A running tool holds one place for its completion, and announcing another
    /// takes two, so with fewer places tools within tools could wait for each other for ever.
    pub const MIN_CAPACITY: usize = 8;

    /// A sink for one run and the end where its events arrive. `capacity` counts events and is raised to
    /// [`MIN_CAPACITY`](Self::MIN_CAPACITY).
    pub fn channel(run_id: impl Into<Arc<str>>, capacity: usize) -> (Self, mpsc::Receiver<AgentEvent>) {
        let (events, receiver) = mpsc::channel(capacity.max(Self::MIN_CAPACITY));
        let run = Run { id: run_id.into(), pause: Duration::ZERO, counters: Mutex::default() };
        (Self { events, run: Arc::new(run) }, receiver)
    }

    /// The same sink for an agent that shall take its time: each step and piece waits so long before it is told. To be
    /// made before anything is told.
    #[must_use]
    pub fn paced(self, pause: Duration) -> Self {
        let run = Run { id: Arc::clone(&self.run.id), pause, counters: Mutex::default() };
        Self { events: self.events, run: Arc::new(run) }
    }

    async fn pause(&self) {
        if !self.run.pause.is_zero() {
            tokio::time::sleep(self.run.pause).await;
        }
    }

    /// Tells a step of reasoning, numbered in the order of arrival.
    ///
    /// # Errors
    /// [`Closed`] if nobody receives events any more.
    pub async fn thinking(&self, content: impl Into<String>) -> Result<(), Closed> {
        self.pause().await;
        let permit = self.events.reserve().await.map_err(|_| Closed)?;
        // Number and send under one lock: clones on other tasks then cannot swap two numbers.
        let mut counters = self.run.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.steps += 1;
        permit.send(AgentEvent::Thinking { content: content.into(), step: counters.steps });
        Ok(())
    }

    /// Sends a piece of the answer; an empty one is not sent.
    ///
    /// # Errors
    /// [`Closed`] if nobody receives events any more.
    pub async fn delta(&self, delta: impl Into<String>) -> Result<(), Closed> {
        let delta = delta.into();
        if delta.is_empty() {
            return Ok(());
        }
        self.pause().await;
        self.events.send(AgentEvent::PartialResult { delta }).await.map_err(|_| Closed)
    }

    /// Announces a tool, runs it and tells its result, which is also given back.
    ///
    /// Places for both events are taken before the first is sent, so the second can always follow at once: also when
    /// the tool fails or panics, and when this future is dropped halfway (a cancelled run, a limit).
    ///
    /// # Errors
    /// [`Closed`] if nobody receives events any more; `tool` was then never polled. The inner result is the tool's.
    pub async fn tool<F>(
        &self,
        name: &str,
        tool_args: Value,
        tool: F,
    ) -> Result<Result<ToolOutput, ToolError>, Closed>
    where
        F: Future<Output = Result<ToolOutput, ToolError>>,
    {
        let mut permits = self.events.reserve_many(2).await.map_err(|_| Closed)?;
        let (Some(first), Some(second)) = (permits.next(), permits.next()) else { return Err(Closed) };
        let execution_id = {
            let mut counters = self.run.counters.lock().unwrap_or_else(PoisonError::into_inner);
            counters.tools += 1;
            format!("{}.{}", self.run.id, counters.tools)
        };
        let completion = Completion {
            permit: Some(second),
            execution_id: execution_id.clone(),
            tool_name: name.to_owned(),
            started: Instant::now(),
        };
        first.send(AgentEvent::ToolExecuting { execution_id, tool_name: name.to_owned(), tool_args });
        let outcome = tool.await;
        completion.finish(&outcome);
        Ok(outcome)
    }
}

/// The place kept for a tool's completion; it is used on every way out, dropping included.
struct Completion<'a> {
    permit: Option<Permit<'a, AgentEvent>>,
    execution_id: String,
    tool_name: String,
    started: Instant,
}

impl Completion<'_> {
    fn finish(mut self, outcome: &Result<ToolOutput, ToolError>) {
        match outcome {
            Ok(output) => self.send(true, output.summary.clone(), output.result.clone()),
            Err(error) => self.send(false, error.0.clone(), None),
        }
    }

    fn send(&mut self, ok: bool, result_summary: String, result: Option<Value>) {
        let Some(permit) = self.permit.take() else { return };
        let duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        permit.send(AgentEvent::ToolCompleted {
            execution_id: std::mem::take(&mut self.execution_id),
            tool_name: std::mem::take(&mut self.tool_name),
            ok,
            result_summary,
            result,
            duration_ms,
        });
    }
}

impl Drop for Completion<'_> {
    fn drop(&mut self) {
        let summary = if std::thread::panicking() { "The tool failed." } else { "The tool was stopped." };
        self.send(false, summary.to_owned(), None);
    }
}
