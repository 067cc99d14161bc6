//! What a world waits for: the commits of what it handed over, and the commands that have to ask the record first.
//!
//! There is a pump while there is something to wait for. It takes commits in the order of handing over, and commands one
//! at a time, while commits go on: so two commands of a user never see each other half done.

use std::{
    future::poll_fn,
    mem,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use portcullis_event::{Pong, Wire};
use portcullis_log::AppendError;
use portcullis_reason::{Reason, Rejection};

use super::{
    State, World,
    talk::{Pump, Talk},
    work::{Command, Handed, Then},
};
use crate::{Outbox, shared::Shared};

/// Commands of a user that wait, beside messages, which are bounded by the user's runs. A connection's requests for more of
/// what it missed are not among them: there is one at most.
const WAITING: usize = 64;

impl World {
    /// Has a command done, after those before it.
    ///
    /// # Errors
    /// [`Reason::RateLimited`] where too many wait, and [`Reason::TooManyRuns`] for a message where those that wait are as
    /// many as the user may have runs.
    pub(crate) fn try_command(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        command: Command,
    ) -> Result<(), Rejection> {
        let mut state = self.state.lock();
        let talk = self.talk(&mut state, shared);
        let is_message = |command: &Command| matches!(command, Command::Message(_));
        let alike = |other: &&Command| is_message(other) == is_message(&command);
        let waiting = talk.commands.iter().filter(alike).count();
        if is_message(&command) {
            if waiting >= shared.options.runs_per_user {
                return Err(crate::share::too_many_runs());
            }
        } else if waiting >= WAITING {
            return Err(Rejection::new(Reason::RateLimited, "too many commands of the user wait")
                .with_hint("too much of what you sent before still waits; send less at a time")
                .with_retry_after(1));
        }
        self.push_command(talk, shared, command);
        Ok(())
    }

    pub(crate) fn command(self: &Arc<Self>, shared: &Arc<Shared>, command: Command) {
        let mut state = self.state.lock();
        let talk = self.talk(&mut state, shared);
        self.push_command(talk, shared, command);
    }

    fn push_command(self: &Arc<Self>, talk: &mut Talk, shared: &Arc<Shared>, command: Command) {
        talk.commands.push_back(command);
        self.wake(&mut talk.pump, shared);
    }

    /// Answers a ping, behind what was asked before it.
    pub(crate) fn ping(self: &Arc<Self>, shared: &Arc<Shared>, outbox: &Arc<Outbox>, wire: Wire, pong: Pong) {
        let waits =
            self.state.lock().talk.as_ref().is_some_and(|talk| talk.works || !talk.commands.is_empty());
        if waits {
            self.command(shared, Command::Pong { outbox: Arc::clone(outbox), wire, pong });
        } else {
            self.reply(shared, outbox, wire, pong.into());
        }
    }

    /// Sees to it that the pump looks.
    pub(super) fn wake(self: &Arc<Self>, pump: &mut Pump, shared: &Arc<Shared>) {
        match mem::replace(pump, Pump::Awake) {
            Pump::Idle => {
                let (world, router) = (Arc::clone(self), Arc::clone(shared));
                shared.tasks.spawn(async move {
                    // A fault of ours costs the user what was under way, and not their world.
                    if AssertUnwindSafe(world.pump(&router)).catch_unwind().await.is_err() {
                        world.pump_failed(&router);
                    }
                });
            }
            Pump::Awake => {}
            Pump::Asleep(waker) => waker.wake(),
        }
    }

    async fn pump(self: &Arc<Self>, shared: &Arc<Shared>) {
        let mut command: Option<BoxFuture<'_, ()>> = None;
        poll_fn(|context| {
            loop {
                let settled = {
                    let state = &mut *self.state.lock();
                    let settled = self.settle(state, shared, context);
                    let talk = state.talk.as_mut().expect("a conversation stays while it has a pump");
                    if command.is_none() {
                        command = talk.commands.pop_front().map(|next| self.work(shared, next).boxed());
                    }
                    talk.works = command.is_some();
                    if talk.handed.is_empty() && command.is_none() {
                        talk.pump = Pump::Idle;
                        return Poll::Ready(());
                    }
                    // Before the command goes on: whoever has something new from here on has it looked at.
                    talk.pump = Pump::Asleep(context.waker().clone());
                    settled
                };
                let done = command.as_mut().is_some_and(|command| command.poll_unpin(context).is_ready());
                if done {
                    command = None;
                }
                if !settled && !done {
                    return Poll::Pending;
                }
            }
        })
        .await;
    }

    /// Begins anew with what the record has, as if that had been lost.
    fn pump_failed(self: &Arc<Self>, shared: &Arc<Shared>) {
        let state = &mut *self.state.lock();
        if let Some(talk) = &mut state.talk {
            talk.pump = Pump::Idle;
            talk.commands.clear();
        }
        self.lose(state, shared, None, &AppendError::Fenced);
    }

    /// Does what hangs on the commits that are known, in their order. Says whether there were some.
    fn settle(self: &Arc<Self>, state: &mut State, shared: &Arc<Shared>, context: &mut Context<'_>) -> bool {
        let mut any = false;
        while let Some(talk) = &mut state.talk
            && let Some(front) = talk.handed.front_mut()
            && let Poll::Ready(outcome) = front.commit.poll_unpin(context)
        {
            any = true;
            if let Some(Handed { then, .. }) = talk.handed.pop_front() {
                self.settled(state, shared, then, outcome);
            }
        }
        any
    }

    /// Does what hangs on a commit: what the record has is told, and with a refusal all that was to come is lost.
    pub(super) fn settled(
        self: &Arc<Self>,
        state: &mut State,
        shared: &Arc<Shared>,
        then: Then,
        outcome: Result<(), AppendError>,
    ) {
        if let Err(error) = outcome {
            return self.lose(state, shared, Some(then), &error);
        }
        match then {
            Then::Accepted { run, said, outbox, answer } => {
                self.accepted(state, shared, *run, said, &outbox, answer);
            }
            Then::Reopened(told) => drop(told.send(())),
            Then::Told { numbered, since, room } => {
                shared.observer.recorded(Ok(shared.clock.since(since)));
                self.deliver(state, shared, numbered);
                drop(room);
            }
            Then::Forgotten(thread_id) => state.forget(&thread_id),
        }
    }

    async fn work(self: &Arc<Self>, shared: &Arc<Shared>, command: Command) {
        match command {
            Command::Message(message) => self.message(shared, *message).await,
            Command::Resume { outbox, wire, points } => self.resume(shared, &outbox, wire, points).await,
            Command::CatchUp { outbox, wire } => self.catch_up(shared, &outbox, wire).await,
            Command::Pong { outbox, wire, pong } => self.reply(shared, &outbox, wire, pong.into()),
            Command::Forget { thread_id, told } => drop(told.send(self.forget(shared, thread_id).await)),
            Command::Open { told } => {
                let opened = self.open(shared).await;
                // Nobody asked where it is opened for what was left open in it.
                told.map(|told| told.send(opened));
            }
        }
    }
}
