//! One user's world: sockets, threads and runs behind one lock, with no way to another world.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    ops::Range,
    slice,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use portcullis_agent::Turn;
use portcullis_event::{
    AgentFailed, AgentStarted, CancelRun, Envelope, EventId, Format, GapReason, MessageAccepted, MessageId,
    Resume, ResumeGap, Resumed, RunError, RunId, ServerMessage, ThreadId,
};
use portcullis_log::{self as log, Change, EventLog, OpenRun, Owner, Record};
use portcullis_reason::{Reason, Rejection};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{
    Observer, Outbox, Shared, Unheard, encode, random_hex,
    thread::{Active, Recorded, Run, Thread},
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
    seen: VecDeque<Seen>,
    last_used: Instant,
}

/// A message that was accepted, or is about to be.
#[derive(Clone)]
struct Seen {
    id: MessageId,
    run_id: RunId,
    thread_id: ThreadId,
    recorded: Option<Recorded>,
}

/// An event with its place, not yet seen by anybody.
struct Numbered {
    envelope: Envelope,
    /// As v1.
    frame: Bytes,
}

/// Where a run's events go.
pub(crate) struct Place {
    pub(crate) owner: Owner,
    pub(crate) thread_id: ThreadId,
    pub(crate) run_id: RunId,
}

/// The socket that sent a message.
pub(crate) struct Asking<'a> {
    pub(crate) outbox: &'a Arc<Outbox>,
    pub(crate) format: Format,
    /// Answers it at once.
    pub(crate) reply: &'a dyn Fn(ServerMessage),
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

    /// Adds a socket. What it missed is queued in the same step, so that nothing falls between.
    pub(crate) fn join(
        &self,
        shared: &Shared,
        owner: impl FnOnce() -> Owner,
        format: Format,
        outbox: Arc<Outbox>,
        resume: &Resume,
        reply: &dyn Fn(ServerMessage),
    ) {
        let mut state = self.state.lock();
        if let Some(log) = self.log(shared).filter(|_| !resume.threads.is_empty()) {
            state.load(shared, Some(log), &owner(), resume);
        }
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

    /// Accepts a run, in the thread that the client named or in a new one: its place in its thread, and `message_accepted`
    /// to the asking socket, with a log only once that has it.
    ///
    /// # Errors
    /// `TOO_MANY_RUNS`, `DRAINING`, `NOT_READY`.
    pub(crate) fn submit(
        &self,
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
        talk.runs += 1;
        shared.runs.fetch_add(1, Ordering::Relaxed);
        self.observer(shared).accepted();
        let id = id.unwrap_or_else(|| MessageId::new(run.id.as_str()).expect("a run's id is a message's id"));
        let answer = accepted(id.clone(), run.id.clone(), run.thread_id.clone(), false);
        match log {
            None => (asking.reply)(answer),
            Some(log) => run.recorded = Some(asking.record(shared, log, &run, id.clone(), answer)),
        }
        talk.remember(Seen {
            id,
            run_id: run.id.clone(),
            thread_id: run.thread_id.clone(),
            recorded: run.recorded.clone(),
        });
        let thread = talk.thread(&run.thread_id, run.accepted);
        if thread.active.is_some() {
            thread.waiting.push_back(run);
            return Ok(Submitted::Nothing);
        }
        thread.active = Some(Active { id: run.id.clone(), cancel: run.cancel.clone() });
        Ok(Submitted::Start(Box::new(run)))
    }

    /// Numbers an event and, without a log, keeps it and queues it for every socket in the same step. With one, that
    /// happens once the log has acknowledged it, and `held` is let go then. Gives back its size in bytes.
    pub(crate) fn emit(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        run: &Place,
        message: ServerMessage,
        held: Option<OwnedSemaphorePermit>,
    ) -> usize {
        self.emit_locked(&mut self.state.lock(), shared, run, message, held)
    }

    fn emit_locked(
        self: &Arc<Self>,
        state: &mut State,
        shared: &Arc<Shared>,
        run: &Place,
        message: ServerMessage,
        held: Option<OwnedSemaphorePermit>,
    ) -> usize {
        let last = matches!(message, ServerMessage::AgentCompleted(_) | ServerMessage::AgentFailed(_));
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
        let (world, router) = (Arc::clone(self), Arc::clone(shared));
        // Handed over under the lock, so that the log sees a thread's events in the order of their numbers.
        log.append(
            change,
            Box::new(move |outcome| {
                world.recorded(&router, numbered, outcome);
                drop(held);
            }),
        );
        size
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

    /// Where this world's events are recorded.
    fn log<'s>(&self, shared: &'s Shared) -> Option<&'s dyn EventLog> {
        shared.log.as_deref().filter(|_| self.retains)
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
    pub(crate) fn cancel(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        command: &CancelRun,
    ) -> Result<(), Rejection> {
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
        let Some(run) = waiting else {
            return Err(Rejection::new(Reason::UnknownRun, "the user has no such run")
                .with_hint("no run of yours that is going on or waits has that run_id"));
        };
        if let Some(talk) = &mut state.talk {
            talk.runs -= 1;
            shared.runs.fetch_sub(1, Ordering::Relaxed);
        }
        let place = run.place();
        let Run { chosen, user_id, accepted, .. } = run;
        let started = AgentStarted { agent_id: chosen.id.clone(), agent_type: chosen.kind, user_id };
        // Both under one lock: no event of the run that goes on comes between.
        self.emit_locked(&mut state, shared, &place, started.into(), None);
        let error = RunError {
            reason: Reason::RunCancelled,
            message: "The run was cancelled before it began.".to_owned(),
            retryable: false,
        };
        self.emit_locked(&mut state, shared, &place, AgentFailed { agent_id: chosen.id, error }.into(), None);
        drop(state);
        self.observer(shared).run_ended(Some(Reason::RunCancelled), accepted.elapsed());
        Ok(())
    }

    /// Says what can be resumed, then queues it; a thread that cannot be resumed has its own `resume_gap`.
    pub(crate) fn resume(
        &self,
        shared: &Shared,
        owner: &Owner,
        outbox: &Outbox,
        command: &Resume,
        reply: &dyn Fn(ServerMessage),
    ) {
        let mut state = self.state.lock();
        state.load(shared, self.log(shared), owner, command);
        state.resume(self.retains, outbox, command, reply);
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
    /// Gives an event its place. None for a thread that was forgotten, which one with a run never is.
    fn number(&mut self, shared: &Shared, run: &Place, message: ServerMessage) -> Option<Numbered> {
        let position = self.talk.as_mut()?.threads.get_mut(&run.thread_id)?.advance();
        let id = EventId::numbered(position.epoch.as_str(), position.seq)
            .expect("an epoch and a number are an id");
        let now = (shared.clock)();
        let (thread_id, run_id) = (run.thread_id.clone(), run.run_id.clone());
        let envelope = Envelope::event(id, position, thread_id, run_id, now, message);
        Some(Numbered { frame: encode(&envelope, Format::V1), envelope })
    }

    /// The numbers that the record of a thread need not keep any more.
    fn trimmed(&mut self, thread_id: &ThreadId) -> Range<u64> {
        let thread = self.talk.as_mut().and_then(|talk| talk.threads.get_mut(thread_id));
        thread.map_or(0..0, Thread::take_trimmed)
    }

    /// Keeps an event, and queues it for every socket.
    fn deliver(&mut self, retains: bool, shared: &Shared, observer: &dyn Observer, numbered: Numbered) {
        let Numbered { envelope, frame } = numbered;
        // Each form is encoded once for all sockets, and the older one only where one of them speaks it.
        let mut legacy: Option<Bytes> = None;
        for socket in self.sockets.as_slice() {
            let frame = match socket.format {
                Format::V1 => frame.clone(),
                Format::Legacy => legacy.get_or_insert_with(|| encode(&envelope, Format::Legacy)).clone(),
            };
            if !socket.outbox.push(frame) {
                observer.overflow();
            }
        }
        let thread = envelope.thread_id.as_ref().and_then(|id| self.talk.as_mut()?.threads.get_mut(id));
        if let Some(thread) = thread.filter(|_| retains) {
            thread.keep(frame, shared.options.retained_events, shared.options.retained_bytes);
        }
        observer.event(envelope.message.kind(), self.sockets.as_slice().len());
    }

    /// Gets from the log what a client asks for and memory does not have.
    fn load(&mut self, shared: &Shared, log: Option<&dyn EventLog>, owner: &Owner, command: &Resume) {
        if log.is_none() {
            return;
        }
        let now = Instant::now();
        for point in &command.threads {
            let talk = self.talk.get_or_insert_with(|| Box::new(Talk::new(now)));
            // What cannot be had is told as a thread that is not there.
            if talk.make_room(shared.options.threads_per_user, &point.thread_id).is_ok()
                && let Err(rejection) = talk.load(log, owner, &point.thread_id, now)
            {
                tracing::error!(%rejection, "a thread cannot be read");
            }
        }
        if self.talk.as_ref().is_some_and(|talk| talk.threads.is_empty()) {
            self.talk = None;
        }
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

    fn remember(&mut self, seen: Seen) {
        if self.seen.len() == REMEMBERED_MESSAGES {
            self.seen.pop_front();
        }
        self.seen.push_back(seen);
    }

    /// The message of that id that was sent before, on the same thread or without naming one.
    fn seen(
        &self,
        id: &MessageId,
        thread_named: bool,
        run: &Run,
        log: Option<&dyn EventLog>,
    ) -> Result<Option<Seen>, Rejection> {
        let same = |thread: &ThreadId| !thread_named || *thread == run.thread_id;
        if let Some(seen) = self.seen.iter().find(|seen| seen.id == *id && same(&seen.thread_id)) {
            return Ok(Some(seen.clone()));
        }
        let Some(log) = log else { return Ok(None) };
        let found = log.message(&run.owner, id).map_err(|error| unreadable(&error))?;
        let found = found.filter(|(_, thread)| same(thread));
        Ok(found.map(|(run_id, thread_id)| Seen { id: id.clone(), run_id, thread_id, recorded: None }))
    }

    /// Gets a thread from the log, if that has it and memory does not.
    fn load(
        &mut self,
        log: Option<&dyn EventLog>,
        owner: &Owner,
        id: &ThreadId,
        now: Instant,
    ) -> Result<(), Rejection> {
        if let Some(log) = log.filter(|_| !self.threads.contains_key(id))
            && let Some(stored) = log.thread(owner, id).map_err(|error| unreadable(&error))?
        {
            self.threads.insert(id.clone(), Thread::recorded(&stored, now));
        }
        Ok(())
    }
}

impl Numbered {
    fn record(&self, owner: Owner) -> Record {
        let position = self.envelope.position.as_ref().expect("a numbered event has a place");
        // The text without the frame's header, which the reader makes anew.
        let header = match self.frame[1] {
            ..126 => 2,
            126 => 4,
            _ => 10,
        };
        Record {
            owner,
            thread_id: self.envelope.thread_id.clone().expect("an event has a thread"),
            epoch: position.epoch.clone(),
            seq: position.seq,
            at: self.envelope.timestamp.unix_ms().unsigned_abs(),
            text: self.frame.slice(header..),
        }
    }
}

impl Asking<'_> {
    /// Has an acceptance recorded, and told then.
    fn record(
        &self,
        shared: &Arc<Shared>,
        log: &dyn EventLog,
        run: &Run,
        message_id: MessageId,
        answer: ServerMessage,
    ) -> Recorded {
        let open = OpenRun {
            owner: run.owner,
            run_id: run.id.clone(),
            thread_id: run.thread_id.clone(),
            message_id,
            agent_id: run.chosen.id.as_str().to_owned(),
            agent_type: run.chosen.kind.to_string(),
            user_id: run.user_id.to_string(),
            accepted_at: (shared.clock)().unix_ms().unsigned_abs(),
        };
        let (told, recorded) = oneshot::channel();
        let answer = self.answer(shared, answer);
        let (outbox, shared) = (Arc::clone(self.outbox), Arc::clone(shared));
        log.append(
            Change::Accept(open),
            Box::new(move |outcome| {
                match outcome {
                    Ok(()) => drop(outbox.push(answer)),
                    Err(error) => {
                        shared.fail(error);
                        outbox.end(Reason::NotReady);
                    }
                }
                // The run begins only now, so that its first event comes behind the acceptance.
                let _ = told.send(outcome.is_ok());
            }),
        );
        recorded.shared()
    }

    /// Answers once something is recorded, and never if it is not.
    fn reply_once(&self, shared: &Shared, recorded: Recorded, answer: ServerMessage) {
        let (outbox, answer) = (Arc::clone(self.outbox), self.answer(shared, answer));
        shared.tasks.spawn(async move {
            if recorded.await == Ok(true) {
                outbox.push(answer);
            }
        });
    }

    /// The frame of an answer that is sent later, named by the run that it is about.
    fn answer(&self, shared: &Shared, answer: ServerMessage) -> Bytes {
        let id = EventId::new(&format!("c-{}-{}", shared.node, random_hex::<8>())).expect("visible ASCII");
        encode(&Envelope::control(id, (shared.clock)(), answer), self.format)
    }
}

fn unreadable(error: &log::Error) -> Rejection {
    Rejection::new(Reason::NotReady, error.to_string()).with_retry_after(5)
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
