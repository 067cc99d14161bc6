//! What a user may see of what was said, and have forgotten.

use std::{mem, sync::Arc, time::Instant};

use portcullis_event::{Envelope, ThreadId};
use portcullis_log::{Change, Owner, Stored, Summary};
use portcullis_reason::{Reason, Rejection};
use tokio::sync::oneshot;

use super::{State, Talk, World, talk::unreadable};
use crate::{Shared, thread::Thread};

impl World {
    /// The threads, in no order. Reads the record, so it may block.
    ///
    /// # Errors
    /// `NOT_READY` if it cannot be read.
    pub(crate) fn threads(&self, shared: &Shared, owner: &Owner) -> Result<Vec<Summary>, Rejection> {
        if let Some(log) = self.log(shared) {
            return log.threads(owner).map_err(|error| unreadable(&error));
        }
        let state = self.state.lock();
        let threads = state.talk.iter().flat_map(|talk| &talk.threads);
        Ok(threads.filter_map(|(id, thread)| summary(id, thread)).collect())
    }

    /// A thread's events as far as they are kept. Reads the record, so it may block.
    ///
    /// # Errors
    /// `NOT_READY` if it cannot be read, `NOT_FOUND`.
    pub(crate) fn thread(&self, shared: &Shared, owner: &Owner, id: &ThreadId) -> Result<Stored, Rejection> {
        let stored = match self.log(shared) {
            Some(log) => log.thread(owner, id).map_err(|error| unreadable(&error))?,
            None => self.state.lock().talk.as_ref().and_then(|talk| talk.threads.get(id)?.stored()),
        };
        stored.ok_or_else(no_such_thread)
    }

    /// Has a thread forgotten: at once, or once its runs have ended, which are cancelled. Tells when it is gone from the
    /// record as well; an end without a word means that the record failed.
    ///
    /// # Errors
    /// `NOT_READY` if the record cannot be read, `NOT_FOUND`.
    pub(crate) fn forget(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        owner: &Owner,
        id: &ThreadId,
    ) -> Result<oneshot::Receiver<()>, Rejection> {
        shared.ready()?;
        let state = &mut *self.state.lock();
        let now = Instant::now();
        let talk = state.talk.get_or_insert_with(|| Box::new(Talk::new(now)));
        // Where all are busy it is one more, until the record has let go of it.
        let _ = talk.make_room(shared.options.threads_per_user, id);
        talk.load(self.log(shared), owner, id, now)?;
        let thread = talk.threads.get_mut(id).ok_or_else(no_such_thread)?;
        let (told, gone) = oneshot::channel();
        let first = thread.doomed.is_empty();
        thread.doomed.push(told);
        if !thread.is_busy() {
            // A second one finds the first on its way.
            if first {
                self.remove(state, shared, owner, id);
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
    pub(super) fn remove(
        self: &Arc<Self>,
        state: &mut State,
        shared: &Arc<Shared>,
        owner: &Owner,
        id: &ThreadId,
    ) {
        let Some(log) = self.log(shared) else { return state.forget(id) };
        let (world, router, id) = (Arc::clone(self), Arc::clone(shared), id.clone());
        log.append(
            Change::Forget { owner: *owner, thread_id: id.clone() },
            Box::new(move |outcome| match outcome {
                Ok(()) => world.state.lock().forget(&id),
                Err(error) => {
                    router.fail(error);
                    world.state.lock().keep_after_all(&id);
                }
            }),
        );
    }
}

fn summary(id: &ThreadId, thread: &Thread) -> Option<Summary> {
    let Stored { epoch, first, mut texts } = thread.stored()?;
    let tail = first + texts.len() as u64 - 1;
    let last = texts.pop()?;
    let envelope = Envelope::parse(str::from_utf8(&last).ok()?).ok()?;
    let at = envelope.timestamp.unix_ms().unsigned_abs();
    Some(Summary { thread_id: id.clone(), epoch, tail, at, last })
}

fn no_such_thread() -> Rejection {
    Rejection::new(Reason::NotFound, "the user has no such thread")
        .with_hint("you have no thread of that name")
}
