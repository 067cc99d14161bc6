//! One user's world: sockets, threads and runs behind one lock, with no way to another world.
//!
//! What a client says is done in five steps, each in a file of its own:
//!
//! 1. `accept`: a message gets its thread and run, and is handed to the record with that;
//! 2. `queue`: once the record has it, its run gets a place in its thread, at once or behind others;
//! 3. `run` (beside this module) drives its agent;
//! 4. `record`: each thing that it tells gets its number and is handed to the record;
//! 5. `deliver`: once the record has it, it is queued for every socket.
//!
//! Steps 1, 3 and 4 hand over and go on. The world's `pump` awaits what becomes of it, in order, and does steps 2 and 5; it
//! does as well, one after the other, what has to ask the record first. Nobody waits for the record under the lock.

mod accept;
mod deliver;
mod history;
mod message;
mod open;
mod pump;
mod queue;
mod record;
mod resume;
mod sockets;
mod talk;
mod work;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use portcullis_event::{ResumePoint, Wire};
use portcullis_log::Owner;
use portcullis_token::Identity;

use self::{
    sockets::{Socket, Sockets},
    talk::Talk,
};
use crate::{Observer, Outbox, Share, Unheard, shared::Shared};

pub(crate) use self::{message::Message, open::Taken, record::Lost, resume::nothing, work::Command};

pub(crate) struct World {
    /// Whose it is; none where it was opened for what a crash left, before its user came.
    identity: Option<Identity>,
    /// Whether threads outlive their runs: false for a connection in the mode `isolated`.
    retains: bool,
    /// Whether the router's observer hears of what happens here.
    observed: bool,
    /// Places that connections have taken. They come and go under the lock of the map of worlds.
    seats: AtomicU32,
    state: Mutex<State>,
}

/// What stands behind a world's lock.
struct State {
    sockets: Sockets,
    /// Made when something is said or asked for: a connection that only listens holds none.
    talk: Option<Box<Talk>>,
    /// Made likewise.
    share: Option<Arc<Share>>,
}

impl World {
    /// A world for all connections of a user.
    pub(crate) fn shared(identity: Identity) -> Self {
        Self {
            identity: Some(identity),
            retains: true,
            observed: true,
            seats: AtomicU32::new(0),
            state: Mutex::new(State { sockets: Sockets::None, talk: None, share: None }),
        }
    }

    /// A world for one connection; it ends with it.
    pub(crate) fn isolated(identity: Identity, observed: bool) -> Self {
        Self { retains: false, observed, ..Self::shared(identity) }
    }

    /// The world of somebody who has not come yet.
    pub(crate) fn unclaimed(owner: Owner, now: Instant) -> Self {
        let talk = Some(Box::new(Talk::new(owner, now)));
        Self {
            identity: None,
            retains: true,
            observed: true,
            seats: AtomicU32::new(0),
            state: Mutex::new(State { sockets: Sockets::None, talk, share: None }),
        }
    }

    /// Who hears of what happens here.
    pub(crate) fn observer<'s>(&self, shared: &'s Shared) -> &'s dyn Observer {
        if self.observed { &*shared.observer } else { &Unheard }
    }

    /// The conversation, begun if there is none.
    fn talk<'a>(&self, state: &'a mut State, shared: &Shared) -> &'a mut Talk {
        state.talk.get_or_insert_with(|| {
            let identity =
                self.identity.as_ref().expect("a world without its user was made with a conversation");
            Box::new(Talk::new(owner(identity), shared.clock.instant()))
        })
    }

    /// What the user may use up, who has this world.
    pub(crate) fn share(&self) -> Arc<Share> {
        Arc::clone(self.state.lock().share.get_or_insert_default())
    }

    pub(crate) fn take_seat(&self, most: u32) -> bool {
        let free = |seats| (seats < most).then_some(seats + 1);
        self.seats.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).is_ok()
    }

    /// Gives a seat back, and says whether the world holds nothing any more.
    pub(crate) fn leave_seat(&self, now: Instant) -> bool {
        let last = self.seats.fetch_sub(1, Ordering::Relaxed) == 1;
        let mut state = self.state.lock();
        if let Some(talk) = &mut state.talk {
            talk.last_used = now;
        }
        last && state.talk.is_none()
    }

    pub(crate) fn is_stale(&self, now: Instant, retention: Duration) -> bool {
        let state = self.state.lock();
        let rests =
            |talk: &Talk| talk.is_at_rest() && now.saturating_duration_since(talk.last_used) >= retention;
        self.seats.load(Ordering::Relaxed) == 0 && state.talk.as_ref().is_none_or(|talk| rests(talk))
    }

    /// Whether runs are waiting or going on.
    pub(crate) fn is_busy(&self) -> bool {
        self.state.lock().talk.as_ref().is_some_and(|talk| !talk.runs.is_empty())
    }

    /// Whether a reader is slower than what is said.
    pub(crate) fn is_pressed(&self) -> bool {
        self.state.lock().sockets.as_slice().iter().any(|socket| socket.outbox.is_pressed())
    }

    /// Adds a socket. It hears of the threads that it resumes once it was told from where on.
    pub(crate) fn join(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        wire: Wire,
        outbox: &Arc<Outbox>,
        resume: Vec<ResumePoint>,
    ) {
        let mut state = self.state.lock();
        state.sockets.push(Socket { wire, outbox: Arc::clone(outbox) });
        if resume.is_empty() {
            return;
        }
        let talk = self.talk(&mut state, shared);
        talk.hold(outbox, &resume);
        drop(state);
        self.command(shared, Command::Resume { outbox: Arc::clone(outbox), wire, points: resume });
    }

    /// Takes a socket out. An isolated world's runs end with it.
    pub(crate) fn part(&self, outbox: &Arc<Outbox>) {
        let mut state = self.state.lock();
        state.sockets.remove(outbox);
        let Some(talk) = &mut state.talk else { return };
        talk.level(outbox);
        if !self.retains {
            for thread in talk.threads.values() {
                thread.active.iter().for_each(|run| run.cancel.cancel());
                thread.waiting.iter().for_each(|run| run.cancel.cancel());
            }
        }
    }
}

/// Whose things are, in the record.
pub(crate) fn owner(identity: &Identity) -> Owner {
    Owner::new(identity.issuer(), identity.subject())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_without_a_conversation_is_small() {
        assert!(
            size_of::<World>() <= 56,
            "with its counters a world is to fit 72 bytes: {}",
            size_of::<World>()
        );
    }
}
