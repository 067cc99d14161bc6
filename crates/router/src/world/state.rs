//! What stands behind a world's lock.

use std::{
    ops::{Deref, Range},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use portcullis_event::{
    Envelope, EventId, Format, GapReason, Resume, ResumeGap, Resumed, ResumedThread, ServerMessage, ThreadId,
};
use portcullis_log::{EventLog, Owner};

use super::{
    is_terminal,
    numbered::{Numbered, Place},
    sockets::Sockets,
    talk::{Behind, Talk},
};
use crate::{Observer, Outbox, Shared, encode, thread::Thread};

pub(super) struct State {
    pub(super) seats: u32,
    pub(super) sockets: Sockets,
    /// Made with the first message: a connection that only listens holds none.
    pub(super) talk: Option<Box<Talk>>,
}

impl State {
    /// Gives an event its place. None for a thread that was forgotten, which one with a run never is.
    pub(super) fn number(
        &mut self,
        shared: &Shared,
        run: &Place,
        message: ServerMessage,
    ) -> Option<Numbered> {
        let position = self.talk.as_mut()?.threads.get_mut(&run.thread_id)?.advance();
        let id = EventId::numbered(position.epoch.as_str(), position.seq)
            .expect("an epoch and a number are an id");
        let now = (shared.clock)();
        let (thread_id, run_id) = (run.thread_id.clone(), run.run_id.clone());
        let envelope = Envelope::event(id, position, thread_id, run_id, now, message);
        Some(Numbered { frame: encode(&envelope, Format::V1), envelope })
    }

    /// The numbers that the record of a thread need not keep any more.
    pub(super) fn trimmed(&mut self, thread_id: &ThreadId) -> Range<u64> {
        let thread = self.talk.as_mut().and_then(|talk| talk.threads.get_mut(thread_id));
        thread.map_or(0..0, Thread::take_trimmed)
    }

    /// Keeps an event, and queues it for every socket.
    pub(super) fn deliver(
        &mut self,
        retains: bool,
        shared: &Shared,
        observer: &dyn Observer,
        numbered: Numbered,
    ) {
        let Numbered { envelope, frame } = numbered;
        // Each form is encoded once for all sockets, and the older one only where one of them speaks it.
        let mut legacy: Option<Bytes> = None;
        let thread_id = envelope.thread_id.as_ref();
        for socket in self.sockets.as_slice() {
            let talk = self.talk.as_deref();
            if let (Some(id), Some(talk)) = (thread_id, talk)
                && !talk.is_level(&socket.outbox, id)
            {
                // It comes to that one from what is kept, in its turn.
                continue;
            }
            let frame = match socket.format {
                Format::V1 => frame.clone(),
                Format::Legacy => legacy.get_or_insert_with(|| encode(&envelope, Format::Legacy)).clone(),
            };
            if !socket.outbox.push(frame) {
                observer.overflow();
            }
        }
        let thread = thread_id.and_then(|id| self.talk.as_mut()?.threads.get_mut(id));
        if let Some(thread) = thread {
            if is_terminal(&envelope.message)
                && let Some(run_id) = &envelope.run_id
            {
                thread.seen_to_end(run_id);
            }
            if retains {
                thread.keep(frame, shared.options.retained_events, shared.options.retained_bytes);
            }
        }
        observer.event(envelope.message.kind(), self.sockets.as_slice().len());
    }

    /// Forgets a thread that is gone from the record, and tells who waits for that.
    pub(super) fn forget(&mut self, id: &ThreadId) {
        let thread = self.talk.as_mut().and_then(|talk| talk.forget(id));
        for told in thread.into_iter().flat_map(|thread| thread.doomed) {
            // Nobody listens any more where the asking connection has gone.
            let _ = told.send(());
        }
    }

    /// Leaves who waits for a thread's end without a word: the record failed.
    pub(super) fn keep_after_all(&mut self, id: &ThreadId) {
        if let Some(thread) = self.talk.as_mut().and_then(|talk| talk.threads.get_mut(id)) {
            thread.doomed.clear();
        }
    }

    /// A thread: in memory, else from the record, which is read for this once where memory holds as many as it may and all
    /// are busy. What cannot be had is told as a thread that is not there.
    fn thread(&mut self, record: &Recording<'_>, thread_id: &ThreadId) -> Option<Held<'_>> {
        let kept =
            |state: &Self| state.talk.as_ref().is_some_and(|talk| talk.threads.contains_key(thread_id));
        if let Some(log) = record.log.filter(|_| !kept(self)) {
            let now = Instant::now();
            let read = log.thread(record.owner, thread_id);
            let stored =
                read.inspect_err(|error| tracing::error!(%error, "a thread cannot be read")).ok()??;
            let thread = Thread::recorded(&stored, now);
            let talk = self.talk.get_or_insert_with(|| Box::new(Talk::new(now)));
            if talk.make_room(record.shared.options.threads_per_user, thread_id).is_err() {
                return Some(Held::Once(Box::new(thread)));
            }
            talk.threads.insert(thread_id.clone(), thread);
        }
        self.talk.as_ref()?.threads.get(thread_id).map(Held::Kept)
    }

    /// Says what can be resumed, and begins to send it; a thread that cannot be has its own `resume_gap`.
    pub(super) fn resume(
        &mut self,
        record: &Recording<'_>,
        outbox: &Arc<Outbox>,
        command: &Resume,
        reply: &dyn Fn(ServerMessage),
    ) {
        let mut resumed = Resumed::default();
        for point in &command.threads {
            let outcome = if record.retains {
                let thread = self.thread(record, &point.thread_id);
                thread.map_or_else(
                    || Err(nothing(&point.thread_id, GapReason::UnknownThread)),
                    |it| it.resume(point),
                )
            } else {
                Err(nothing(&point.thread_id, GapReason::NotResumable))
            };
            match outcome {
                Ok(thread) => resumed.threads.push(thread),
                Err(gap) => reply(gap.into()),
            }
        }
        if resumed.threads.is_empty() {
            return;
        }
        if let Some(talk) = &mut self.talk {
            let mut late = talk.take_late(outbox);
            for ResumedThread { thread_id, epoch, from_seq, .. } in &resumed.threads {
                // What is asked for twice is sent from the later question on.
                late.retain(|behind| behind.thread_id != *thread_id);
                let (thread_id, epoch) = (thread_id.clone(), epoch.clone());
                late.push(Behind { thread_id, epoch, next_seq: *from_seq });
            }
            talk.set_late(outbox, late);
        }
        reply(resumed.into());
        self.catch_up(record, outbox, reply);
    }

    /// Queues the next piece of what a connection missed. With the last one it is level, and hears what happens.
    pub(super) fn catch_up(
        &mut self,
        record: &Recording<'_>,
        outbox: &Arc<Outbox>,
        reply: &dyn Fn(ServerMessage),
    ) {
        let Some(talk) = &mut self.talk else { return };
        let mut late = talk.take_late(outbox);
        late.retain_mut(|behind| {
            let Behind { thread_id, epoch, next_seq } = behind;
            let Some(thread) = self.thread(record, thread_id) else {
                reply(nothing(thread_id, GapReason::UnknownThread).into());
                return false;
            };
            let mut next = thread.event(thread_id, epoch, *next_seq);
            outbox.refill(|room| {
                let frame = next.as_ref().ok()?.filter(|frame| frame.len() <= room).cloned()?;
                *next_seq += 1;
                next = thread.event(thread_id, epoch, *next_seq);
                Some(frame)
            });
            match next {
                Ok(left) => left.is_some(),
                Err(gap) => {
                    reply(gap.into());
                    false
                }
            }
        });
        if let Some(talk) = self.talk.as_mut().filter(|_| !late.is_empty()) {
            talk.set_late(outbox, late);
            outbox.set_behind(true);
        }
    }
}

/// A thread that memory keeps, or that was read for once.
enum Held<'a> {
    Kept(&'a Thread),
    Once(Box<Thread>),
}

impl Deref for Held<'_> {
    type Target = Thread;

    fn deref(&self) -> &Thread {
        match self {
            Held::Kept(thread) => thread,
            Held::Once(thread) => thread,
        }
    }
}

/// Where a world's events are kept.
pub(super) struct Recording<'a> {
    pub(super) shared: &'a Shared,
    /// Whether they outlive their runs.
    pub(super) retains: bool,
    pub(super) log: Option<&'a dyn EventLog>,
    pub(super) owner: &'a Owner,
}

fn nothing(thread_id: &ThreadId, reason: GapReason) -> ResumeGap {
    ResumeGap { thread_id: thread_id.clone(), epoch: None, first_available_seq: None, last_seq: 0, reason }
}
