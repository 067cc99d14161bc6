//! What a user and the agents have said: threads, runs, and the messages that are remembered.

use std::{
    collections::{HashMap, VecDeque},
    ptr,
    sync::Arc,
    time::Instant,
};

use portcullis_event::{Epoch, MessageId, RunId, ThreadId};
use portcullis_log::{self as log, EventLog, Owner};
use portcullis_reason::{Reason, Rejection};

use crate::{
    Outbox,
    thread::{Recorded, Run, Thread},
};

/// Message ids that are remembered, so that the same one again is not run twice.
const REMEMBERED_MESSAGES: usize = 256;

pub(super) struct Talk {
    pub(super) threads: HashMap<ThreadId, Thread>,
    /// Runs that are waiting or going on.
    pub(super) runs: usize,
    seen: VecDeque<Seen>,
    /// The connections that are being caught up with.
    late: Vec<Late>,
    /// When the last message was accepted, by the record's clock.
    accepted_at: u64,
    pub(super) last_used: Instant,
}

/// A connection that gets events of some threads from what is kept, and not as they happen, until it has come to the end.
struct Late {
    outbox: Arc<Outbox>,
    threads: Vec<Behind>,
}

fn is(late: &Late, outbox: &Outbox) -> bool {
    ptr::eq(Arc::as_ptr(&late.outbox), outbox)
}

/// Where it stands in one of them.
pub(super) struct Behind {
    pub(super) thread_id: ThreadId,
    pub(super) epoch: Epoch,
    pub(super) next_seq: u64,
}

/// A message that was accepted, or is about to be.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) id: MessageId,
    pub(super) run_id: RunId,
    pub(super) thread_id: ThreadId,
    pub(super) recorded: Option<Recorded>,
}

impl Talk {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            threads: HashMap::new(),
            runs: 0,
            seen: VecDeque::new(),
            late: Vec::new(),
            accepted_at: 0,
            last_used: now,
        }
    }

    /// When a message is accepted, by the record's clock: later than the one before, so that their order can be told by it.
    pub(super) fn accepted_at(&mut self, now: u64) -> u64 {
        self.accepted_at = now.max(self.accepted_at + 1);
        self.accepted_at
    }

    pub(super) fn thread(&mut self, id: &ThreadId, now: Instant) -> &mut Thread {
        let thread = self.threads.entry(id.clone()).or_insert_with(|| Thread::new(now));
        thread.last_used = now;
        thread
    }

    /// Forgets the thread that was not used for longest, if there is no place for `wanted`.
    pub(super) fn make_room(&mut self, most: usize, wanted: &ThreadId) -> Result<(), Rejection> {
        if self.threads.len() < most || self.threads.contains_key(wanted) {
            return Ok(());
        }
        let idle = self.threads.iter().filter(|(_, thread)| !thread.is_busy() && thread.doomed.is_empty());
        let Some(oldest) = idle.min_by_key(|(_, thread)| thread.last_used).map(|(id, _)| id.clone()) else {
            return Err(Rejection::new(Reason::TooManyRuns, "all threads of the user are busy"));
        };
        self.threads.remove(&oldest);
        Ok(())
    }

    /// What a connection is behind with, to be given back by [`set_late`](Self::set_late) as far as it still is.
    pub(super) fn take_late(&mut self, outbox: &Outbox) -> Vec<Behind> {
        let place = self.late.iter().position(|late| is(late, outbox));
        place.map(|place| self.late.swap_remove(place).threads).unwrap_or_default()
    }

    pub(super) fn set_late(&mut self, outbox: &Arc<Outbox>, threads: Vec<Behind>) {
        if !threads.is_empty() {
            self.late.push(Late { outbox: Arc::clone(outbox), threads });
        }
    }

    /// Whether a connection hears a thread's events as they happen.
    pub(super) fn is_level(&self, outbox: &Outbox, thread_id: &ThreadId) -> bool {
        let late = self.late.iter().find(|late| is(late, outbox));
        late.is_none_or(|late| late.threads.iter().all(|behind| behind.thread_id != *thread_id))
    }

    /// Forgets a thread, and the messages that led to it.
    pub(super) fn forget(&mut self, id: &ThreadId) -> Option<Thread> {
        self.seen.retain(|seen| seen.thread_id != *id);
        self.threads.remove(id)
    }

    pub(super) fn remember(&mut self, seen: Seen) {
        if self.seen.len() == REMEMBERED_MESSAGES {
            self.seen.pop_front();
        }
        self.seen.push_back(seen);
    }

    /// The message of that id that was sent before, on the same thread or without naming one.
    pub(super) fn seen(
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
    pub(super) fn load(
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

pub(super) fn unreadable(error: &log::Error) -> Rejection {
    Rejection::new(Reason::NotReady, error.to_string()).with_retry_after(5)
}
