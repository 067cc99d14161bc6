//! A user's record is opened, and what a crash left open in it is taken up: run again where the agent allows it, else ended.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    sync::Arc,
};

use bytes::Bytes;
use portcullis_agent::Failure;
use portcullis_event::{
    AgentFailed, AgentId, AgentStarted, Envelope, ExecutionId, RunError, RunId, ServerMessage, ThreadId,
    ToolCompleted,
};
use portcullis_log::{
    AppendError, Limits, Memory, OpenError, OpenRun, OwnerLog, Page, Question, ReadError, Repeat, Stream,
};
use portcullis_reason::{Reason, Rejection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{Command, State, World};
use crate::{
    agents::Chosen,
    share::Slot,
    shared::Shared,
    thread::{Again, Place, Run, Thread},
};

/// What became of the runs that were left open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken {
    /// Those that are run again, or for the first time where they had not begun.
    pub(crate) repeated: usize,
    /// Those that ended with `agent_failed`.
    pub(crate) ended: usize,
    /// Has all its permits back once nothing of the ends is on its way any more.
    pub(crate) recorded: Option<Arc<Semaphore>>,
}

/// Ends on their way into the record, at most.
const ENDS: u32 = 1 << 20;

/// Bytes of a stream that are read at a time.
const PIECE: usize = 64 * 1024;

impl World {
    /// The user's record, opened by the pump if it is not.
    ///
    /// # Errors
    /// [`Reason::NotReady`] where it cannot be opened.
    pub(super) async fn record_for(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
    ) -> Result<Arc<dyn OwnerLog>, Rejection> {
        if let Some(record) = self.opened(shared) {
            return Ok(record);
        }
        self.open_by_pump(shared).await?;
        self.opened(shared).ok_or_else(closed)
    }

    /// Has the pump open the record.
    pub(crate) async fn open_by_pump(self: &Arc<Self>, shared: &Arc<Shared>) -> Result<Taken, Rejection> {
        let (told, opened) = oneshot::channel();
        self.try_command(shared, Command::Open { told: Some(told) })?;
        opened.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Waits until the ends of what was taken up are recorded.
    ///
    /// # Errors
    /// [`Reason::NotReady`] where the record refused one.
    pub(crate) async fn ends_recorded(&self, ends: &Semaphore) -> Result<(), Rejection> {
        // Each end has a permit on its way, and gives it back also where it is refused.
        let _all = ends.acquire_many(ENDS).await;
        if self.state.lock().talk.as_ref().is_some_and(|talk| talk.record.is_some()) {
            Ok(())
        } else {
            Err(Rejection::new(Reason::NotReady, "what a crash left open cannot be ended"))
        }
    }

    /// The user's record, opened if it is not. For the pump alone, so that it is opened once.
    ///
    /// # Errors
    /// [`Reason::NotReady`] where it cannot be opened.
    pub(super) async fn record(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
    ) -> Result<Arc<dyn OwnerLog>, Rejection> {
        if let Some(record) = self.opened(shared) {
            return Ok(record);
        }
        self.open(shared).await?;
        self.opened(shared).ok_or_else(closed)
    }

    fn opened(&self, shared: &Shared) -> Option<Arc<dyn OwnerLog>> {
        self.talk(&mut self.state.lock(), shared).record.clone()
    }

    /// Opens the user's record if it is not open, and takes up the runs that were left open in it: their open tools end, and
    /// they are put back in their threads, in the old order, or end with `agent_failed`.
    pub(super) async fn open(self: &Arc<Self>, shared: &Arc<Shared>) -> Result<Taken, Rejection> {
        let owner = {
            let mut state = self.state.lock();
            let talk = self.talk(&mut state, shared);
            talk.opens_later = false;
            if talk.record.is_some() {
                return Ok(Taken::default());
            }
            talk.owner
        };
        let record = if self.retains {
            shared.log.open(owner).await.map_err(|error| self.unopened(shared, &error))?
        } else {
            // Ids of messages are remembered, and of the events nothing.
            Memory::apart(Limits {
                events: 0,
                bytes: 0,
                threads: shared.options.threads_per_user,
                owner_bytes: u64::MAX,
                all_bytes: u64::MAX,
            })
        };
        let left = Left::read(&*record).await.map_err(|error| unreadable(&error))?;
        let state = &mut *self.state.lock();
        self.talk(state, shared).opened(record);
        Ok(self.take_up(state, shared, left))
    }

    /// What is said of a record that cannot be opened; it is tried again where that may help.
    fn unopened(self: &Arc<Self>, shared: &Arc<Shared>, error: &OpenError) -> Rejection {
        if let OpenError::Unavailable { cause, after } = error {
            self.open_later(
                &mut self.state.lock(),
                shared,
                &AppendError::Unavailable { cause: Arc::clone(cause), after: *after },
            );
        }
        Rejection::new(Reason::NotReady, error.to_string()).with_retry_after(5)
    }

    fn take_up(self: &Arc<Self>, state: &mut State, shared: &Arc<Shared>, left: Left) -> Taken {
        let mut taken = Taken::default();
        for (thread_id, Open { stream, runs }) in left.threads {
            let talk = self.talk(state, shared);
            let now = shared.clock.instant();
            let thread = match stream {
                Some(stream) => Thread::recorded(&thread_id, stream, now),
                None => Thread::new(&thread_id, now),
            };
            talk.threads.insert(thread_id, thread);
            for (open, cut_off) in runs {
                let room = || {
                    let recorded =
                        taken.recorded.get_or_insert_with(|| Arc::new(Semaphore::new(ENDS as usize)));
                    Arc::clone(recorded).try_acquire_owned().ok()
                };
                match self.take_up_run(state, shared, open, cut_off, room) {
                    None => taken.ended += 1,
                    Some(run) => {
                        taken.repeated += 1;
                        let slot = Slot::beyond(shared, state.share.get_or_insert_default());
                        self.talk(state, shared).runs.push(slot);
                        self.queue(state, shared, run);
                    }
                }
            }
        }
        taken
    }

    /// Ends a run's open tools, and gives it back to be put in its thread, or ends it too: none then.
    fn take_up_run(
        self: &Arc<Self>,
        state: &mut State,
        shared: &Arc<Shared>,
        mut open: OpenRun,
        cut_off: Option<CutOff>,
        mut room: impl FnMut() -> Option<OwnedSemaphorePermit>,
    ) -> Option<Run> {
        let talk = self.talk(state, shared);
        talk.accepted_at(open.accepted_at);
        let place = Place { term: talk.term, thread_id: open.thread_id.clone(), run_id: open.run_id.clone() };
        let began = cut_off.is_some();
        // What finds no place any more is ended by whoever opens the record next.
        let mut tell = |state: &mut State, message: ServerMessage| {
            let _ = self.tell(state, shared, &place, message, room());
        };
        for (execution_id, tool_name) in cut_off.into_iter().flat_map(|cut_off| cut_off.tools) {
            let result_summary = "The server stopped while the tool ran.".to_owned();
            let (ok, result, duration_ms) = (false, None, 0);
            let end = ToolCompleted { execution_id, tool_name, ok, result_summary, result, duration_ms };
            tell(state, end.into());
        }
        match question(shared, &mut open) {
            Ok((chosen, question)) => {
                shared.observer.repeated();
                Some(again(shared, place, chosen, question, Again { open, began }))
            }
            Err((agent_id, Failure { reason, message, retryable })) => {
                if !began {
                    let (agent_type, user_id) = (open.agent_type.into(), open.user_id.into());
                    let agent_id = agent_id.clone();
                    tell(state, AgentStarted { agent_id, agent_type, user_id, attempt: None }.into());
                }
                let error = RunError { reason, message, retryable };
                tell(state, AgentFailed { agent_id, error }.into());
                shared.observer.run_ended(Some(reason), shared.since(open.accepted_at));
                None
            }
        }
    }
}

/// What is to be asked again and whom, taken out of the record's entry; or whose run ends, and how.
fn question(shared: &Shared, open: &mut OpenRun) -> Result<(Chosen, Question), (AgentId, Failure)> {
    let agent_id = AgentId::new(&open.agent_id);
    let agent_id = agent_id.unwrap_or_else(|_| AgentId::new("unknown").expect("a word is an identifier"));
    let cut_off = || Failure {
        reason: Reason::Internal,
        message: "The server stopped before the answer was whole; ask again.".to_owned(),
        retryable: true,
    };
    let question = match mem::replace(&mut open.repeat, Repeat::Done) {
        Repeat::Once(question) if shared.options.repeat_runs => question,
        Repeat::Once(_) | Repeat::Never => return Err((agent_id, cut_off())),
        Repeat::Done => {
            let failure = Failure {
                message: "The server stopped twice before the answer was whole.".to_owned(),
                retryable: false,
                ..cut_off()
            };
            return Err((agent_id, failure));
        }
    };
    let Ok(chosen) = shared.agents.choose(Some(&agent_id), question.fresh) else {
        let message = "The server was restarted without the agent that was asked.";
        return Err((agent_id, Failure::new(Reason::UnknownAgent, message)));
    };
    // It may be another one under the same name.
    if chosen.agent.may_repeat(&question.content, question.context.as_ref()) {
        Ok((chosen, question))
    } else {
        Err((agent_id, cut_off()))
    }
}

fn again(shared: &Shared, place: Place, chosen: Chosen, question: Question, again: Again) -> Run {
    let Question { content, context, fresh } = question;
    let now = shared.clock.instant();
    Run {
        place,
        user_id: again.open.user_id.as_str().into(),
        chosen,
        content,
        context,
        remembers: !fresh,
        cancel: shared.stop.child_token(),
        accepted: now.checked_sub(shared.since(again.open.accepted_at)).unwrap_or(now),
        again: Some(Box::new(again)),
    }
}

/// What was left open in a record, thread by thread, in an order that is the same each time.
#[derive(Default)]
struct Left {
    threads: BTreeMap<ThreadId, Open>,
}

/// A thread with runs that were left open.
struct Open {
    stream: Option<Stream>,
    /// In the order of their beginnings, then of their acceptance.
    runs: Vec<(OpenRun, Option<CutOff>)>,
}

/// A run that had begun.
struct CutOff {
    /// Its place among the thread's beginnings.
    place: usize,
    /// The tools that have not ended.
    tools: Vec<(ExecutionId, Arc<str>)>,
}

impl Left {
    async fn read(record: &dyn OwnerLog) -> Result<Self, ReadError> {
        let mut by_thread: BTreeMap<ThreadId, Vec<OpenRun>> = BTreeMap::new();
        for run in record.open_runs().await? {
            by_thread.entry(run.thread_id.clone()).or_default().push(run);
        }
        let mut left = Self::default();
        for (thread_id, runs) in by_thread {
            let (stream, mut begun) = begun(record, &thread_id).await?;
            let mut runs: Vec<_> = runs.into_iter().map(|run| (begun.remove(&run.run_id), run)).collect();
            runs.sort_by_key(|(begun, run)| {
                (begun.as_ref().map_or(usize::MAX, |run| run.place), run.accepted_at)
            });
            let runs = runs.into_iter().map(|(begun, run)| (run, begun)).collect();
            left.threads.insert(thread_id, Open { stream, runs });
        }
        Ok(left)
    }
}

/// A thread's extent, and the runs that have begun in it.
async fn begun(
    record: &dyn OwnerLog,
    id: &ThreadId,
) -> Result<(Option<Stream>, HashMap<RunId, CutOff>), ReadError> {
    let mut begun: HashMap<RunId, CutOff> = HashMap::new();
    let (mut extent, mut after) = (None, 0);
    while let Some(Page { stream, from, events }) = record.read(id, after, PIECE).await? {
        after = from - 1 + events.len() as u64;
        extent = Some(stream);
        if events.is_empty() {
            break;
        }
        let parse = |text: &Bytes| Envelope::parse(str::from_utf8(text).ok()?).ok();
        for event in events.iter().filter_map(parse) {
            let Some(run_id) = event.run_id else { continue };
            if matches!(event.message, ServerMessage::UserMessage(_)) {
                // Its run is still to begin.
                continue;
            }
            let place = begun.len();
            let run = begun.entry(run_id).or_insert_with(|| CutOff { place, tools: Vec::new() });
            match event.message {
                ServerMessage::ToolExecuting(tool) => run.tools.push((tool.execution_id, tool.tool_name)),
                ServerMessage::ToolCompleted(tool) => run.tools.retain(|(id, _)| *id != tool.execution_id),
                _ => {}
            }
        }
    }
    Ok((extent, begun))
}

pub(super) fn unreadable(error: &ReadError) -> Rejection {
    Rejection::new(Reason::NotReady, error.to_string()).with_retry_after(5)
}

fn closed() -> Rejection {
    Rejection::new(Reason::NotReady, "the record was closed meanwhile").with_retry_after(1)
}
