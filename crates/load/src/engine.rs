//! Repeats an operation at a pace, and measures it.
//!
//! With an open pace, operations are due at fixed moments whatever the server does, and their latency counts from the
//! moment at which they were due: an operation that had to wait because the server stood still is as late as a user of
//! it would have been. A closed pace begins the next operation when the last one has ended, so a server that stands
//! still is asked less.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::Semaphore,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Failure,
    clock::now,
    process::cpu_time,
    recorder::{Marks, Recorder, Recording},
};

/// When operations begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// So many a second, evenly spaced, whatever becomes of those before.
    Open {
        /// Operations a second.
        rate: f64,
    },
    /// So many at a time, each beginning when one has ended.
    Closed {
        /// How many are under way.
        workers: usize,
    },
}

/// How long it is repeated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// Not measured.
    pub(crate) warm_up: Duration,
    /// Measured.
    pub(crate) length: Duration,
    /// The most operations in all.
    pub(crate) most: u64,
    /// The most operations under way.
    pub(crate) places: usize,
    /// How long an operation that is due may wait for its place beyond the end.
    pub(crate) patience: Duration,
}

/// One thing that a client does, over and over.
pub(crate) trait Work: Send + Sync + 'static {
    /// The steps that its operations can have, the main one first.
    fn steps(&self) -> &'static [&'static str];

    /// Does it once, for the time number `number`.
    fn operate(&self, number: u64) -> impl Future<Output = Result<Marks, Failure>> + Send;
}

/// What was measured, and what it cost.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) recording: Recording,
    pub(crate) slot: Duration,
    /// How long was measured, until the last operation that counts had ended.
    pub(crate) measured: Duration,
    pub(crate) cost: Cost,
}

/// CPU time that was used while measuring.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// For how long it was watched.
    pub(crate) wall: Duration,
    /// Of the generator's own process, where the system tells.
    pub(crate) own: Option<Duration>,
    /// Of the server's process, where it was named.
    pub(crate) server: Option<Duration>,
}

/// What a run needs to know of its surroundings.
#[derive(Clone)]
pub(crate) struct Surroundings {
    /// Ends everything early; what was measured so far counts.
    pub(crate) stop: CancellationToken,
    /// Hears how far it is.
    pub(crate) progress: Option<Listener>,
    /// The server's process.
    pub(crate) pid: Option<u32>,
}

/// Hears how far a run is.
pub(crate) type Listener = Arc<dyn Fn(&Progress) + Send + Sync>;

/// How far a run is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Since its beginning, warm-up included.
    pub elapsed: Duration,
    /// As long as it shall last, warm-up included.
    pub total: Duration,
    /// Whether it still warms up.
    pub warming_up: bool,
    /// Operations that have succeeded.
    pub succeeded: u64,
    /// Operations that have failed.
    pub failed: u64,
    /// Operations under way.
    pub under_way: u64,
    /// The 99th percentile of the main latency so far.
    pub p99: Option<Duration>,
}

/// Repeats `work` at `pace`.
pub(crate) async fn run<W: Work>(work: &Arc<W>, pace: Pace, span: Span, around: &Surroundings) -> Run {
    // Far enough ahead for everything to be in place.
    let first = now() + LEAD;
    let begin = first + span.warm_up;
    let slot = (span.length / SLOTS).max(SHORTEST_SLOT);
    let recorder = Arc::new(Recorder::new(begin, slot, work.steps()));
    let tracker = TaskTracker::new();
    let done = CancellationToken::new();
    let meter = tracker.spawn(measure(begin, begin + span.length, around.clone(), done.clone()));
    tracker.spawn(watch(Arc::clone(&recorder), first, span, around.clone(), done.clone()));
    match pace {
        Pace::Open { rate } => open(work, rate, first, span, &recorder, around).await,
        Pace::Closed { workers } => {
            tracker.spawn(pulse(Arc::clone(&recorder), done.clone()));
            closed(work, workers, first, span, &recorder, around).await;
        }
    }
    done.cancel();
    tracker.close();
    tracker.wait().await;
    let recording = recorder.snapshot();
    let measured = if span.most < u64::MAX {
        recording.last
    } else if around.stop.is_cancelled() {
        recording.last.max(now().saturating_duration_since(begin).min(span.length))
    } else {
        // The last operation that was due has its share of time behind it, too.
        recording.last.max(span.length)
    };
    Run { recording, slot, measured, cost: meter.await.unwrap_or_default() }
}

async fn open<W: Work>(
    work: &Arc<W>,
    rate: f64,
    first: Instant,
    span: Span,
    recorder: &Arc<Recorder>,
    around: &Surroundings,
) {
    let tasks = TaskTracker::new();
    let places = Arc::new(Semaphore::new(span.places));
    // Ends what waits for a place, and what is under way.
    let (cut, abort) = (CancellationToken::new(), CancellationToken::new());
    let end = first + span.warm_up + span.length;
    let pacer = {
        let (work, recorder, stop) = (Arc::clone(work), Arc::clone(recorder), around.stop.clone());
        let (tasks, places, cut, abort) = (tasks.clone(), places, cut.clone(), abort.clone());
        let handle = Handle::current();
        // A thread of its own: the runtime's timers are right to a millisecond only.
        tokio::task::spawn_blocking(move || {
            for number in 0..span.most {
                let due = first + Duration::from_secs_f64(number as f64 / rate);
                if due >= end || !wait_until(due, &stop) {
                    break;
                }
                if tasks.len() >= span.places + MOST_WAITING {
                    recorder.unstarted(due);
                    continue;
                }
                let (work, recorder, places) =
                    (Arc::clone(&work), Arc::clone(&recorder), Arc::clone(&places));
                let (cut, abort) = (cut.clone(), abort.clone());
                let operation = async move {
                    recorder.lagged(due, now().saturating_duration_since(due));
                    let place = if let Ok(place) = places.try_acquire() {
                        place
                    } else {
                        recorder.queued(due);
                        tokio::select! {
                            place = places.acquire() => place.expect("it is never closed"),
                            () = cut.cancelled() => return recorder.unstarted(due),
                        }
                    };
                    let under_way = recorder.enter();
                    tokio::select! {
                        outcome = work.operate(number) => recorder.ended(due, &outcome),
                        () = abort.cancelled() => {}
                    }
                    drop((under_way, place));
                };
                tasks.spawn_on(operation, &handle);
            }
        })
    };
    // It does not panic; if it did, nothing more would be due.
    let _ = pacer.await;
    tasks.close();
    let whole = async {
        if timeout_at(end + span.patience, tasks.wait()).await.is_err() {
            cut.cancel();
            tasks.wait().await;
        }
    };
    tokio::select! {
        () = whole => {}
        () = around.stop.cancelled() => {
            cut.cancel();
            let _ = timeout(GRACE, tasks.wait()).await;
            abort.cancel();
            tasks.wait().await;
        }
    }
}

async fn closed<W: Work>(
    work: &Arc<W>,
    workers: usize,
    first: Instant,
    span: Span,
    recorder: &Arc<Recorder>,
    around: &Surroundings,
) {
    sleep_until(first).await;
    let end = first + span.warm_up + span.length;
    let next = Arc::new(AtomicU64::new(0));
    let tasks = TaskTracker::new();
    for _ in 0..workers.min(span.places) {
        let (work, recorder, next) = (Arc::clone(work), Arc::clone(recorder), Arc::clone(&next));
        let stop = around.stop.clone();
        tasks.spawn(async move {
            while now() < end && !stop.is_cancelled() {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= span.most {
                    break;
                }
                let began = now();
                let _under_way = recorder.enter();
                let outcome = work.operate(number).await;
                recorder.ended(began, &outcome);
                if outcome.is_err() {
                    // What fails at once would be tried thousands of times a second, by nobody's wish.
                    sleep(AFTER_FAILURE).await;
                }
            }
        });
    }
    tasks.close();
    let stopped = async {
        around.stop.cancelled().await;
        sleep(GRACE).await;
    };
    tokio::select! {
        () = tasks.wait() => {}
        // What is under way is left behind, and not counted.
        () = stopped => {}
    }
}

/// Waits to the microsecond, as far as the system can; false if it shall stop.
fn wait_until(due: Instant, stop: &CancellationToken) -> bool {
    loop {
        if stop.is_cancelled() {
            return false;
        }
        let rest = due.saturating_duration_since(now());
        if rest.is_zero() {
            return true;
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "the moment at which an operation is due is the event"
        )]
        std::thread::sleep(rest.min(NAP));
    }
}

/// Tells how late the runtime's timers are: with a closed pace nothing else does.
async fn pulse(recorder: Arc<Recorder>, done: CancellationToken) {
    while !done.is_cancelled() {
        let due = now() + PULSE;
        sleep_until(due).await;
        recorder.lagged(due, now().saturating_duration_since(due));
    }
}

/// Reads CPU times at the beginning and at the end of what is measured.
async fn measure(begin: Instant, end: Instant, around: Surroundings, done: CancellationToken) -> Cost {
    let read = || (now(), cpu_time(std::process::id()).ok(), around.pid.and_then(|pid| cpu_time(pid).ok()));
    let until = async |moment| {
        tokio::select! {
            () = sleep_until(moment) => {}
            () = around.stop.cancelled() => {}
            () = done.cancelled() => {}
        }
    };
    until(begin).await;
    let (from, own, server) = read();
    until(end).await;
    let (to, own_then, server_then) = read();
    let spent = |now: Option<Duration>, before: Option<Duration>| Some(now?.saturating_sub(before?));
    Cost { wall: to - from, own: spent(own_then, own), server: spent(server_then, server) }
}

/// Tells how far it is, twice a second.
async fn watch(
    recorder: Arc<Recorder>,
    first: Instant,
    span: Span,
    around: Surroundings,
    done: CancellationToken,
) {
    let Some(progress) = &around.progress else { return };
    while timeout(TICK, done.cancelled()).await.is_err() {
        let recording = recorder.snapshot();
        progress(&Progress {
            elapsed: now().saturating_duration_since(first),
            total: span.warm_up + span.length,
            warming_up: now() < recorder.begin(),
            succeeded: recording.succeeded,
            failed: recording.failures.total(),
            under_way: recorder.under_way(),
            p99: recording.main().and_then(|latencies| latencies.quantile(0.99)),
        });
    }
}

/// Between the start of the machinery and the first operation.
const LEAD: Duration = Duration::from_millis(5);

/// The pacer looks this often whether it shall stop.
const NAP: Duration = Duration::from_millis(50);

const PULSE: Duration = Duration::from_millis(10);

const TICK: Duration = Duration::from_millis(500);

/// What operations under way have when everything is stopped early.
const GRACE: Duration = Duration::from_millis(500);

const AFTER_FAILURE: Duration = Duration::from_millis(10);

/// Points of a plot over time, and the shortest time of one.
const SLOTS: u32 = 120;
const SHORTEST_SLOT: Duration = Duration::from_millis(50);

/// Operations that may wait for a place: a bound on memory, beyond which they are counted and not begun.
const MOST_WAITING: usize = 100_000;
