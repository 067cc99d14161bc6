//! What a user and the agents have said and are about to say: threads, runs, and what is on its way into the record.

use std::{
    collections::{HashMap, VecDeque},
    ptr,
    sync::Arc,
    task::Waker,
    time::Instant,
};

use portcullis_event::{Epoch, MessageId, ResumePoint, ThreadId, Wire};
use portcullis_log::{Accepted, Owner, OwnerLog};
use portcullis_reason::{Reason, Rejection};

use super::work::{Command, Handed};
use crate::{Outbox, share::Slot, thread::Thread};

pub(super) struct Talk {
    pub(super) owner: Owner,
    /// The owner's record, while it is open.
    pub(super) record: Option<Arc<dyn OwnerLog>>,
    /// Counts the openings of the record: what belongs to an earlier one has no place here any more.
    pub(super) term: u64,
    pub(super) threads: HashMap<ThreadId, Thread>,
    /// Runs that are waiting or going on.
    pub(super) runs: Vec<Slot>,
    /// Messages that are on their way into the record.
    pub(super) accepting: Vec<Accepting>,
    /// What was handed to the record, and of which it is not known yet what became of it.
    pub(super) handed: VecDeque<Handed>,
    pub(super) commands: VecDeque<Command>,
    /// Whether the pump is at one.
    pub(super) works: bool,
    /// Whether the record is opened again after a while.
    pub(super) opens_later: bool,
    pub(super) pump: Pump,
    /// The connections that are being caught up with.
    late: Vec<Late>,
    /// When the last message was accepted, by the record's clock.
    accepted_at: u64,
    pub(super) last_used: Instant,
}

/// Whether the world's pump is at work.
pub(super) enum Pump {
    /// There is none.
    Idle,
    /// It is about to look, or looking.
    Awake,
    /// It waits to be woken.
    Asleep(Waker),
}

/// A message that is about to be accepted, and who sent it again meanwhile.
pub(super) struct Accepting {
    pub(super) id: MessageId,
    pub(super) accepted: Accepted,
    pub(super) again: Vec<(Arc<Outbox>, Wire)>,
}

/// A connection that gets events of some threads from the record, and not as they happen, until it has come to their ends.
struct Late {
    outbox: Arc<Outbox>,
    /// The first is the one that is being sent.
    threads: VecDeque<Behind>,
}

/// How far a connection has come in a thread.
#[derive(Clone)]
pub(super) struct Behind {
    pub(super) thread_id: ThreadId,
    /// The stream's life; none while the connection was not told from where on it hears the thread again.
    pub(super) epoch: Option<Epoch>,
    /// The number of the next event that it gets.
    pub(super) next_seq: u64,
}

impl Talk {
    pub(super) fn new(owner: Owner, now: Instant) -> Self {
        Self {
            owner,
            record: None,
            term: 0,
            threads: HashMap::new(),
            runs: Vec::new(),
            accepting: Vec::new(),
            handed: VecDeque::new(),
            commands: VecDeque::new(),
            works: false,
            opens_later: false,
            pump: Pump::Idle,
            late: Vec::new(),
            accepted_at: 0,
            last_used: now,
        }
    }

    /// Takes what was opened. From here on the record's handle is this one.
    pub(super) fn opened(&mut self, record: Arc<dyn OwnerLog>) {
        self.term += 1;
        self.record = Some(record);
    }

    /// Whether there is nothing to wait for.
    pub(super) fn is_at_rest(&self) -> bool {
        self.runs.is_empty() && !self.opens_later && matches!(self.pump, Pump::Idle)
    }

    /// When a message is accepted, by the record's clock: later than the one before, so that their order can be told by it.
    pub(super) fn accepted_at(&mut self, now: u64) -> u64 {
        self.accepted_at = now.max(self.accepted_at + 1);
        self.accepted_at
    }

    /// A thread that is at hand, or a new one where the record has none.
    pub(super) fn thread(&mut self, id: &ThreadId, now: Instant) -> &mut Thread {
        let thread = self.threads.entry(id.clone()).or_insert_with(|| Thread::new(id, now));
        thread.last_used = now;
        thread
    }

    /// Lets go of the thread that was not used for longest, if there is no place for `wanted`.
    ///
    /// # Errors
    /// [`Reason::TooManyRuns`] where all of them are at work.
    pub(super) fn make_room(&mut self, most: usize, wanted: &ThreadId) -> Result<(), Rejection> {
        if self.threads.len() < most || self.threads.contains_key(wanted) {
            return Ok(());
        }
        let idle = self.threads.iter().filter(|(_, thread)| thread.is_at_rest());
        let Some(oldest) = idle.min_by_key(|(_, thread)| thread.last_used).map(|(id, _)| id.clone()) else {
            return Err(Rejection::new(Reason::TooManyRuns, "all threads of the user are busy"));
        };
        self.threads.remove(&oldest);
        Ok(())
    }

    /// Keeps from a connection what happens in threads until it was told from where on it hears them again.
    pub(super) fn hold(&mut self, outbox: &Arc<Outbox>, points: &[ResumePoint]) {
        let threads = points.iter().map(|point| Behind {
            thread_id: point.thread_id.clone(),
            epoch: None,
            next_seq: point.after_seq + 1,
        });
        self.set_behind(outbox, threads.collect());
    }

    /// Adds threads to those that a connection is behind in, each from the later question on.
    pub(super) fn set_behind(&mut self, outbox: &Arc<Outbox>, threads: Vec<Behind>) {
        let mut late = self.take_late(outbox);
        late.retain(|behind| threads.iter().all(|it| it.thread_id != behind.thread_id));
        late.extend(threads);
        self.put_late(outbox, late);
    }

    /// The thread that a connection is being caught up with.
    pub(super) fn behind(&mut self, outbox: &Arc<Outbox>) -> Option<&mut Behind> {
        self.late.iter_mut().find(|late| is(late, outbox))?.threads.front_mut()
    }

    /// A connection hears a thread's events as they happen from now on.
    pub(super) fn caught_up(&mut self, outbox: &Arc<Outbox>, thread_id: &ThreadId) {
        let mut late = self.take_late(outbox);
        late.retain(|behind| behind.thread_id != *thread_id);
        self.put_late(outbox, late);
    }

    /// A connection is behind in nothing any more.
    pub(super) fn level(&mut self, outbox: &Arc<Outbox>) {
        self.take_late(outbox);
    }

    /// Whether a connection hears a thread's events as they happen.
    pub(super) fn is_level(&self, outbox: &Outbox, thread_id: &ThreadId) -> bool {
        let late = self.late.iter().find(|late| is(late, outbox));
        late.is_none_or(|late| late.threads.iter().all(|behind| behind.thread_id != *thread_id))
    }

    pub(super) fn clear_late(&mut self) {
        self.late.clear();
    }

    fn take_late(&mut self, outbox: &Outbox) -> VecDeque<Behind> {
        let place = self.late.iter().position(|late| is(late, outbox));
        place.map(|place| self.late.swap_remove(place).threads).unwrap_or_default()
    }

    fn put_late(&mut self, outbox: &Arc<Outbox>, threads: VecDeque<Behind>) {
        if !threads.is_empty() {
            self.late.push(Late { outbox: Arc::clone(outbox), threads });
        }
    }
}

fn is(late: &Late, outbox: &Outbox) -> bool {
    ptr::eq(Arc::as_ptr(&late.outbox), outbox)
}
