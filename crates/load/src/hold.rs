//! Connections that are opened and held.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tokio::{
    sync::mpsc,
    time::{sleep, sleep_until},
};
use tokio_util::task::TaskTracker;

use crate::{
    Credentials, Dialer, Failure, Failures,
    clock::now,
    connection::Connection,
    engine::{Pace, Run, Span, Surroundings, Work, run},
    handshakes::ACCEPTED,
    process::{Memory, memory},
    recorder::Marks,
};

/// What holding them showed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Held {
    /// Connections that were asked for.
    pub asked: usize,
    /// Those that came about.
    pub opened: usize,
    /// Those that were still there at the end.
    pub kept: usize,
    /// How long they were held.
    pub held_s: f64,
    /// Memory of the server's process, where it was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<HeldMemory>,
}

/// Memory of the server's process before and while the connections are held.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct HeldMemory {
    /// Resident bytes before the first connection.
    pub before_resident: u64,
    /// The least resident bytes that were seen while they were held.
    pub held_resident: u64,
    /// Private dirty bytes before.
    pub before_dirty: u64,
    /// The least private dirty bytes while they were held.
    pub held_dirty: u64,
    /// Resident bytes for each connection.
    pub resident_per_connection: f64,
    /// Private dirty bytes for each connection.
    pub dirty_per_connection: f64,
}

impl HeldMemory {
    /// How much resident memory grew by, in bytes.
    pub const fn growth(&self) -> u64 {
        self.held_resident.saturating_sub(self.before_resident)
    }

    /// Whether the growth says something of the connections: an allocator takes memory from the system in pieces, and below
    /// a mebibyte of growth it is those that are seen.
    pub const fn tells(&self) -> bool {
        self.growth() >= 1 << 20
    }
}

/// Opens connections and keeps them.
pub(crate) struct Opening {
    dialer: Arc<Dialer>,
    credentials: Credentials,
    kept: Mutex<Vec<(u64, Connection)>>,
}

impl Opening {
    pub(crate) fn new(dialer: Arc<Dialer>, credentials: Credentials) -> Arc<Self> {
        Arc::new(Self { dialer, credentials, kept: Mutex::new(Vec::new()) })
    }

    /// Opens `count`, each tried once.
    pub(crate) async fn open(
        self: &Arc<Self>,
        count: usize,
        pace: Pace,
        around: &Surroundings,
    ) -> (Run, Vec<(u64, Connection)>) {
        let span = Span {
            warm_up: Duration::ZERO,
            length: LONGEST_OPENING,
            most: count as u64,
            places: count,
            patience: self.dialer.patience(),
        };
        let run = run(self, pace, span, around).await;
        let kept = std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        (run, kept)
    }
}

impl Work for Opening {
    fn steps(&self) -> &'static [&'static str] {
        &[ACCEPTED]
    }

    async fn operate(&self, number: u64) -> Result<Marks, Failure> {
        let (connection, opened) = self.dialer.open(number, &self.credentials.good(number)).await?;
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push((number, connection));
        Ok(vec![(ACCEPTED, opened.upgraded)])
    }
}

/// Opens `count` connections, holds them for `length`, and reads the memory of the server's process meanwhile.
///
/// # Errors
/// If its memory cannot be read.
pub(crate) async fn hold(
    dialer: Arc<Dialer>,
    credentials: Credentials,
    count: usize,
    pace: Pace,
    length: Duration,
    around: &Surroundings,
) -> anyhow::Result<(Run, Held)> {
    let read = || around.pid.map(memory).transpose();
    if around.pid.is_some() {
        // What a server makes once, for its first connections, is there before counting begins.
        let opening = Opening::new(Arc::clone(&dialer), credentials.clone());
        let quiet = Surroundings { progress: None, ..around.clone() };
        let (_, connections) = opening.open(count.min(FIRST), Pace::Closed { workers: 10 }, &quiet).await;
        Connection::close_all(connections.into_iter().map(|(_, connection)| connection)).await;
        tokio::select! {
            () = sleep(REST) => {}
            () = around.stop.cancelled() => {}
        }
    }
    let before = read()?;
    let (mut run, connections) = Opening::new(dialer, credentials).open(count, pace, around).await;
    let opened = connections.len();
    let (lost, mut losses) = mpsc::unbounded_channel();
    let tracker = TaskTracker::new();
    for (_, connection) in connections {
        tracker.spawn(keep(connection, around.stop.child_token(), lost.clone()));
    }
    let end = around.stop.child_token();
    let began = now();
    let mut least: Option<Memory> = None;
    let mut failures = Failures::default();
    let mut next = began;
    while now().duration_since(began) < length && !around.stop.is_cancelled() {
        if let Some(now) = read()? {
            let least = least.get_or_insert(now);
            *least = Memory { resident: least.resident.min(now.resident), dirty: least.dirty.min(now.dirty) };
        }
        next += LOOK.min(length);
        tokio::select! {
            () = sleep_until(next.min(began + length)) => {}
            () = end.cancelled() => {}
        }
    }
    // A look at the end, so that the shortest hold has one too.
    if let (Some(least), Some(now)) = (&mut least, read()?) {
        least.resident = least.resident.min(now.resident);
        least.dirty = least.dirty.min(now.dirty);
    }
    let held = now().duration_since(began);
    let mut gone = 0;
    while let Ok(failure) = losses.try_recv() {
        gone += 1;
        failures.add(&failure);
    }
    run.recording.failures.merge(&failures);
    // From here on ends are ours.
    drop(losses);
    tracker.close();
    let each = |held: u64, before: u64| (held as f64 - before as f64) / opened.max(1) as f64;
    let memory = before.zip(least).map(|(before, held)| HeldMemory {
        before_resident: before.resident,
        held_resident: held.resident,
        before_dirty: before.dirty,
        held_dirty: held.dirty,
        resident_per_connection: each(held.resident, before.resident),
        dirty_per_connection: each(held.dirty, before.dirty),
    });
    tracker.wait().await;
    let kept = opened - gone;
    Ok((run, Held { asked: count, opened, kept, held_s: held.as_secs_f64(), memory }))
}

/// Reads what comes until the connection is lost, or nobody wants to hear of losses any more.
async fn keep(
    mut connection: Connection,
    stop: tokio_util::sync::CancellationToken,
    lost: mpsc::UnboundedSender<Failure>,
) {
    loop {
        tokio::select! {
            biased;
            () = lost.closed() => break,
            () = stop.cancelled() => break,
            message = connection.next() => {
                if let Err(failure) = message {
                    // Nobody may be there to hear it.
                    let _ = lost.send(failure);
                    return connection.abandon();
                }
            }
        }
    }
    connection.close().await;
}

/// Connections that come and go before memory is looked at.
const FIRST: usize = 100;

/// Time for the server's allocator to give back what those needed.
const REST: Duration = Duration::from_secs(2);

/// How often memory is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Each connection is tried once, within the patience of the dialer; this is a bound on all of them.
const LONGEST_OPENING: Duration = Duration::from_hours(1);
