//! A message is accepted: it gets its thread and run, and is told to be accepted once the record has that.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use portcullis_agent::Keeps;
use portcullis_event::{
    ErrorNotice, MessageAccepted, MessageId, ServerMessage, ThreadId, Timestamp, UserMessage, UserSaid, Wire,
};
use portcullis_log::{Accepted, Change, OpenRun, OwnerLog, Question, Quota, Repeat};
use portcullis_reason::{Reason, Rejection};
use portcullis_units::ByteSize;

use super::{
    State, World,
    deliver::Numbered,
    message::Message,
    open::unreadable,
    talk::{Accepting, Talk},
    work::Then,
};
use crate::{
    Delivery, Outbox, ThreadPolicy, ids,
    share::Slot,
    shared::Shared,
    thread::{Place, Run, Thread},
};

impl World {
    /// Accepts a message, in the thread that the client named or in a new one, or tells why not.
    pub(super) async fn message(self: &Arc<Self>, shared: &Arc<Shared>, message: Message) {
        let (outbox, wire, id) = (Arc::clone(&message.outbox), message.wire, message.id.clone());
        if let Err(rejection) = self.accept(shared, message).await {
            self.refuse(shared, &outbox, wire, &rejection, id);
        }
    }

    /// Answers a message that was refused.
    pub(crate) fn refuse(
        &self,
        shared: &Shared,
        outbox: &Outbox,
        wire: Wire,
        rejection: &Rejection,
        id: Option<MessageId>,
    ) {
        self.observer(shared).refused(rejection.reason);
        self.reply(shared, outbox, wire, ErrorNotice::new(rejection).for_message(id).into());
    }

    /// Queues a control message for one connection.
    pub(crate) fn reply(&self, shared: &Shared, outbox: &Outbox, wire: Wire, message: ServerMessage) {
        self.push(shared, outbox, shared.control(wire, message), shared.clock.instant());
    }

    /// Queues a frame for one connection.
    pub(super) fn push(&self, shared: &Shared, outbox: &Outbox, delivery: impl Into<Delivery>, now: Instant) {
        if !outbox.push(delivery, now) && outbox.has_overflowed() {
            self.observer(shared).overflow();
        }
    }

    async fn accept(self: &Arc<Self>, shared: &Arc<Shared>, message: Message) -> Result<(), Rejection> {
        let record = self.record(shared).await?;
        if let Some(id) = &message.id {
            if self.is_accepting(id, &message) {
                return Ok(());
            }
            let before = record.message(id).await.map_err(|error| unreadable(&error))?;
            if let Some(accepted) = before.filter(|it| message.may_stand_in(&it.thread_id)) {
                let answer = answer(id.clone(), accepted, true);
                self.reply(shared, &message.outbox, message.wire, answer);
                return Ok(());
            }
        }
        if shared.tasks.is_closed() {
            return Err(Rejection::new(Reason::Draining, "a message came while draining"));
        }
        shared.ready()?;
        if let Some(quota) = record.full() {
            return Err(quota_reached(quota));
        }
        let slot = Slot::take(shared, &message.share)?;
        let thread_id = match &message.thread_id {
            None => ids::thread(),
            Some(id) => {
                self.load(shared, &*record, id).await?;
                id.clone()
            }
        };
        let repeat = self.repeat(shared, &message);
        let state = &mut *self.state.lock();
        self.hand_over(state, shared, message, thread_id, (slot, repeat))
    }

    /// Whether a message of that id is about to be accepted: who sent it again is told with the first.
    fn is_accepting(&self, id: &MessageId, message: &Message) -> bool {
        let mut state = self.state.lock();
        let talk = state.talk.as_mut();
        let same = |it: &&mut Accepting| it.id == *id && message.may_stand_in(&it.accepted.thread_id);
        let first = talk.and_then(|talk| talk.accepting.iter_mut().find(same));
        first.is_some_and(|first| {
            first.again.push((Arc::clone(&message.outbox), message.wire));
            true
        })
    }

    /// Has a thread at hand as the record has it; one that is nowhere is not made.
    pub(super) async fn load(
        &self,
        shared: &Shared,
        record: &dyn OwnerLog,
        id: &ThreadId,
    ) -> Result<(), Rejection> {
        if self.state.lock().talk.as_ref().is_some_and(|talk| talk.threads.contains_key(id)) {
            return Ok(());
        }
        let stream = record.stream(id).await.map_err(|error| unreadable(&error))?;
        let mut state = self.state.lock();
        let talk = self.talk(&mut state, shared);
        talk.make_room(shared.options.threads_per_user, id)?;
        if let Some(stream) = stream {
            talk.threads.insert(id.clone(), Thread::recorded(id, stream, shared.clock.instant()));
        }
        Ok(())
    }

    /// Whether the message is run again where a crash cuts its run off.
    fn repeat(&self, shared: &Shared, message: &Message) -> Repeat {
        let UserMessage { content, context, .. } = &message.said;
        let may = self.retains
            && shared.options.repeat_runs
            && message.chosen.agent.keeps() != Keeps::Nothing
            && message.chosen.agent.may_repeat(content, context.as_ref());
        if !may {
            return Repeat::Never;
        }
        Repeat::Once(Question { content: content.clone(), context: context.clone(), fresh: message.fresh })
    }

    /// Hands an acceptance to the record.
    ///
    /// # Errors
    /// [`Reason::TooManyRuns`] where the thread takes none.
    fn hand_over(
        self: &Arc<Self>,
        state: &mut State,
        shared: &Arc<Shared>,
        message: Message,
        thread_id: ThreadId,
        (slot, repeat): (Slot, Repeat),
    ) -> Result<(), Rejection> {
        let talk = self.talk(state, shared);
        let Some(record) = talk.record.clone() else {
            return Err(
                Rejection::new(Reason::NotReady, "the record was closed meanwhile").with_retry_after(1)
            );
        };
        takes_another(talk, &thread_id, shared.options.thread_policy)?;
        if !self.retains {
            message.outbox.set_carries_runs(true);
        }
        self.observer(shared).accepted();
        let Message { outbox, wire, user_id, id, said, chosen, fresh, sent, .. } = message;
        let run_id = ids::run();
        let id = id.unwrap_or_else(|| MessageId::new(run_id.as_str()).expect("a run's id is a message's id"));
        let open = OpenRun {
            run_id: run_id.clone(),
            thread_id: thread_id.clone(),
            message_id: id.clone(),
            agent_id: chosen.id.as_str().to_owned(),
            agent_type: chosen.kind.to_string(),
            user_id: user_id.to_string(),
            accepted_at: talk.accepted_at(shared.unix_ms()),
            repeat,
        };
        let run = Run {
            place: Place { term: talk.term, thread_id: thread_id.clone(), run_id: run_id.clone() },
            user_id,
            chosen,
            content: said.content,
            context: said.context,
            remembers: !fresh,
            cancel: shared.stop.child_token(),
            accepted: sent,
            again: None,
        };
        let accepted = Accepted { run_id, thread_id };
        let frame = shared.control(wire, answer(id.clone(), accepted.clone(), false));
        let message_id = id.clone();
        let said =
            UserSaid { message_id, run_id: accepted.run_id.clone(), content: run.kept(shared, &run.content) };
        talk.runs.push(slot);
        let thread = talk.thread(&accepted.thread_id, shared.clock.instant());
        thread.accepting += 1;
        let mut said =
            Numbered::new(thread.advance(), &run.place, Timestamp::now(&shared.clock), said.into());
        talk.accepting.push(Accepting { id, accepted, again: Vec::new() });
        let commit = record.append(Change::Accept { run: open, told: Some(said.record().0) });
        let then = Then::Accepted { run: Box::new(run), said, outbox, answer: frame };
        self.await_commit(state, shared, commit, then);
        Ok(())
    }

    /// An acceptance is in the record: it is told, and its run gets its place.
    pub(super) fn accepted(
        self: &Arc<Self>,
        state: &mut State,
        shared: &Arc<Shared>,
        run: Run,
        said: Numbered,
        outbox: &Outbox,
        frame: Bytes,
    ) {
        let talk = self.talk(state, shared);
        let place = talk.accepting.iter().position(|it| it.accepted.run_id == run.place.run_id);
        let Accepting { id, accepted, again } =
            talk.accepting.swap_remove(place.expect("an acceptance stands here until it is known"));
        talk.thread(&accepted.thread_id, shared.clock.instant()).accepting -= 1;
        self.push(shared, outbox, frame, shared.clock.instant());
        for (outbox, wire) in again {
            self.reply(shared, &outbox, wire, answer(id.clone(), accepted.clone(), true));
        }
        self.deliver(state, shared, said);
        self.queue(state, shared, run);
    }
}

fn quota_reached(quota: Quota) -> Rejection {
    let kept = ByteSize::from_bytes;
    let (detail, hint) = match quota {
        Quota::Owner(most) => (
            "as much is kept of the user as may be",
            format!("your threads take up the {} that are kept of a user; delete a thread", kept(most)),
        ),
        Quota::All(most) => (
            "as much is kept of all users as may be",
            format!("the threads of all users take up the {} that are kept; delete a thread", kept(most)),
        ),
    };
    Rejection::new(Reason::QuotaReached, detail).with_hint(hint)
}

/// Whether a thread takes one more message.
fn takes_another(talk: &Talk, id: &ThreadId, policy: ThreadPolicy) -> Result<(), Rejection> {
    let Some(thread) = talk.threads.get(id) else { return Ok(()) };
    if !thread.doomed.is_empty() {
        return Err(Rejection::new(Reason::TooManyRuns, "the thread is being deleted")
            .with_hint("this thread is being deleted; ask again in a moment, or in another one"));
    }
    if thread.is_busy() && policy == ThreadPolicy::Reject {
        return Err(Rejection::new(Reason::TooManyRuns, "a run is going on in the thread")
            .with_hint("a run is going on in this thread; wait for its end, or cancel it"));
    }
    Ok(())
}

fn answer(message_id: MessageId, accepted: Accepted, duplicate: bool) -> ServerMessage {
    let Accepted { run_id, thread_id } = accepted;
    MessageAccepted { message_id, run_id, thread_id, duplicate }.into()
}
