//! What all worlds of a router share: its limits, its agents, its record, and who hears of what happens.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use portcullis_event::{Envelope, EventId, MessageType, ServerMessage, Timestamp, Wire};
use portcullis_log::EventLog;
use portcullis_reason::{Reason, Rejection};
use portcullis_units::{Clock, Rate};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Agents, Homes};

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
    /// Most threads of a user that are at hand in memory, and most threads of an `isolated` connection.
    pub threads_per_user: usize,
    /// How long a world without sockets and runs is kept.
    pub retention: Duration,
    /// How many KiB of the record a user may read, to catch up or by page.
    pub reads: Rate,
    /// Whether runs that a crash cut off are run again, where their agents allow it.
    pub repeat_runs: bool,
    /// Replaces what is a credential in a user's words, before they are written down for an agent that keeps them so
    /// ([`Keeps::Redacted`](portcullis_agent::Keeps)). Without it nothing of them is.
    pub redact: Option<fn(&str) -> String>,
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
    /// The record committed an event after so long, or refused something.
    fn recorded(&self, outcome: Result<Duration, ()>) {
        let _ = outcome;
    }
}

/// Hears nothing: for what nobody's figures shall include.
#[derive(Clone, Copy, Debug)]
pub struct Unheard;

impl Observer for Unheard {}

pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) agents: Agents,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) homes: Arc<dyn Homes>,
    pub(crate) clock: Clock,
    /// What the names of this process' connections begin with.
    pub(crate) node: Arc<str>,
    /// Runs that are waiting or going on.
    pub(crate) runs: AtomicUsize,
    pub(crate) connections: AtomicU64,
    /// Control messages so far.
    pub(crate) controls: AtomicU64,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl Shared {
    /// Whether the record takes what is said.
    pub(crate) fn ready(&self) -> Result<(), Rejection> {
        self.log.ready().map_err(|cause| not_ready(&cause))
    }

    /// Whether what is recorded can be read and let go of, though there may be no room for more.
    pub(crate) fn serves(&self) -> Result<(), Rejection> {
        self.log.serves().map_err(|cause| not_ready(&cause))
    }

    /// The frame of a message to one connection, outside every stream.
    pub(crate) fn control(&self, wire: Wire, message: ServerMessage) -> Bytes {
        let number = self.controls.fetch_add(1, Ordering::Relaxed);
        let id = EventId::numbered(&self.node, number).expect("a node's name and a number are an id");
        encode(&Envelope::control(id, Timestamp::now(&self.clock), message), wire)
    }

    /// The time of day by the clock of events, in milliseconds since 1970.
    pub(crate) fn unix_ms(&self) -> u64 {
        self.clock.unix_ms()
    }

    /// How long ago that was, by the clock of events.
    pub(crate) fn since(&self, at: u64) -> Duration {
        Duration::from_millis(self.unix_ms().saturating_sub(at))
    }
}

/// The text frame of a message, ready for any number of sockets.
pub(crate) fn encode(envelope: &Envelope, wire: Wire) -> Bytes {
    portcullis_frame::shared_text(512, |out| envelope.write(wire, out))
}

fn not_ready(cause: &str) -> Rejection {
    Rejection::new(Reason::NotReady, format!("the record takes nothing: {cause}")).with_retry_after(5)
}
