//! The worlds of all users.

use std::{
    collections::HashMap,
    future::ready,
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use portcullis_log::{self as log, EventLog};
use portcullis_reason::{Reason, Rejection};
use portcullis_token::Identity;
use portcullis_units::Clock;
use tokio_util::{either::Either, sync::CancellationToken, task::TaskTracker};

use crate::{
    Agents, Answer, Home, Homes, Observer, Options, Seat,
    shared::Shared,
    world::{Taken, World, owner},
};

/// Routes messages of verified users. Clones are handles of the same router.
#[derive(Clone)]
pub struct Router {
    pub(crate) shared: Arc<Shared>,
    worlds: Arc<Worlds>,
}

#[derive(Default)]
struct Worlds {
    by_user: Mutex<HashMap<User, Arc<World>>>,
    /// The worlds of users with runs from before the start, until they come.
    unclaimed: Mutex<HashMap<log::Owner, Arc<World>>>,
}

/// An identity as a key: subject and issuer, so that two issuers' users of one name are two users.
struct User(Identity);

impl PartialEq for User {
    fn eq(&self, other: &Self) -> bool {
        self.0.same_subject(&other.0)
    }
}

impl Eq for User {}

impl Hash for User {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.subject().hash(state);
        self.0.issuer().hash(state);
    }
}

/// What became of the runs that the last process left open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Those that are run again, or for the first time where they had not begun.
    pub repeated: usize,
    /// Those that ended with `agent_failed`.
    pub ended: usize,
}

impl Router {
    /// A router without users. `node` names this process in connection ids; `clock` tells the time of events.
    pub fn new(
        options: Options,
        agents: Agents,
        observer: Arc<dyn Observer>,
        log: Arc<dyn EventLog>,
        homes: Arc<dyn Homes>,
        node: Arc<str>,
        clock: Clock,
    ) -> Self {
        let shared = Shared {
            options,
            agents,
            observer,
            log,
            homes,
            clock,
            node,
            runs: AtomicUsize::new(0),
            connections: AtomicU64::new(0),
            controls: AtomicU64::new(0),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        Self { shared: Arc::new(shared), worlds: Arc::default() }
    }

    /// Reserves a place for one more connection of this user where their world is; dropping the seat gives it back.
    ///
    /// # Errors
    /// [`Reason::TooManyConnections`] when the user has `most` connections already, and what [`Homes`] refuses for.
    pub fn admit(&self, identity: Identity, most: u32) -> Answer<Seat> {
        match self.shared.homes.home(&identity) {
            Either::Left(known) => Either::Left(ready(self.settle(known.into_inner(), identity, most))),
            Either::Right(asked) => {
                let router = self.clone();
                Either::Right(async move { router.settle(asked.await, identity, most) }.boxed())
            }
        }
    }

    fn settle(
        &self,
        home: Result<Home, Rejection>,
        identity: Identity,
        most: u32,
    ) -> Result<Seat, Rejection> {
        match home? {
            Home::Here => self.seat(identity, most),
        }
    }

    fn seat(&self, identity: Identity, most: u32) -> Result<Seat, Rejection> {
        let mut worlds = self.worlds.by_user.lock();
        let world = worlds.entry(User(identity.clone())).or_insert_with(|| {
            self.worlds.claim(&identity).unwrap_or_else(|| Arc::new(World::shared(identity.clone())))
        });
        let world = Arc::clone(world);
        if !world.take_seat(most) {
            return Err(Rejection::new(
                Reason::TooManyConnections,
                "the cap on connections of one user is reached",
            )
            .with_hint("you have too many connections open; close some tabs or devices")
            .with_retry_after(5));
        }
        Ok(Seat::new(self.clone(), identity, world))
    }

    /// Takes up every run that the last process left open: its open tools end, then it is put back in its thread, in the old
    /// order, or ended with `agent_failed`. Returns when the ends are recorded; to be called before connections are taken.
    ///
    /// # Errors
    /// [`Reason::NotReady`] if the record cannot be read or written.
    pub async fn recover(&self) -> Result<Recovered, Rejection> {
        let unreadable = |error: log::ReadError| Rejection::new(Reason::NotReady, error.to_string());
        let mut owners = self.shared.log.unfinished().await.map_err(unreadable)?;
        owners.sort_unstable();
        let mut recovered = Recovered::default();
        let mut ends = Vec::new();
        for owner in owners {
            let world = Arc::new(World::unclaimed(owner, self.shared.clock.instant()));
            self.worlds.unclaimed.lock().insert(owner, Arc::clone(&world));
            let Taken { repeated, ended, recorded } = world.open_by_pump(&self.shared).await?;
            recovered.repeated += repeated;
            recovered.ended += ended;
            ends.extend(recorded.map(|recorded| (world, recorded)));
        }
        for (world, recorded) in ends {
            world.ends_recorded(&recorded).await?;
        }
        Ok(recovered)
    }

    /// Forgets the worlds that have had neither socket nor run for the retention time. To be called now and then.
    pub fn sweep(&self) {
        let (now, retention) = (self.shared.clock.instant(), self.shared.options.retention);
        self.worlds.by_user.lock().retain(|_, world| !world.is_stale(now, retention));
        self.worlds.unclaimed.lock().retain(|_, world| !world.is_stale(now, retention));
    }

    /// Whether the record takes what is said.
    ///
    /// # Errors
    /// [`Reason::NotReady`] while it does not, with the cause.
    pub fn ready(&self) -> Result<(), Rejection> {
        self.shared.ready()
    }

    /// Whether what is recorded can be read and let go of, though there may be no room for more.
    ///
    /// # Errors
    /// [`Reason::NotReady`].
    pub fn serves(&self) -> Result<(), Rejection> {
        self.shared.serves()
    }

    /// Whether a user's runs are waiting or going on, those of `isolated` connections aside.
    pub fn is_busy(&self, identity: &Identity) -> bool {
        let world = self.worlds.by_user.lock().get(&User(identity.clone())).map(Arc::clone);
        world.is_some_and(|world| world.is_busy())
    }

    /// Runs that are waiting or going on.
    pub fn runs(&self) -> usize {
        self.shared.runs.load(Ordering::Relaxed)
    }

    /// Lets runs go on for `grace`, then cancels the rest; returns when each has reached its terminal event.
    pub async fn shutdown(&self, grace: Duration) {
        self.shared.tasks.close();
        if tokio::time::timeout(grace, self.shared.tasks.wait()).await.is_err() {
            self.shared.stop.cancel();
            self.shared.tasks.wait().await;
        }
    }

    pub(crate) fn leave(&self, identity: &Identity, world: &World) {
        let mut worlds = self.worlds.by_user.lock();
        if world.leave_seat(self.shared.clock.instant()) {
            // Nothing was ever said: nothing to come back to.
            worlds.remove(&User(identity.clone()));
        }
    }
}

impl Worlds {
    /// The world that a user has from before the start, taken over by them.
    fn claim(&self, identity: &Identity) -> Option<Arc<World>> {
        let mut unclaimed = self.unclaimed.lock();
        // Mostly there is none, and every handshake would pay for the hash.
        if unclaimed.is_empty() { None } else { unclaimed.remove(&owner(identity)) }
    }
}
