//! From a user's message to an agent's run to events on that user's sockets.
//!
//! Everything here hangs on an [`Identity`], which only a verifier makes: [`Router::admit`] turns it into a [`Seat`],
//! a seat and an [`Outbox`] into an [`Attachment`], and only an attachment can send a message or receive an event. A
//! connection that was not authenticated has nothing to route with, by the types.
//!
//! Each user has one *world*: their sockets, threads and runs behind one lock. Events get their sequence number, are
//! recorded and are queued for every socket under that lock, so that all sockets see the same order, and a world holds
//! no way to another one. A connection in the mode `isolated` is a world of its own.
//!
//! With an [`EventLog`] an event reaches a socket only once the log has acknowledged it, and an accepted message is told
//! only once it is recorded; [`Router::recover`] takes up what a crash left open. Without one the record is in memory, and
//! lasts as long as the process. Sockets, frames' details and clocks belong to the gateway.

mod agents;
mod attachment;
mod outbox;
mod recovery;
mod run;
mod thread;
mod turn;
mod world;

use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;
use portcullis_event::{Envelope, Format, MessageType, Timestamp};
use portcullis_log::EventLog;
use portcullis_reason::{Reason, Rejection};
use portcullis_token::Identity;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use agents::Agents;
pub use attachment::{Attachment, Seat};
pub use outbox::{Outbox, Outgoing};
pub use recovery::Recovered;

use world::World;

/// Limits of runs and of what is kept of them. Durations and sizes are hard bounds.
#[derive(Clone, Debug)]
pub struct Options {
    /// Runs of one user, waiting ones included.
    pub runs_per_user: usize,
    /// Runs of all users, waiting ones included.
    pub runs: usize,
    /// What becomes of a message on a thread whose run is still going.
    pub thread_policy: ThreadPolicy,
    /// Longest time of one run.
    pub run_timeout: Duration,
    /// Most steps of one run: thoughts and tools.
    pub run_steps: usize,
    /// Most bytes of events of one run.
    pub run_output_bytes: usize,
    /// Most events kept of a thread.
    pub retained_events: usize,
    /// Most bytes of events kept of a thread.
    pub retained_bytes: usize,
    /// Most threads kept of a user.
    pub threads_per_user: usize,
    /// How long a world without sockets and runs is kept.
    pub retention: Duration,
    /// Whether runs that a crash cut off are run again, where their agents allow it.
    pub repeat_runs: bool,
}

/// What becomes of a message on a thread whose run is still going.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThreadPolicy {
    /// It runs when the ones before it have ended.
    #[default]
    Queue,
    /// It is refused.
    Reject,
    /// The ones before it are cancelled, and it runs when that is done.
    Replace,
    /// It runs beside them.
    Parallel,
}

/// Hears what happens, for metrics. Every method returns at once, and does nothing unless told otherwise.
pub trait Observer: Send + Sync + 'static {
    /// A message was accepted and will run.
    fn accepted(&self) {}
    /// A message was refused.
    fn refused(&self, reason: Reason) {
        let _ = reason;
    }
    /// An event was queued for `receivers` sockets.
    fn event(&self, kind: MessageType, receivers: usize) {
        let _ = (kind, receivers);
    }
    /// A run that a crash cut off was put back in its thread.
    fn repeated(&self) {}
    /// A run reached its terminal event: none for an answer, else the failure's reason.
    fn run_ended(&self, failure: Option<Reason>, duration: Duration) {
        let _ = (failure, duration);
    }
    /// A piece of an answer was joined to the one before it, since a reader is slow.
    fn joined(&self) {}
    /// A socket's queue overflowed.
    fn overflow(&self) {}
    /// The log acknowledged an event after so long, or failed for good to record something.
    fn recorded(&self, outcome: Result<Duration, ()>) {
        let _ = outcome;
    }
}

/// Hears nothing: for what nobody's figures shall include.
#[derive(Clone, Copy, Debug)]
pub struct Unheard;

impl Observer for Unheard {}

/// Routes messages of verified users. Clones are handles of the same router.
#[derive(Clone)]
pub struct Router {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    agents: Agents,
    observer: Arc<dyn Observer>,
    log: Option<Arc<dyn EventLog>>,
    /// The log has failed: nothing new is taken.
    failed: AtomicBool,
    clock: fn() -> Timestamp,
    /// What the names of this process' connections begin with.
    node: Arc<str>,
    worlds: Mutex<HashMap<Owner, Arc<World>>>,
    /// The worlds of users with runs from before the start, until they come.
    restored: Mutex<HashMap<portcullis_log::Owner, Arc<World>>>,
    /// Runs that are waiting or going on.
    runs: AtomicUsize,
    connections: AtomicU64,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// An identity as a key: subject and issuer, so that two issuers' users of one name are two users.
struct Owner(Identity);

impl PartialEq for Owner {
    fn eq(&self, other: &Self) -> bool {
        self.0.same_subject(&other.0)
    }
}

impl Eq for Owner {}

impl Hash for Owner {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.subject().hash(state);
        self.0.issuer().hash(state);
    }
}

impl Router {
    /// A router without users. `node` names this process in connection ids; `clock` tells the time of events. Without a
    /// log, events are kept in memory.
    pub fn new(
        options: Options,
        agents: Agents,
        observer: Arc<dyn Observer>,
        log: Option<Arc<dyn EventLog>>,
        node: Arc<str>,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                options,
                agents,
                observer,
                log,
                failed: AtomicBool::new(false),
                clock,
                node,
                worlds: Mutex::default(),
                restored: Mutex::default(),
                runs: AtomicUsize::new(0),
                connections: AtomicU64::new(0),
                tasks: TaskTracker::new(),
                stop: CancellationToken::new(),
            }),
        }
    }

    /// Reserves a place for one more connection of this user; dropping the seat gives it back.
    ///
    /// # Errors
    /// [`Reason::TooManyConnections`] when the user has `most` connections already.
    pub fn admit(&self, identity: Identity, most: u32) -> Result<Seat, Rejection> {
        let mut worlds = self.shared.worlds.lock();
        let world = worlds
            .entry(Owner(identity.clone()))
            .or_insert_with(|| self.shared.restored(&identity).unwrap_or_else(|| Arc::new(World::shared())));
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

    /// Forgets the worlds that have had neither socket nor run for the retention time. To be called now and then.
    pub fn sweep(&self, now: Instant) {
        let retention = self.shared.options.retention;
        self.shared.worlds.lock().retain(|_, world| !world.is_stale(now, retention));
        self.shared.restored.lock().retain(|_, world| !world.is_stale(now, retention));
    }

    /// Whether the log takes what is said.
    ///
    /// # Errors
    /// [`Reason::NotReady`] once it has failed: nothing is accepted until a restart.
    pub fn ready(&self) -> Result<(), Rejection> {
        self.shared.ready()
    }

    /// Whether a user's runs are waiting or going on, those of `isolated` connections aside.
    pub fn is_busy(&self, identity: &Identity) -> bool {
        let world = self.shared.worlds.lock().get(&Owner(identity.clone())).map(Arc::clone);
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

    fn leave(&self, identity: &Identity, world: &World) {
        let mut worlds = self.shared.worlds.lock();
        if world.leave_seat(Instant::now()) {
            // Nothing was ever said: nothing to come back to.
            worlds.remove(&Owner(identity.clone()));
        }
    }
}

impl Shared {
    fn ready(&self) -> Result<(), Rejection> {
        if self.failed.load(Ordering::Relaxed) {
            return Err(Rejection::new(Reason::NotReady, "the event log has failed").with_retry_after(5));
        }
        Ok(())
    }

    /// The world that a user has from before the start, taken over by them.
    fn restored(&self, identity: &Identity) -> Option<Arc<World>> {
        let mut restored = self.restored.lock();
        // Mostly there is none, and every handshake would pay for the hash.
        if restored.is_empty() { None } else { restored.remove(&owner(identity)) }
    }

    /// Notes that something could not be recorded.
    fn fail(&self, error: &portcullis_log::Error) {
        self.observer.recorded(Err(()));
        if !self.failed.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "events cannot be recorded; nothing is accepted until a restart");
        }
    }
}

/// Whose things are, in the record.
fn owner(identity: &Identity) -> portcullis_log::Owner {
    portcullis_log::Owner::new(identity.issuer(), identity.subject())
}

/// The text frame of a message, ready for any number of sockets.
fn encode(envelope: &Envelope, format: Format) -> Bytes {
    portcullis_frame::shared_text(512, |out| envelope.write(format, out))
}
