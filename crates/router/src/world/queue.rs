//! A run gets its place in its thread, at once or behind others, and gives it back.

use std::{collections::VecDeque, mem, sync::Arc};

use portcullis_agent::{Letterbox, Said, Unheard};
use portcullis_event::{AgentFailed, CancelRun, MessageId, RunError, Steer, ThreadId};
use portcullis_log::Change;
use portcullis_reason::{Reason, Rejection};
use tokio::sync::oneshot;

use super::{State, World, open::unreadable, work::Then};
use crate::{
    ThreadPolicy, ids, run,
    shared::Shared,
    thread::{Place, Run},
    turn::Turn,
};

impl World {
    /// Gives a run its place in its thread, as the policy has it. It is one of the user's runs already.
    pub(super) fn queue(self: &Arc<Self>, state: &mut State, shared: &Arc<Shared>, run: Run) {
        let thread = self.talk(state, shared).thread(&run.place.thread_id, shared.clock.instant());
        let policy = shared.options.thread_policy;
        if (thread.active.is_empty() && thread.waiting.is_empty()) || policy == ThreadPolicy::Parallel {
            thread.begin(&run);
            return run::start(shared, self, run);
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
    }

    /// Ends a run's place in its thread, and gives the next one that waited.
    pub(crate) fn finish(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        run: &Place,
        turn: Option<Turn>,
    ) -> Option<Run> {
        let state = &mut *self.state.lock();
        let talk = state.talk.as_mut().filter(|talk| talk.term == run.term)?;
        talk.runs.pop();
        talk.last_used = shared.clock.instant();
        if !self.retains {
            let carries = !talk.runs.is_empty();
            state.sockets.as_slice().iter().for_each(|socket| socket.outbox.set_carries_runs(carries));
        }
        let thread = talk.threads.get_mut(&run.thread_id)?;
        thread.last_used = talk.last_used;
        if let Some(turn) = turn {
            thread.remember(turn);
        }
        let next = thread.end(&run.run_id);
        if next.is_none() && !thread.is_busy() && !thread.doomed.is_empty() {
            self.remove(state, shared, &run.thread_id);
        }
        next
    }

    /// Stops a run: one that goes on is told to, one that waits ends at once.
    ///
    /// # Errors
    /// [`Reason::UnknownRun`], also for another user's run.
    pub(crate) fn cancel(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        command: &CancelRun,
    ) -> Result<(), Rejection> {
        let state = &mut *self.state.lock();
        let mut waiting = None;
        for thread in state.talk.iter_mut().flat_map(|talk| talk.threads.values_mut()) {
            if let Some(active) = thread.going_on(&command.run_id) {
                active.cancel.cancel();
                return Ok(());
            }
            if let Some(place) = thread.waiting.iter().position(|run| run.place.run_id == command.run_id) {
                waiting = thread.waiting.remove(place);
                break;
            }
        }
        let Some(run) = waiting else {
            return Err(Rejection::new(Reason::UnknownRun, "the user has no such run")
                .with_hint("no run of yours that is going on or waits has that run_id"));
        };
        self.end_waiting(state, shared, run);
        Ok(())
    }

    /// Opens the way to a run's agent.
    pub(crate) fn listen(&self, run: &Place, letterbox: Letterbox) {
        let mut state = self.state.lock();
        let talk = state.talk.as_mut().filter(|talk| talk.term == run.term);
        if let Some(thread) = talk.and_then(|talk| talk.threads.get_mut(&run.thread_id)) {
            thread.listen(&run.run_id, letterbox);
        }
    }

    /// Says something to a run that is going on.
    ///
    /// # Errors
    /// [`Reason::UnknownRun`], also for another user's run and where its agent does not listen; [`Reason::RateLimited`] where
    /// too much waits to be heard.
    pub(crate) fn steer(&self, id: Option<MessageId>, command: Steer) -> Result<(), Rejection> {
        let Steer { run_id, content } = command;
        let state = self.state.lock();
        let mut threads = state.talk.iter().flat_map(|talk| talk.threads.values());
        let Some(active) = threads.find_map(|thread| thread.going_on(&run_id)) else {
            return Err(Rejection::new(Reason::UnknownRun, "the user has no such run that is going on")
                .with_hint("no run of yours that is going on has that run_id"));
        };
        let said = Said { message_id: id.unwrap_or_else(ids::message), content };
        let unheard = active.letterbox.as_ref().map_or(Err(Unheard::Closed), |letterbox| letterbox.say(said));
        unheard.map_err(|unheard| match unheard {
            Unheard::Closed => Rejection::new(Reason::UnknownRun, "the run's agent does not listen")
                .with_hint("the agent of that run does not listen while it works; cancel the run, or ask again behind it"),
            Unheard::Full => Rejection::new(Reason::RateLimited, "too much waits to be heard by the run's agent")
                .with_hint("the agent has not heard yet what you said before; say less at a time")
                .with_retry_after(1),
        })
    }

    /// Ends a run that waited and will not begin.
    fn end_waiting(self: &Arc<Self>, state: &mut State, shared: &Arc<Shared>, run: Run) {
        if let Some(talk) = &mut state.talk {
            talk.runs.pop();
        }
        let started = run.started();
        let Run { place, chosen, accepted, .. } = run;
        let error = RunError {
            reason: Reason::RunCancelled,
            message: "The run was cancelled before it began.".to_owned(),
            retryable: false,
        };
        let failed = AgentFailed { agent_id: chosen.id, error };
        // Both under one lock: no event of the run that goes on comes between. Where the record was lost they have no place,
        // and whoever opens it ends the run.
        let told = self.tell(state, shared, &place, started.into(), None);
        let _ = told.and_then(|_| self.tell(state, shared, &place, failed.into(), None));
        self.observer(shared).run_ended(Some(Reason::RunCancelled), shared.clock.since(accepted));
    }

    /// Has a thread forgotten: at once, or once its runs have ended, which are cancelled. What is given back tells when it is
    /// gone from the record as well; an end without a word means that the record was lost.
    ///
    /// # Errors
    /// [`Reason::NotReady`] if the record cannot be read, [`Reason::NotFound`].
    pub(super) async fn forget(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        id: ThreadId,
    ) -> Result<oneshot::Receiver<()>, Rejection> {
        shared.serves()?;
        let record = self.record(shared).await?;
        let stream = record.stream(&id).await.map_err(|error| unreadable(&error))?;
        let state = &mut *self.state.lock();
        let talk = self.talk(state, shared);
        if stream.is_none() && !talk.threads.contains_key(&id) {
            return Err(super::history::no_such_thread());
        }
        // Where all are busy it is one more, until the record has let go of it.
        let _ = talk.make_room(shared.options.threads_per_user, &id);
        let now = shared.clock.instant();
        if let Some(stream) = stream {
            talk.threads
                .entry(id.clone())
                .or_insert_with(|| crate::thread::Thread::recorded(&id, stream, now));
        }
        let thread = talk.thread(&id, now);
        let (told, gone) = oneshot::channel();
        let first = thread.doomed.is_empty();
        thread.doomed.push(told);
        if !thread.is_busy() {
            // A second one finds the first on its way.
            if first {
                self.remove(state, shared, &id);
            }
            return Ok(gone);
        }
        thread.active.iter().for_each(|run| run.cancel.cancel());
        for run in mem::take(&mut thread.waiting) {
            self.end_waiting(state, shared, run);
        }
        Ok(gone)
    }

    /// Takes a doomed thread without runs out of the record, and then out of memory: until it is gone from there, a
    /// message or a reader would find it again.
    fn remove(self: &Arc<Self>, state: &mut State, shared: &Arc<Shared>, id: &ThreadId) {
        let record = state.talk.as_ref().and_then(|talk| talk.record.clone());
        if let Some(record) = record {
            let commit = record.append(Change::Forget(id.clone()));
            self.await_commit(state, shared, commit, Then::Forgotten(id.clone()));
        }
    }
}

impl State {
    /// Forgets a thread that is gone from the record, and tells who waits for that.
    pub(super) fn forget(&mut self, id: &ThreadId) {
        let thread = self.talk.as_mut().and_then(|talk| talk.threads.remove(id));
        for told in thread.into_iter().flat_map(|thread| thread.doomed) {
            // Nobody listens any more where the asking connection has gone.
            let _ = told.send(());
        }
    }
}
