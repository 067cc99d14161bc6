//! What stands behind a world's lock.

use std::{ops::Range, time::Instant};

use bytes::Bytes;
use portcullis_event::{
    Envelope, EventId, Format, GapReason, Resume, ResumeGap, Resumed, ServerMessage, ThreadId,
};
use portcullis_log::{EventLog, Owner};

use super::{
    is_terminal,
    numbered::{Numbered, Place},
    sockets::Sockets,
    talk::Talk,
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

    /// Gets from the log what a client asks for and memory does not have.
    pub(super) fn load(
        &mut self,
        shared: &Shared,
        log: Option<&dyn EventLog>,
        owner: &Owner,
        command: &Resume,
    ) {
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

    pub(super) fn resume(
        &self,
        retains: bool,
        outbox: &Outbox,
        command: &Resume,
        reply: &dyn Fn(ServerMessage),
    ) {
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
