//! What happens is numbered and handed to the record; and what is done where the record refuses.

use std::{mem, sync::Arc, time::Duration};

use portcullis_event::{ServerMessage, Timestamp};
use portcullis_log::{AppendError, Change, Commit, OpenRun};
use portcullis_reason::Reason;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    State, World,
    deliver::{Numbered, is_terminal},
    work::{Command, Handed, Then},
};
use crate::{shared::Shared, thread::Place};

/// The record was closed since: what the run still has to say has no place any more. Whoever opens it takes the run up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lost;

/// When a record that was lost is opened again, for what was left open in it. Whoever comes sooner opens it sooner.
const REOPENED_AFTER: Duration = Duration::from_secs(1);

impl World {
    /// Numbers an event of a run and hands it to the record; it is shown once that has it. `room` is given back then. Says
    /// how many bytes it has.
    ///
    /// # Errors
    /// [`Lost`].
    pub(crate) fn emit(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        run: &Place,
        message: ServerMessage,
        room: OwnedSemaphorePermit,
    ) -> Result<usize, Lost> {
        self.tell(&mut self.state.lock(), shared, run, message, Some(room))
    }

    pub(super) fn tell(
        self: &Arc<Self>,
        state: &mut State,
        shared: &Arc<Shared>,
        run: &Place,
        message: ServerMessage,
        room: Option<OwnedSemaphorePermit>,
    ) -> Result<usize, Lost> {
        let talk = state.talk.as_mut().filter(|talk| talk.term == run.term).ok_or(Lost)?;
        let record = talk.record.clone().ok_or(Lost)?;
        let thread = talk.threads.get_mut(&run.thread_id).ok_or(Lost)?;
        let ends = is_terminal(&message).then(|| run.run_id.clone());
        let mut numbered = Numbered::new(thread.advance(), run, Timestamp::now(&shared.clock), message);
        let (told, size) = numbered.record();
        // Under the lock, so that the record gets a thread's events in the order of their numbers. It returns at once.
        let commit = record.append(Change::Event { record: told, ends });
        self.await_commit(
            state,
            shared,
            commit,
            Then::Told { numbered, since: shared.clock.instant(), room },
        );
        Ok(size)
    }

    /// Has it recorded that a run begins again: what brings the server down does so twice at most. An end without a word
    /// means that the record was lost.
    pub(crate) fn reopen(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        run: &Place,
        open: OpenRun,
    ) -> Result<oneshot::Receiver<()>, Lost> {
        let state = &mut *self.state.lock();
        let talk = state.talk.as_mut().filter(|talk| talk.term == run.term).ok_or(Lost)?;
        let record = talk.record.clone().ok_or(Lost)?;
        let (told, reopened) = oneshot::channel();
        let commit = record.append(Change::Reopen(open));
        self.await_commit(state, shared, commit, Then::Reopened(told));
        Ok(reopened)
    }

    /// Has something done once a change is committed: at once where that is known and nothing is before it.
    pub(super) fn await_commit(
        self: &Arc<Self>,
        state: &mut State,
        shared: &Arc<Shared>,
        commit: Commit,
        then: Then,
    ) {
        let talk = state.talk.as_mut().expect("a change is handed over by a conversation");
        let commit = if talk.handed.is_empty() { commit.try_known() } else { Err(commit) };
        match commit {
            Ok(outcome) => self.settled(state, shared, then, outcome),
            Err(commit) => {
                talk.handed.push_back(Handed { commit, then });
                self.wake(&mut talk.pump, shared);
            }
        }
    }

    /// The record refused something, and all that was handed over behind it. Runs end without a word, and whoever listens
    /// comes back to what was really recorded; it is opened again by the first who asks for something, or after a while for
    /// what was left open.
    pub(super) fn lose(
        self: &Arc<Self>,
        state: &mut State,
        shared: &Arc<Shared>,
        refused: Option<Then>,
        error: &AppendError,
    ) {
        shared.observer.recorded(Err(()));
        tracing::error!(%error, "what a user's runs tell cannot be recorded; their connections are ended");
        let Some(talk) = &mut state.talk else { return };
        talk.record = None;
        talk.term += 1;
        let handed = mem::take(&mut talk.handed).into_iter().map(|handed| handed.then);
        for then in refused.into_iter().chain(handed) {
            // A connection that only asks is not among the sockets.
            if let Then::Accepted { outbox, .. } = then {
                outbox.end(Reason::NotReady);
            }
        }
        for again in mem::take(&mut talk.accepting).into_iter().flat_map(|accepting| accepting.again) {
            again.0.end(Reason::NotReady);
        }
        for thread in mem::take(&mut talk.threads).into_values() {
            thread.active.iter().for_each(|run| run.cancel.cancel());
        }
        talk.runs.clear();
        talk.clear_late();
        for socket in state.sockets.as_slice() {
            socket.outbox.end(Reason::NotReady);
        }
        self.open_later(state, shared, error);
    }

    /// Has the record opened again after a while, unless it has failed for good.
    pub(super) fn open_later(self: &Arc<Self>, state: &mut State, shared: &Arc<Shared>, error: &AppendError) {
        let after = match error {
            AppendError::Failed(_) => return,
            AppendError::Unavailable { after, .. } => *after,
            AppendError::Fenced | AppendError::AlreadyAccepted(_) => REOPENED_AFTER,
        };
        let talk = self.talk(state, shared);
        if mem::replace(&mut talk.opens_later, true) {
            return;
        }
        let (world, router) = (Arc::clone(self), Arc::clone(shared));
        shared.tasks.spawn(async move {
            if router.stop.run_until_cancelled(tokio::time::sleep(after)).await.is_some() {
                world.command(&router, Command::Open { told: None });
            }
        });
    }
}
