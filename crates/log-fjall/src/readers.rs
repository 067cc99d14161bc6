//! The threads that read. Every owner has a lane, and lanes take turns, so that nobody's reads wait for all of another's.

use std::{
    collections::{HashMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex},
};

use futures_channel::oneshot;
use futures_util::{FutureExt as _, future::BoxFuture};
use portcullis_log::{Owner, ReadError};

use crate::{
    Shared,
    queue::{CLOSED, Job},
    store::{Store, View, locked},
};

/// Threads that read.
pub(crate) const READERS: usize = 2;
/// Reads of one owner that wait at most.
const MOST_WAITING: usize = 256;

/// Whose turn it is: an owner's, or the record's own.
type Lane = Option<Owner>;
type Read = Box<dyn FnOnce(&Arc<Shared>) + Send>;

/// What waits to be read.
#[derive(Default)]
pub(crate) struct Readers {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// Lanes with something in them, in the order of their turns.
    turns: VecDeque<Lane>,
    lanes: HashMap<Lane, VecDeque<Read>>,
    closed: bool,
}

impl Readers {
    fn push(&self, lane: Lane, read: Read) -> Result<(), ReadError> {
        let mut waiting = locked(&self.waiting);
        if waiting.closed {
            return Err(ReadError::Unavailable(CLOSED.into()));
        }
        let reads = waiting.lanes.entry(lane).or_default();
        if reads.len() >= MOST_WAITING {
            return Err(ReadError::Unavailable("too many reads of this user wait already".into()));
        }
        reads.push_back(read);
        if reads.len() == 1 {
            waiting.turns.push_back(lane);
        }
        drop(waiting);
        self.wake.notify_one();
        Ok(())
    }

    /// The next read; none where none will come any more.
    fn next(&self) -> Option<Read> {
        let mut waiting = locked(&self.waiting);
        loop {
            if let Some(lane) = waiting.turns.pop_front() {
                let reads = waiting.lanes.get_mut(&lane)?;
                let read = reads.pop_front();
                if reads.is_empty() {
                    waiting.lanes.remove(&lane);
                } else {
                    waiting.turns.push_back(lane);
                }
                return read;
            }
            if waiting.closed {
                return None;
            }
            waiting = self.wake.wait(waiting).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// Works until the readers are closed and nothing waits.
    pub(crate) fn work(shared: &Arc<Shared>) {
        while let Some(read) = shared.readers.next() {
            read(shared);
        }
    }

    pub(crate) fn close(&self) {
        locked(&self.waiting).closed = true;
        self.wake.notify_all();
    }
}

/// The store while it is open to be read.
#[derive(Default)]
pub(crate) struct Gate {
    inside: Mutex<Inside>,
    left: Condvar,
}

#[derive(Default)]
struct Inside {
    store: Option<Arc<Store>>,
    /// Why there is none.
    cause: Option<Arc<str>>,
    readers: usize,
}

impl Gate {
    pub(crate) fn open(&self, store: Store) {
        locked(&self.inside).store = Some(Arc::new(store));
    }

    /// Lets nobody in any more, and waits until those who are inside have left.
    pub(crate) fn close(&self, cause: Arc<str>) {
        let mut inside = locked(&self.inside);
        inside.cause = Some(cause);
        let store = inside.store.take();
        while inside.readers > 0 {
            inside = self.left.wait(inside).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        drop(inside);
        drop(store);
    }

    fn enter(&self) -> Result<Entered<'_>, ReadError> {
        let mut inside = locked(&self.inside);
        let Some(store) = inside.store.clone() else {
            let cause = inside.cause.clone().unwrap_or_else(|| CLOSED.into());
            return Err(ReadError::Unavailable(cause));
        };
        inside.readers += 1;
        Ok(Entered { gate: self, store: Some(store) })
    }
}

struct Entered<'a> {
    gate: &'a Gate,
    store: Option<Arc<Store>>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        // The store has to be let go of first: whoever closes the gate wants to be the last to have it.
        drop(self.store.take());
        locked(&self.gate.inside).readers -= 1;
        self.gate.left.notify_all();
    }
}

impl Shared {
    /// Reads on a reader's thread. It is under way whether or not the future is awaited.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        lane: Lane,
        work: impl FnOnce(&View) -> Result<T, ReadError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, ReadError>> {
        let (told, outcome) = oneshot::channel();
        let read = move |shared: &Arc<Self>| {
            if told.is_canceled() {
                return;
            }
            let found = catch_unwind(AssertUnwindSafe(|| {
                let entered = shared.gate.enter()?;
                let store = entered.store.as_ref().expect("it is there until the drop");
                work(&store.view())
            }));
            let found = found.unwrap_or_else(|_| {
                let cause: Arc<str> = "a fault of this program: reading panicked".into();
                // What the writer has open may be no better.
                let _ = shared.queue.push(Job::Broken(Arc::clone(&cause)));
                Err(ReadError::Unavailable(cause))
            });
            let _ = told.send(found);
        };
        match self.readers.push(lane, Box::new(read)) {
            Ok(()) => outcome
                .map(|told| told.unwrap_or_else(|_| Err(ReadError::Unavailable(CLOSED.into()))))
                .boxed(),
            Err(error) => futures_util::future::ready(Err(error)).boxed(),
        }
    }
}
