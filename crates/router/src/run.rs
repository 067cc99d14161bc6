//! One run from its start to its terminal event.

use std::{
    mem,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use portcullis_agent::{
    AgentEvent, Answer, EventSink, Events, Failure, Inbox, Message, RunContext, Said, Task, ToolCall,
};
use portcullis_event::{
    AgentCompleted, AgentFailed, AgentThinking, ExecutionId, PartialResult, RunError, ServerMessage,
    ToolCompleted, ToolExecuting, Usage, UserSaid,
};
use portcullis_reason::Reason;
use tokio::sync::Semaphore;

use crate::{
    shared::Shared,
    thread::Run,
    turn::Turn,
    world::{Lost, World},
};

/// Events between an agent and the router. A full channel makes the agent wait.
const EVENTS: usize = 32;

/// Events of a run that the record has not committed: what one run may have on their way.
const UNCOMMITTED: u32 = 64;

/// What a user has said to a run and its agent has not heard.
const UNHEARD: usize = 8;

/// Bytes of an answer's pieces that are joined at most, and how long the first of them waits for more.
const JOINED_BYTES: usize = 4 * 1024;
const JOINED_FOR: Duration = Duration::from_millis(200);

/// How long a cancelled agent has to end by itself.
const CANCEL_GRACE: Duration = Duration::from_secs(2);

/// Starts a run, and after it those that wait for it, as one task.
pub(crate) fn start(shared: &Arc<Shared>, world: &Arc<World>, run: Run) {
    let (router, world) = (Arc::clone(shared), Arc::clone(world));
    shared.tasks.spawn(async move {
        let mut next = Some(run);
        while let Some(run) = next {
            let place = run.place.clone();
            // A run whose record was lost has no end here: whoever opens the record takes it up.
            let Ok(turn) = Driver::new(&router, &world, run).drive().await else { return };
            next = world.finish(&router, &place, turn);
        }
    });
}

struct Driver<'a> {
    shared: &'a Arc<Shared>,
    world: &'a Arc<World>,
    run: Run,
    /// The record was lost: nothing that the run tells has a place any more.
    lost: bool,
    /// Room for events on their way into the record.
    window: Arc<Semaphore>,
    /// Bytes of events so far.
    bytes: usize,
    /// Thoughts and tools so far.
    steps: usize,
    /// Pieces of the answer that wait to be told as one, and since when.
    joined: String,
    joined_at: Instant,
    /// What later runs of the thread are shown of this one, if anything.
    turn: Option<Turn>,
    /// Tools that were announced and have not ended.
    open: Vec<(ExecutionId, Arc<str>, Instant)>,
}

impl<'a> Driver<'a> {
    fn new(shared: &'a Arc<Shared>, world: &'a Arc<World>, run: Run) -> Self {
        let window = Arc::new(Semaphore::new(UNCOMMITTED as usize));
        let turn = run.remembers.then(|| Turn::asked(run.content.clone()));
        let (joined, joined_at) = (String::new(), shared.clock.instant());
        let (lost, bytes, steps, open) = (false, 0, 0, Vec::new());
        Self { shared, world, run, lost, window, bytes, steps, joined, joined_at, turn, open }
    }

    /// Drives the run to its terminal event, and gives the turn to remember.
    ///
    /// # Errors
    /// [`Lost`] where its record was.
    async fn drive(mut self) -> Result<Option<Turn>, Lost> {
        if let Some(again) = &self.run.again {
            // What brings the server down does so twice at most.
            self.world.reopen(self.shared, &self.run.place, again.open.clone())?.await.map_err(|_| Lost)?;
        }
        // The tools of a second attempt are others than those of the first.
        let name = &self.run.place.run_id;
        let name = if self.run.is_second() { format!("{name}.2").into() } else { name.to_arc() };
        let (sink, events) = EventSink::channel(name, EVENTS);
        let (letterbox, inbox) = Inbox::channel(&sink, UNHEARD);
        // Who sees that the run has begun may speak to it.
        self.world.listen(&self.run.place, letterbox);
        self.emit(self.run.started()).await;
        let context = RunContext { events: sink, inbox, cancel: self.run.cancel.clone() };
        let outcome = self.run_agent(context, events).await;
        self.close_tools().await;
        let outcome = outcome.and_then(|answer| match self.excess(answer.final_response.len()) {
            Some(excess) => Err(excess),
            None => Ok(answer),
        });
        let answer = self.emit_terminal(outcome).await?;
        if let Some(turn) = &mut self.turn {
            turn.answer(answer);
        }
        // A run that has ended is recorded to its end: nothing of it is on its way any more.
        let _ = self.window.acquire_many(UNCOMMITTED).await;
        Ok(self.turn)
    }

    async fn run_agent(&mut self, context: RunContext, mut events: Events) -> Result<Answer, Failure> {
        let earlier = if self.run.remembers { self.world.history(&self.run.place).await } else { Vec::new() };
        let mut messages: Vec<_> = earlier.into_iter().flat_map(Turn::into_messages).collect();
        messages.push(Message::user(mem::take(&mut self.run.content)));
        let task = Task {
            run_id: self.run.place.run_id.to_arc(),
            thread_id: self.run.place.thread_id.to_arc(),
            user_id: Arc::clone(&self.run.user_id),
            messages,
            context: self.run.context.take(),
        };
        let (agent, stop) = (Arc::clone(&self.run.chosen.agent), self.run.cancel.clone());
        // A panic ends the run, not the process; nothing that the agent touched is used after it.
        let work = AssertUnwindSafe(async move { agent.run(task, context).await }).catch_unwind();
        let mut work = Box::pin(work);
        let deadline = tokio::time::sleep(self.shared.options.run_timeout);
        tokio::pin!(deadline);
        let outcome = loop {
            tokio::select! {
                // In this order: what the agent said before it ended is told before its end.
                biased;
                Some(event) = events.recv() => {
                    self.relay(event).await;
                    if let Some(excess) = self.excess(self.joined.len()) {
                        break Err(excess);
                    }
                    if self.lost {
                        break Err(Failure::cancelled());
                    }
                }
                outcome = &mut work => break outcome.unwrap_or_else(|_| {
                    tracing::error!(run_id = %self.run.place.run_id, agent = %self.run.chosen.id, "the agent panicked");
                    Err(Failure::new(Reason::Internal, "The agent failed unexpectedly."))
                }),
                () = tokio::time::sleep_until((self.joined_at + JOINED_FOR).into()), if !self.joined.is_empty() => {
                    self.tell_joined().await;
                }
                () = stop.cancelled() => break match tokio::time::timeout(CANCEL_GRACE, &mut work).await {
                    Ok(Ok(Err(failure))) => Err(failure),
                    _ => Err(Failure::cancelled()),
                },
                () = &mut deadline => {
                    break Err(Failure::new(Reason::RunLimit, "The agent took too long and was stopped."));
                }
            }
        };
        // Dropping the work completes its open tools, and then nobody can send any more.
        drop(work);
        while let Some(event) = events.try_recv() {
            if self.excess(0).is_none() || matches!(event, AgentEvent::ToolCompleted { .. }) {
                self.relay(event).await;
            }
        }
        self.tell_joined().await;
        outcome
    }

    async fn relay(&mut self, event: AgentEvent) {
        if !matches!(event, AgentEvent::PartialResult { .. }) {
            self.tell_joined().await;
        }
        if matches!(event, AgentEvent::Thinking { .. } | AgentEvent::ToolExecuting { .. }) {
            self.steps += 1;
            if self.steps > self.shared.options.run_steps {
                return;
            }
        }
        match event {
            AgentEvent::Thinking { content, step } => {
                let agent_id = self.run.chosen.id.clone();
                self.emit(AgentThinking { agent_id, thinking_content: content, step_number: step }).await;
            }
            AgentEvent::ToolExecuting { execution_id, tool_name, tool_args } => {
                let tool_name: Arc<str> = tool_name.into();
                self.open.push((execution_id.clone(), Arc::clone(&tool_name), self.shared.clock.instant()));
                if let Some(turn) = &mut self.turn {
                    let (id, name) = (execution_id.to_string(), tool_name.to_string());
                    turn.tool_began(ToolCall { id, name, arguments: tool_args.to_string() });
                }
                self.emit(ToolExecuting { execution_id, tool_name, tool_args }).await;
            }
            AgentEvent::ToolCompleted {
                execution_id,
                tool_name,
                ok,
                result_summary,
                result,
                duration_ms,
            } => {
                // One completion for each announcement: an agent's sink sees to that, and here it is made sure of.
                let Some(place) = self.open.iter().position(|(id, ..)| *id == execution_id) else {
                    return;
                };
                let (execution_id, ..) = self.open.swap_remove(place);
                let tool_name = tool_name.into();
                self.tell_end(ToolCompleted {
                    execution_id,
                    tool_name,
                    ok,
                    result_summary,
                    result,
                    duration_ms,
                })
                .await;
            }
            AgentEvent::Heard(Said { message_id, content }) => {
                if let Some(turn) = &mut self.turn {
                    turn.said(content.clone());
                }
                let (run_id, content) = (self.run.place.run_id.clone(), self.run.kept(self.shared, &content));
                self.emit(UserSaid { message_id, run_id, content }).await;
            }
            AgentEvent::PartialResult { delta } => self.tell_piece(delta).await,
        }
    }

    /// Tells a piece of the answer, or joins it to the ones that wait while a reader is slow: each event costs its reader
    /// some hundred bytes beside what it says. They get one number together, so that all readers see the same stream.
    async fn tell_piece(&mut self, delta: String) {
        if self.joined.is_empty() {
            if !self.world.is_pressed() {
                return self.emit(PartialResult { delta }).await;
            }
            (self.joined, self.joined_at) = (delta, self.shared.clock.instant());
            return;
        }
        self.joined.push_str(&delta);
        self.world.observer(self.shared).joined();
        if self.joined.len() > JOINED_BYTES || !self.world.is_pressed() {
            self.tell_joined().await;
        }
    }

    async fn tell_joined(&mut self) {
        if !self.joined.is_empty() {
            let delta = mem::take(&mut self.joined);
            self.emit(PartialResult { delta }).await;
        }
    }

    async fn tell_end(&mut self, tool: ToolCompleted) {
        if let Some(turn) = &mut self.turn {
            turn.tool_completed(&tool);
        }
        self.emit(tool).await;
    }

    async fn close_tools(&mut self) {
        for (execution_id, tool_name, started) in mem::take(&mut self.open) {
            self.tell_end(ToolCompleted {
                execution_id,
                tool_name,
                ok: false,
                result_summary: "The tool was stopped.".to_owned(),
                result: None,
                duration_ms: milliseconds(self.shared.clock.since(started)),
            })
            .await;
        }
    }

    /// Emits the one terminal event, and gives the answer's text.
    ///
    /// # Errors
    /// [`Lost`] where it has no place any more.
    async fn emit_terminal(&mut self, outcome: Result<Answer, Failure>) -> Result<String, Lost> {
        let elapsed = self.shared.clock.since(self.run.accepted);
        let agent_id = self.run.chosen.id.clone();
        let (end, failure, answer): (ServerMessage, _, _) = match outcome {
            Ok(Answer { final_response, usage }) => {
                let usage = usage.map(|usage| Usage {
                    input_tokens: Some(usage.input_tokens),
                    output_tokens: Some(usage.output_tokens),
                });
                let (answer, execution_time_ms) = (final_response.clone(), milliseconds(elapsed));
                (AgentCompleted { agent_id, final_response, execution_time_ms, usage }.into(), None, answer)
            }
            Err(failure) => {
                let Failure { reason, message, retryable } =
                    if failure.reason == Reason::RunCancelled && self.shared.stop.is_cancelled() {
                        Failure::new(Reason::Draining, "The server is restarting; ask again in a moment.")
                    } else {
                        failure
                    };
                let error = RunError { reason, message, retryable };
                (AgentFailed { agent_id, error }.into(), Some(reason), String::new())
            }
        };
        self.emit(end).await;
        if self.lost {
            return Err(Lost);
        }
        self.world.observer(self.shared).run_ended(failure, elapsed);
        Ok(answer)
    }

    /// The limit that the run has gone beyond, or would with so many bytes more.
    fn excess(&self, more: usize) -> Option<Failure> {
        let options = &self.shared.options;
        let limit = |what| Some(Failure::new(Reason::RunLimit, format!("The agent {what} and was stopped.")));
        if self.steps > options.run_steps {
            return limit("took more steps than it may");
        }
        if self.bytes + more > options.run_output_bytes {
            return limit("produced more than its limit");
        }
        None
    }

    /// Sends an event on its way; waits while too many are on theirs.
    async fn emit(&mut self, message: impl Into<ServerMessage>) {
        let Ok(room) = Arc::clone(&self.window).acquire_owned().await else { return };
        match self.world.emit(self.shared, &self.run.place, message.into(), room) {
            Ok(bytes) => self.bytes += bytes,
            Err(Lost) => self.lost = true,
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
