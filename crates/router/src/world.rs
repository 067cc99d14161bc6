//! One user's world: sockets, threads and runs behind one lock, with no way to another world.

mod asking;
mod history;
mod numbered;
mod reopen;
mod sockets;
mod state;
mod talk;

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use portcullis_event::{
    AgentFailed, CancelRun, Format, MessageAccepted, MessageId, Resume, RunError, RunId, ServerMessage,
    ThreadId,
};
use portcullis_log::{self as log, Change, EventLog, Owner};
use portcullis_reason::{Reason, Rejection};
use tokio_util::sync::CancellationToken;

use self::{
    numbered::Numbered,
    sockets::{Socket, Sockets},
    state::{Recording, State},
    talk::{Seen, Talk},
};
use crate::{
    Observer, Outbox, Shared, ThreadPolicy, Unheard,
    thread::{Run, Thread},
    turn::Turn,
};

pub(crate) use self::{asking::Asking, numbered::Place};

pub(crate) struct World {
    /// Whether threads outlive their runs: false for a connection in the mode `isolated`.
    retains: bool,
    /// Whether the router's observer hears of what happens here.
    observed: bool,
    state: Mutex<State>,
}

/// What became of a message.
pub(crate) enum Submitted {
    /// Start this run now.
    Start(Box<Run>),
    /// It waits for the run before it, or was accepted earlier.
    Nothing,
}

impl World {
    /// A world for all connections of a user.
    pub(crate) fn shared() -> Self {
        Self {
            retains: true,
            observed: true,
            state: Mutex::new(State { seats: 0, sockets: Sockets::None, talk: None }),
        }
    }

    /// A world for one connection; it ends with it.
    pub(crate) fn isolated(observed: bool) -> Self {
        Self { retains: false, observed, ..Self::shared() }
    }

    /// Who hears of what happens here.
    pub(crate) fn observer<'s>(&self, shared: &'s Shared) -> &'s dyn Observer {
        if self.observed { &*shared.observer } else { &Unheard }
    }

    pub(crate) fn take_seat(&self, most: u32) -> bool {
        let mut state = self.state.lock();
        let free = state.seats < most;
        state.seats += u32::from(free);
        free
    }

    /// Gives a seat back, and says whether the world holds nothing any more.
    pub(crate) fn leave_seat(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        state.seats -= 1;
        if let Some(talk) = &mut state.talk {
            talk.last_used = now;
        }
        state.seats == 0 && state.talk.is_none()
    }

    pub(crate) fn is_stale(&self, now: Instant, retention: Duration) -> bool {
        let state = self.state.lock();
        state.seats == 0
            && state.talk.as_ref().is_none_or(|talk| {
                talk.runs == 0 && now.saturating_duration_since(talk.last_used) >= retention
            })
    }

    /// Whether runs are waiting or going on.
    pub(crate) fn is_busy(&self) -> bool {
        self.state.lock().talk.as_ref().is_some_and(|talk| talk.runs > 0)
    }

    /// Adds a socket. What it missed is queued in the same step, so that nothing falls between.
    pub(crate) fn join(
        &self,
        shared: &Shared,
        owner: impl FnOnce() -> Owner,
        format: Format,
        outbox: &Arc<Outbox>,
        resume: &Resume,
        reply: &dyn Fn(ServerMessage),
    ) {
        let mut state = self.state.lock();
        state.sockets.push(Socket { format, outbox: Arc::clone(outbox) });
        if !resume.threads.is_empty() {
            state.resume(&self.recording(shared, &owner()), outbox, resume, reply);
        }
    }

    /// Takes a socket out. An isolated world's runs end with it.
    pub(crate) fn part(&self, outbox: &Arc<Outbox>) {
        let mut state = self.state.lock();
        state.sockets.remove(outbox);
        if let Some(talk) = &mut state.talk {
            talk.take_late(outbox);
        }
        if !self.retains
            && let Some(talk) = &state.talk
        {
            for thread in talk.threads.values() {
                thread.active.iter().for_each(|run| run.cancel.cancel());
                thread.waiting.iter().for_each(|run| run.cancel.cancel());
            }
        }
    }

    /// Accepts a run, in the thread that the client named or in a new one: its place in its thread, and `message_accepted`
    /// to the asking socket, with a log only once that has it.
    ///
    /// # Errors
    /// `TOO_MANY_RUNS`, also where the policy refuses a second run on a thread; `DRAINING`, `NOT_READY`.
    pub(crate) fn submit(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        id: Option<MessageId>,
        thread_named: bool,
        mut run: Run,
        asking: &Asking<'_>,
    ) -> Result<Submitted, Rejection> {
        let log = self.log(shared);
        let mut state = self.state.lock();
        let talk = state.talk.get_or_insert_with(|| Box::new(Talk::new(run.accepted)));
        if let Some(id) = &id
            && let Some(seen) = talk.seen(id, thread_named, &run, log)?
        {
            let answer = accepted(id.clone(), seen.run_id, seen.thread_id, true);
            match seen.recorded.filter(|recorded| recorded.peek().is_none()) {
                None => (asking.reply)(answer),
                Some(recorded) => asking.reply_once(shared, recorded, answer),
            }
            return Ok(Submitted::Nothing);
        }
        if shared.tasks.is_closed() {
            return Err(Rejection::new(Reason::Draining, "a message came while draining"));
        }
        shared.ready()?;
        let options = &shared.options;
        if talk.runs >= options.runs_per_user || shared.runs.load(Ordering::Relaxed) >= options.runs {
            return Err(Rejection::new(Reason::TooManyRuns, "the cap on runs is reached")
                .with_hint("too many runs are going on; wait for one to end or cancel one"));
        }
        talk.make_room(options.threads_per_user, &run.thread_id)?;
        talk.load(log, &run.owner, &run.thread_id, run.accepted)?;
        let thread = talk.threads.get(&run.thread_id);
        if thread.is_some_and(|thread| !thread.doomed.is_empty()) {
            return Err(Rejection::new(Reason::TooManyRuns, "the thread is being deleted")
                .with_hint("this thread is being deleted; ask again in a moment, or in another one"));
        }
        let busy = thread.is_some_and(Thread::is_busy);
        if busy && options.thread_policy == ThreadPolicy::Reject {
            return Err(Rejection::new(Reason::TooManyRuns, "a run is going on in the thread")
                .with_hint("a run is going on in this thread; wait for its end, or cancel it"));
        }
        if !self.retains {
            asking.outbox.set_carries_runs(true);
        }
        self.observer(shared).accepted();
        let id = id.unwrap_or_else(|| MessageId::new(run.id.as_str()).expect("a run's id is a message's id"));
        let answer = accepted(id.clone(), run.id.clone(), run.thread_id.clone(), false);
        match log {
            None => (asking.reply)(answer),
            Some(log) => {
                let accepted_at = talk.accepted_at((shared.clock)().unix_ms().unsigned_abs());
                run.recorded = Some(asking.record(shared, log, &mut run, id.clone(), accepted_at, answer));
            }
        }
        talk.remember(Seen {
            id,
            run_id: run.id.clone(),
            thread_id: run.thread_id.clone(),
            recorded: run.recorded.clone(),
        });
        Ok(self.enter(&mut state, shared, run))
    }

    /// Gives an accepted run its place in its thread, as the policy has it.
    fn enter(self: &Arc<Self>, state: &mut State, shared: &Arc<Shared>, run: Run) -> Submitted {
        let talk = state.talk.get_or_insert_with(|| Box::new(Talk::new(run.accepted)));
        talk.runs += 1;
        shared.runs.fetch_add(1, Ordering::Relaxed);
        let thread = talk.thread(&run.thread_id, run.accepted);
        let policy = shared.options.thread_policy;
        if !thread.is_busy() || policy == ThreadPolicy::Parallel {
            thread.begin(&run);
            return Submitted::Start(Box::new(run));
        }
        let mut replaced = VecDeque::new();
        if policy == ThreadPolicy::Replace {
            thread.active.iter().for_each(|active| active.cancel.cancel());
            replaced = mem::take(&mut thread.waiting);
        }
        thread.waiting.push_back(run);
        for run in replaced {
            self.end_waiting(state, shared, run);
        }
        Submitted::Nothing
    }

    /// Numbers an event and, without a log, keeps it and queues it for every socket in the same step. With one, that
    /// happens once the log has acknowledged it, and `held` is let go then. Gives back its size in bytes.
    pub(crate) fn emit(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        run: &Place,
        message: ServerMessage,
        held: impl Send + 'static,
    ) -> usize {
        self.emit_locked(&mut self.state.lock(), shared, run, message, held)
    }

    fn emit_locked(
        self: &Arc<Self>,
        state: &mut State,
        shared: &Arc<Shared>,
        run: &Place,
        message: ServerMessage,
        held: impl Send + 'static,
    ) -> usize {
        let last = is_terminal(&message);
        let Some(numbered) = state.number(shared, run, message) else { return 0 };
        let size = numbered.frame.len();
        let Some(log) = self.log(shared) else {
            state.deliver(self.retains, shared, self.observer(shared), numbered);
            return size;
        };
        let change = Change::Event {
            record: numbered.record(run.owner),
            trim: state.trimmed(&run.thread_id),
            ends: last.then(|| run.run_id.clone()),
        };
        let (world, router, handed) = (Arc::clone(self), Arc::clone(shared), Instant::now());
        // Handed over under the lock, so that the log sees a thread's events in the order of their numbers.
        log.append(
            change,
            Box::new(move |outcome| {
                if outcome.is_ok() {
                    router.observer.recorded(Ok(handed.elapsed()));
                }
                world.recorded(&router, numbered, outcome);
                drop(held);
            }),
        );
        size
    }

    /// Whether a reader is slower than what is said.
    pub(crate) fn is_pressed(&self) -> bool {
        self.state.lock().sockets.as_slice().iter().any(|socket| socket.outbox.is_pressed())
    }

    /// What the log said of an event: seen by all, or by nobody for ever.
    fn recorded(&self, shared: &Shared, numbered: Numbered, outcome: Result<(), &log::Error>) {
        let mut state = self.state.lock();
        match outcome {
            Ok(()) => state.deliver(self.retains, shared, self.observer(shared), numbered),
            Err(error) => {
                shared.fail(error);
                // There is a hole from here on: whoever listens comes back to what was really recorded.
                for socket in state.sockets.as_slice() {
                    socket.outbox.end(Reason::NotReady);
                }
            }
        }
    }

    /// Whether what is said here is recorded.
    pub(crate) fn is_recorded(&self, shared: &Shared) -> bool {
        self.log(shared).is_some()
    }

    /// Where this world's events are recorded.
    fn log<'s>(&self, shared: &'s Shared) -> Option<&'s dyn EventLog> {
        shared.log.as_deref().filter(|_| self.retains)
    }

    /// Ends a run's place in its thread, and gives the next one that waited.
    pub(crate) fn finish(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        run: &Place,
        turn: Option<Turn>,
    ) -> Option<Run> {
        let now = Instant::now();
        let state = &mut *self.state.lock();
        let talk = state.talk.as_mut()?;
        talk.runs -= 1;
        if !self.retains {
            let carries = talk.runs > 0;
            state.sockets.as_slice().iter().for_each(|socket| socket.outbox.set_carries_runs(carries));
        }
        talk.last_used = now;
        shared.runs.fetch_sub(1, Ordering::Relaxed);
        let thread = talk.threads.get_mut(&run.thread_id)?;
        thread.last_used = now;
        if let Some(turn) = turn {
            thread.remember(turn);
        }
        let next = thread.end(&run.run_id);
        if next.is_none() && !thread.is_busy() && !thread.doomed.is_empty() {
            self.remove(state, shared, &run.owner, &run.thread_id);
        }
        next
    }

    /// The turns that a run's agent is shown.
    pub(crate) fn history(&self, thread_id: &ThreadId) -> Vec<Turn> {
        let state = self.state.lock();
        let thread = state.talk.as_ref().and_then(|talk| talk.threads.get(thread_id));
        thread.map(Thread::history).unwrap_or_default()
    }

    /// Stops a run: one that goes on is told to, one that waits ends at once.
    ///
    /// # Errors
    /// `UNKNOWN_RUN`, also for another user's run.
    pub(crate) fn cancel(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        command: &CancelRun,
    ) -> Result<(), Rejection> {
        let mut state = self.state.lock();
        let mut waiting = None;
        for thread in state.talk.iter_mut().flat_map(|talk| talk.threads.values_mut()) {
            if let Some(active) = thread.going_on(&command.run_id) {
                active.cancel.cancel();
                return Ok(());
            }
            if let Some(place) = thread.waiting.iter().position(|run| run.id == command.run_id) {
                waiting = thread.waiting.remove(place);
                break;
            }
        }
        let Some(run) = waiting else {
            return Err(Rejection::new(Reason::UnknownRun, "the user has no such run")
                .with_hint("no run of yours that is going on or waits has that run_id"));
        };
        self.end_waiting(&mut state, shared, run);
        Ok(())
    }

    /// Ends a run that waited and will not begin.
    fn end_waiting(self: &Arc<Self>, state: &mut State, shared: &Arc<Shared>, run: Run) {
        if let Some(talk) = &mut state.talk {
            talk.runs -= 1;
            shared.runs.fetch_sub(1, Ordering::Relaxed);
        }
        let (place, started) = (run.place(), run.started());
        let Run { chosen, accepted, .. } = run;
        // Both under one lock: no event of the run that goes on comes between.
        self.emit_locked(state, shared, &place, started.into(), ());
        let error = RunError {
            reason: Reason::RunCancelled,
            message: "The run was cancelled before it began.".to_owned(),
            retryable: false,
        };
        self.emit_locked(state, shared, &place, AgentFailed { agent_id: chosen.id, error }.into(), ());
        self.observer(shared).run_ended(Some(Reason::RunCancelled), accepted.elapsed());
    }

    /// Says what can be resumed, then queues it; a thread that cannot be resumed has its own `resume_gap`.
    pub(crate) fn resume(
        &self,
        shared: &Shared,
        owner: &Owner,
        outbox: &Arc<Outbox>,
        command: &Resume,
        reply: &dyn Fn(ServerMessage),
    ) {
        self.state.lock().resume(&self.recording(shared, owner), outbox, command, reply);
    }

    /// Queues more of what a connection missed.
    pub(crate) fn catch_up(
        &self,
        shared: &Shared,
        owner: &Owner,
        outbox: &Arc<Outbox>,
        reply: &dyn Fn(ServerMessage),
    ) {
        self.state.lock().catch_up(&self.recording(shared, owner), outbox, reply);
    }

    fn recording<'a>(&self, shared: &'a Shared, owner: &'a Owner) -> Recording<'a> {
        Recording { shared, retains: self.retains, log: self.log(shared), owner }
    }
}

/// Whether nothing of its run comes after it.
fn is_terminal(message: &ServerMessage) -> bool {
    matches!(message, ServerMessage::AgentCompleted(_) | ServerMessage::AgentFailed(_))
}

fn accepted(message_id: MessageId, run_id: RunId, thread_id: ThreadId, duplicate: bool) -> ServerMessage {
    MessageAccepted { message_id, run_id, thread_id, duplicate }.into()
}

/// A token that fires when its run is cancelled or the router stops.
pub(crate) fn cancellation(shared: &Shared) -> CancellationToken {
    shared.stop.child_token()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_without_a_conversation_is_small() {
        assert!(
            size_of::<World>() <= 48,
            "with its counters a world is to fit 64 bytes: {}",
            size_of::<World>()
        );
    }
}
