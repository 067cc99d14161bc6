//! What a user may see of what was said, and have forgotten.

use std::{collections::VecDeque, mem, sync::Arc};

use portcullis_event::{Envelope, ThreadId};
use portcullis_log::{Change, Owner, Stored, Summary};
use portcullis_reason::{Reason, Rejection};
use tokio::sync::oneshot;

use super::{State, World, talk::unreadable};
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
        let held = state.talk.as_ref().and_then(|talk| talk.threads.get(id));
        let busy = held.is_some_and(Thread::is_busy);
        if held.is_none() {
            let recorded = match self.log(shared) {
                Some(log) => log.thread(owner, id).map_err(|error| unreadable(&error))?.is_some(),
                None => false,
            };
            if !recorded {
                return Err(no_such_thread());
            }
        }
        let (told, gone) = oneshot::channel();
        if !busy {
            self.remove(state, shared, owner, id, vec![told]);
            return Ok(gone);
        }
        let mut waiting = VecDeque::default();
        if let Some(thread) = state.talk.as_mut().and_then(|talk| talk.threads.get_mut(id)) {
            thread.doomed.push(told);
            thread.active.iter().for_each(|run| run.cancel.cancel());
            waiting = mem::take(&mut thread.waiting);
        }
        for run in waiting {
            self.end_waiting(state, shared, run);
        }
        Ok(gone)
    }

    /// Takes a thread without runs out of memory and of the record.
    pub(super) fn remove(
        &self,
        state: &mut State,
        shared: &Arc<Shared>,
        owner: &Owner,
        id: &ThreadId,
        told: Vec<oneshot::Sender<()>>,
    ) {
        if let Some(talk) = &mut state.talk {
            talk.forget(id);
        }
        // Nobody listens any more where the asking connection has gone.
        let tell = move || {
            for told in told {
                let _ = told.send(());
            }
        };
        let Some(log) = self.log(shared) else { return tell() };
        let (change, router) = (Change::Forget { owner: *owner, thread_id: id.clone() }, Arc::clone(shared));
        log.append(
            change,
            Box::new(move |outcome| match outcome {
                Ok(()) => tell(),
                Err(error) => router.fail(error),
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
