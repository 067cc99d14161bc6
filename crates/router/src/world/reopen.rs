//! What a user's world has from before the start of the process.

use std::{sync::Arc, time::Instant};

use portcullis_event::ThreadId;
use portcullis_log::{Change, OpenRun, Stored};
use tokio::sync::oneshot;

use super::{Submitted, Talk, World};
use crate::{
    Shared,
    thread::{Recorded, Run, Thread},
};
use futures_util::FutureExt as _;

impl World {
    /// Takes a thread into memory as the record has it.
    pub(crate) fn take_in(&self, thread_id: ThreadId, stored: Option<&Stored>) {
        let now = Instant::now();
        let thread = stored.map_or_else(|| Thread::new(now), |stored| Thread::recorded(stored, now));
        let talk = &mut self.state.lock().talk;
        talk.get_or_insert_with(|| Box::new(Talk::new(now))).threads.insert(thread_id, thread);
    }

    /// Gives a run that was accepted before its place in its thread again. Those of one thread come in their old order.
    pub(crate) fn put_back(self: &Arc<Self>, shared: &Arc<Shared>, run: Run) -> Submitted {
        let mut state = self.state.lock();
        if let (Some(talk), Some(again)) = (&mut state.talk, &run.again) {
            talk.accepted_at(again.open.accepted_at);
        }
        self.enter(&mut state, shared, run)
    }

    /// Has it recorded that a run begins again.
    pub(crate) fn reopen(&self, shared: &Arc<Shared>, open: OpenRun) -> Option<Recorded> {
        let (told, recorded) = oneshot::channel();
        let router = Arc::clone(shared);
        let done = move |outcome: Result<(), &_>| {
            if let Err(error) = outcome {
                router.fail(error);
            }
            let _ = told.send(outcome.is_ok());
        };
        self.log(shared)?.append(Change::Accept(open), Box::new(done));
        Some(recorded.shared())
    }
}
