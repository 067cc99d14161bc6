//! One user's world: sockets, threads and runs behind one lock, with no way to another world.

use std::{
    collections::{HashMap, VecDeque},
    mem, slice,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;
use portcullis_agent::Turn;
use portcullis_event::{
    AgentFailed, AgentStarted, CancelRun, Envelope, EventId, Format, GapReason, MessageAccepted, MessageId,
    Resume, ResumeGap, Resumed, RunError, RunId, ServerMessage, ThreadId,
};
use portcullis_reason::{Reason, Rejection};
use tokio_util::sync::CancellationToken;

use crate::{
    Observer, Outbox, Shared, Unheard, encode,
    thread::{Active, Run, Thread},
};

/// Message ids that are remembered, so that the same one again is not run twice.
const REMEMBERED_MESSAGES: usize = 256;

pub(crate) struct World {
    /// Whether threads outlive their runs: false for a connection in the mode `isolated`.
    retains: bool,
    /// Whether the router's observer hears of what happens here.
    observed: bool,
    state: Mutex<State>,
}

struct State {
    seats: u32,
    sockets: Sockets,
    /// Made with the first message: a connection that only listens holds none.
    talk: Option<Box<Talk>>,
}

/// A connection, known by its outbox.
struct Socket {
    format: Format,
    outbox: Arc<Outbox>,
}

/// The connections of a user: mostly one, which needs no list. Every idle connection pays for what stands here.
enum Sockets {
    None,
    One(Socket),
    Many(Box<Many>),
}

struct Many(Vec<Socket>);

struct Talk {
    threads: HashMap<ThreadId, Thread>,
    /// Runs that are waiting or going on.
    runs: usize,
    seen: VecDeque<(MessageId, RunId, ThreadId)>,
    last_used: Instant,
}

/// What became of a message.
pub(crate) enum Submitted {
    /// Start this run now.
    Start(Run),
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

    /// Adds a socket. What it missed is queued in the same step, so that nothing falls between.
    pub(crate) fn join(
        &self,
        format: Format,
        outbox: Arc<Outbox>,
        resume: &Resume,
        reply: &dyn Fn(ServerMessage),
    ) {
        let mut state = self.state.lock();
        state.resume(self.retains, &outbox, resume, reply);
        state.sockets.push(Socket { format, outbox });
    }

    /// Takes a socket out. An isolated world's runs end with it.
    pub(crate) fn part(&self, outbox: &Arc<Outbox>) {
        let mut state = self.state.lock();
        state.sockets.remove(outbox);
        if !self.retains
            && let Some(talk) = &state.talk
        {
            for thread in talk.threads.values() {
                thread.active.iter().for_each(|run| run.cancel.cancel());
                thread.waiting.iter().for_each(|run| run.cancel.cancel());
            }
        }
    }

    /// Accepts a run, in the thread that the client named or in a new one: `message_accepted` to the asking socket, then its place in its thread.
    ///
    /// # Errors
    /// `TOO_MANY_RUNS`, `DRAINING`.
    pub(crate) fn submit(
        &self,
        shared: &Shared,
        id: Option<MessageId>,
        thread_named: bool,
        run: Run,
        reply: &dyn Fn(ServerMessage),
    ) -> Result<Submitted, Rejection> {
        let mut state = self.state.lock();
        let talk = state.talk.get_or_insert_with(|| Box::new(Talk::new(run.accepted)));
        if let Some(id) = &id
            && let Some((_, run_id, thread_id)) = talk
                .seen
                .iter()
                .find(|(seen, _, thread)| seen == id && (!thread_named || *thread == run.thread_id))
        {
            reply(accepted(id.clone(), run_id.clone(), thread_id.clone(), true));
            return Ok(Submitted::Nothing);
        }
        if shared.tasks.is_closed() {
            return Err(Rejection::new(Reason::Draining, "a message came while draining"));
        }
        let options = &shared.options;
        if talk.runs >= options.runs_per_user || shared.runs.load(Ordering::Relaxed) >= options.runs {
            return Err(Rejection::new(Reason::TooManyRuns, "the cap on runs is reached")
                .with_hint("too many runs are going on; wait for one to end or cancel one"));
        }
        talk.make_room(options.threads_per_user, &run.thread_id)?;
        talk.runs += 1;
        shared.runs.fetch_add(1, Ordering::Relaxed);
        self.observer(shared).accepted();
        let id = id.unwrap_or_else(|| MessageId::new(run.id.as_str()).expect("a run's id is a message's id"));
        talk.remember(id.clone(), run.id.clone(), run.thread_id.clone());
        reply(accepted(id, run.id.clone(), run.thread_id.clone(), false));
        let thread = talk.thread(&run.thread_id, run.accepted);
        if thread.active.is_some() {
            thread.waiting.push_back(run);
            return Ok(Submitted::Nothing);
        }
        thread.active = Some(Active { id: run.id.clone(), cancel: run.cancel.clone() });
        Ok(Submitted::Start(run))
    }

    /// Numbers an event, keeps it and queues it for every socket, in one step. Gives back its size in bytes.
    pub(crate) fn emit(
        &self,
        shared: &Shared,
        thread_id: &ThreadId,
        run_id: &RunId,
        message: ServerMessage,
    ) -> usize {
        self.state.lock().emit(self.retains, shared, self.observer(shared), thread_id, run_id, message)
    }

    /// Ends a run's place in its thread, and gives the next one that waited.
    pub(crate) fn finish(&self, shared: &Shared, thread_id: &ThreadId, turn: Option<Turn>) -> Option<Run> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let talk = state.talk.as_mut()?;
        talk.runs -= 1;
        talk.last_used = now;
        shared.runs.fetch_sub(1, Ordering::Relaxed);
        let thread = talk.threads.get_mut(thread_id)?;
        thread.last_used = now;
        if let Some(turn) = turn {
            thread.remember(turn);
        }
        let next = thread.waiting.pop_front();
        thread.active = next.as_ref().map(|run| Active { id: run.id.clone(), cancel: run.cancel.clone() });
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
    pub(crate) fn cancel(&self, shared: &Shared, command: &CancelRun) -> Result<(), Rejection> {
        let mut state = self.state.lock();
        let mut waiting = None;
        for thread in state.talk.iter_mut().flat_map(|talk| talk.threads.values_mut()) {
            if let Some(active) = thread.active.as_ref().filter(|active| active.id == command.run_id) {
                active.cancel.cancel();
                return Ok(());
            }
            if let Some(place) = thread.waiting.iter().position(|run| run.id == command.run_id) {
                waiting = thread.waiting.remove(place);
                break;
            }
        }
        let Some(Run { id: run_id, thread_id, chosen, user_id, accepted, .. }) = waiting else {
            return Err(Rejection::new(Reason::UnknownRun, "the user has no such run")
                .with_hint("no run of yours that is going on or waits has that run_id"));
        };
        if let Some(talk) = &mut state.talk {
            talk.runs -= 1;
            shared.runs.fetch_sub(1, Ordering::Relaxed);
        }
        let started = AgentStarted { agent_id: chosen.id.clone(), agent_type: chosen.kind, user_id };
        let observer = self.observer(shared);
        state.emit(self.retains, shared, observer, &thread_id, &run_id, started.into());
        let error = RunError {
            reason: Reason::RunCancelled,
            message: "The run was cancelled before it began.".to_owned(),
            retryable: false,
        };
        let failed = AgentFailed { agent_id: chosen.id, error };
        state.emit(self.retains, shared, observer, &thread_id, &run_id, failed.into());
        observer.run_ended(Some(Reason::RunCancelled), accepted.elapsed());
        Ok(())
    }

    /// Says what can be resumed, then queues it; a thread that cannot be resumed has its own `resume_gap`.
    pub(crate) fn resume(&self, outbox: &Outbox, command: &Resume, reply: &dyn Fn(ServerMessage)) {
        self.state.lock().resume(self.retains, outbox, command, reply);
    }
}

impl Sockets {
    fn as_slice(&self) -> &[Socket] {
        match self {
            Self::None => &[],
            Self::One(socket) => slice::from_ref(socket),
            Self::Many(many) => &many.0,
        }
    }

    fn push(&mut self, socket: Socket) {
        *self = match mem::replace(self, Self::None) {
            Self::None => Self::One(socket),
            Self::One(first) => Self::Many(Box::new(Many(vec![first, socket]))),
            Self::Many(mut many) => {
                many.0.push(socket);
                Self::Many(many)
            }
        };
    }

    fn remove(&mut self, outbox: &Arc<Outbox>) {
        let is_it = |socket: &Socket| Arc::ptr_eq(&socket.outbox, outbox);
        match self {
            Self::One(socket) if is_it(socket) => *self = Self::None,
            Self::None | Self::One(_) => {}
            Self::Many(many) => {
                many.0.retain(|socket| !is_it(socket));
                if many.0.len() == 1
                    && let Some(last) = many.0.pop()
                {
                    *self = Self::One(last);
                }
            }
        }
    }
}

impl State {
    fn emit(
        &mut self,
        retains: bool,
        shared: &Shared,
        observer: &dyn Observer,
        thread_id: &ThreadId,
        run_id: &RunId,
        message: ServerMessage,
    ) -> usize {
        let thread = self.talk.as_mut().and_then(|talk| talk.threads.get_mut(thread_id));
        let thread = thread.expect("a thread with a run is never forgotten");
        let kind = message.kind();
        let position = thread.advance();
        let id = EventId::numbered(position.epoch.as_str(), position.seq)
            .expect("an epoch and a number are an id");
        let now = (shared.clock)();
        let envelope = Envelope::event(id, position, thread_id.clone(), run_id.clone(), now, message);
        // Each form is encoded once for all sockets, and the older one only where one of them speaks it.
        let frame = encode(&envelope, Format::V1);
        let mut legacy: Option<Bytes> = None;
        let size = frame.len();
        for socket in self.sockets.as_slice() {
            let frame = match socket.format {
                Format::V1 => frame.clone(),
                Format::Legacy => legacy.get_or_insert_with(|| encode(&envelope, Format::Legacy)).clone(),
            };
            if !socket.outbox.push(frame) {
                observer.overflow();
            }
        }
        if retains {
            thread.keep(frame, shared.options.retained_events, shared.options.retained_bytes);
        }
        observer.event(kind, self.sockets.as_slice().len());
        size
    }

    fn resume(&self, retains: bool, outbox: &Outbox, command: &Resume, reply: &dyn Fn(ServerMessage)) {
        let mut resumed = Resumed::default();
        let mut missed = Vec::new();
        for point in &command.threads {
            let thread = self.talk.as_ref().and_then(|talk| talk.threads.get(&point.thread_id));
            let outcome = match thread {
                Some(thread) if retains => thread.resume(point),
                _ => Err(ResumeGap {
                    thread_id: point.thread_id.clone(),
                    epoch: None,
                    first_available_seq: None,
                    last_seq: 0,
                    reason: if retains { GapReason::UnknownThread } else { GapReason::NotResumable },
                }),
            };
            match outcome {
                Ok((thread, frames)) => {
                    resumed.threads.push(thread);
                    missed.push(frames);
                }
                Err(gap) => reply(gap.into()),
            }
        }
        if !resumed.threads.is_empty() {
            reply(resumed.into());
        }
        outbox.replay(missed.into_iter().flatten().cloned());
    }
}

impl Talk {
    fn new(now: Instant) -> Self {
        Self { threads: HashMap::new(), runs: 0, seen: VecDeque::new(), last_used: now }
    }

    fn thread(&mut self, id: &ThreadId, now: Instant) -> &mut Thread {
        let thread = self.threads.entry(id.clone()).or_insert_with(|| Thread::new(now));
        thread.last_used = now;
        thread
    }

    /// Forgets the thread that was not used for longest, if there is no place for `wanted`.
    fn make_room(&mut self, most: usize, wanted: &ThreadId) -> Result<(), Rejection> {
        if self.threads.len() < most || self.threads.contains_key(wanted) {
            return Ok(());
        }
        let idle = self.threads.iter().filter(|(_, thread)| !thread.is_busy());
        let Some(oldest) = idle.min_by_key(|(_, thread)| thread.last_used).map(|(id, _)| id.clone()) else {
            return Err(Rejection::new(Reason::TooManyRuns, "all threads of the user are busy"));
        };
        self.threads.remove(&oldest);
        Ok(())
    }

    fn remember(&mut self, id: MessageId, run_id: RunId, thread_id: ThreadId) {
        if self.seen.len() == REMEMBERED_MESSAGES {
            self.seen.pop_front();
        }
        self.seen.push_back((id, run_id, thread_id));
    }
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
    fn sockets_come_and_go_in_any_number() {
        let outboxes: Vec<_> = (0..4).map(|_| Arc::new(Outbox::new(1))).collect();
        let mut sockets = Sockets::None;
        for (before, outbox) in outboxes.iter().enumerate() {
            assert_eq!(sockets.as_slice().len(), before);
            sockets.push(Socket { format: Format::V1, outbox: Arc::clone(outbox) });
        }
        let stranger = Arc::new(Outbox::new(1));
        for (gone, outbox) in outboxes.iter().enumerate() {
            sockets.remove(&stranger);
            sockets.remove(outbox);
            let left: Vec<_> = sockets.as_slice().iter().map(|socket| Arc::as_ptr(&socket.outbox)).collect();
            assert_eq!(left, outboxes[gone + 1..].iter().map(Arc::as_ptr).collect::<Vec<_>>());
        }
        assert!(matches!(sockets, Sockets::None));
    }

    #[test]
    fn a_world_without_a_conversation_is_small() {
        assert!(
            size_of::<World>() <= 48,
            "with its counters a world is to fit 64 bytes: {}",
            size_of::<World>()
        );
    }
}
