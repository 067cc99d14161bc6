//! The way of events out of a run, which keeps their order right by construction.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use portcullis_event::ExecutionId;
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc};

use crate::{
    event::AgentEvent,
    said::Said,
    tool::{OpenTool, ToolError, ToolOutput},
};

/// Nobody receives events any more, so the run may as well stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody receives the events of this run")
    }
}

impl std::error::Error for Closed {}

/// Where an agent tells what it does. Clones belong to the same run.
///
/// The way to the reader is bounded: an agent that is faster than its reader waits. No event is ever lost once a call
/// returned.
#[derive(Clone)]
pub struct EventSink {
    events: mpsc::UnboundedSender<AgentEvent>,
    /// Places for events that were not read yet. Completions of tools need none: there is one for each announcement,
    /// which had a place, so a reader that bounds the tools of a run bounds them too.
    places: Arc<Semaphore>,
    run: Arc<Run>,
}

struct Run {
    name: Arc<str>,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    steps: u32,
    tools: u32,
    ids: HashSet<ExecutionId>,
}

impl fmt::Debug for EventSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSink").field("run", &self.run.name).finish_non_exhaustive()
    }
}

impl EventSink {
    /// A sink for one run and the end where its events arrive. At most `capacity` events wait there, one at least;
    /// completions of tools come beside them. `run` is the run's id, or another name that no other run has: ids of tools
    /// begin with it.
    pub fn channel(run: impl Into<Arc<str>>, capacity: usize) -> (Self, Events) {
        let (events, queue) = mpsc::unbounded_channel();
        let places = Arc::new(Semaphore::new(capacity.max(1)));
        let run = Run { name: run.into(), told: Mutex::default() };
        let reader = Events { queue, places: Arc::clone(&places) };
        (Self { events, places, run: Arc::new(run) }, reader)
    }

    /// Tells a step of reasoning, numbered in the order of arrival.
    ///
    /// # Errors
    /// [`Closed`] if nobody receives events any more.
    pub async fn thinking(&self, content: impl Into<String>) -> Result<(), Closed> {
        self.place().await?;
        // Number and send under one lock: clones on other tasks then cannot swap two numbers.
        let mut told = self.told();
        told.steps += 1;
        self.send(AgentEvent::Thinking { content: content.into(), step: told.steps })
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
        self.place().await?;
        self.send(AgentEvent::PartialResult { delta })
    }

    /// Announces a tool that goes on by itself. Tools may overlap.
    ///
    /// `id` is the tool's name for this use where it has one already: a model's `tool_call_id`, another agent's event. It
    /// is taken as it is while no tool of the run has had it. A second tool under the same id gets a number behind it, and
    /// what is no identifier (1 to 128 visible ASCII characters) is replaced by the run's name with a number;
    /// [`OpenTool::id`] tells which it became.
    ///
    /// # Errors
    /// [`Closed`] if nobody receives events any more.
    pub async fn begin_tool(
        &self,
        name: &str,
        tool_args: Value,
        id: Option<&str>,
    ) -> Result<OpenTool, Closed> {
        self.place().await?;
        let execution_id = self.told().tool_id(&self.run.name, id);
        let tool = OpenTool::new(self.events.clone(), execution_id.clone(), name.to_owned());
        self.send(AgentEvent::ToolExecuting { execution_id, tool_name: name.to_owned(), tool_args })?;
        Ok(tool)
    }

    /// Announces a tool, runs it and tells its result, which is also given back.
    ///
    /// Its completion follows also when the tool fails or panics, and when this future is dropped halfway (a cancelled
    /// run, a limit).
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
        let open = self.begin_tool(name, tool_args, None).await?;
        let outcome = tool.await;
        open.finish(outcome.clone());
        Ok(outcome)
    }

    /// Tells that something was heard. It needs no place: an inbox is bounded.
    pub(crate) fn heard(&self, said: &Said) {
        // Without a reader nobody is left to be told.
        let _ = self.send(AgentEvent::Heard(said.clone()));
    }

    /// Waits for a place, which the reader gives back.
    async fn place(&self) -> Result<(), Closed> {
        self.places.acquire().await.map_err(|_| Closed)?.forget();
        Ok(())
    }

    fn send(&self, event: AgentEvent) -> Result<(), Closed> {
        self.events.send(event).map_err(|_| Closed)
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.run.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    /// An id that no tool of the run has had.
    fn tool_id(&mut self, run: &str, wanted: Option<&str>) -> ExecutionId {
        let mut id = wanted.and_then(|wanted| ExecutionId::new(wanted).ok());
        let base = id.as_ref().map_or(run, |_| wanted.unwrap_or_default()).to_owned();
        loop {
            if let Some(id) = id.filter(|id| self.ids.insert(id.clone())) {
                return id;
            }
            self.tools += 1;
            id = ExecutionId::new(&format!("{base}.{}", self.tools))
                .or_else(|_| ExecutionId::new(&format!("tool.{}", self.tools)))
                .ok();
        }
    }
}

/// The end where a run's events arrive, in order.
#[derive(Debug)]
pub struct Events {
    queue: mpsc::UnboundedReceiver<AgentEvent>,
    places: Arc<Semaphore>,
}

impl Events {
    /// The next event, or none once every sink and open tool is gone.
    pub async fn recv(&mut self) -> Option<AgentEvent> {
        let event = self.queue.recv().await;
        self.read(event)
    }

    /// The next event, if it is there.
    pub fn try_recv(&mut self) -> Option<AgentEvent> {
        let event = self.queue.try_recv().ok();
        self.read(event)
    }

    fn read(&self, event: Option<AgentEvent>) -> Option<AgentEvent> {
        let needs_none =
            |event: &AgentEvent| matches!(event, AgentEvent::ToolCompleted { .. } | AgentEvent::Heard(_));
        if event.as_ref().is_some_and(|event| !needs_none(event)) {
            self.places.add_permits(1);
        }
        event
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // Who waits for a place hears that there will be none.
        self.places.close();
    }
}
