//! A reconnect storm: all connections are lost at once, and everybody comes back.

use std::{
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use rand::RngExt as _;
use serde::Serialize;
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Credentials, Dialer, Failures, Latencies,
    clock::now,
    connection::Connection,
    engine::{Pace, Progress, Run, Surroundings},
    figures::{Counted, counted, milliseconds},
    hold::Opening,
    recorder::Recording,
};

/// How a storm is made, and how clients come back.
#[derive(Clone, Debug)]
pub struct StormOptions {
    /// What restarts the server, for a shell; without it an operator does.
    pub restart: Option<String>,
    /// How long to wait for the first loss, and from there for the last client.
    pub patience: Duration,
    /// The longest pause before the first attempt to come back; it doubles with each further one.
    pub backoff: Duration,
    /// The longest pause of all.
    pub most_backoff: Duration,
}

/// What a storm showed.
#[derive(Clone, Debug, Serialize)]
pub struct Storm {
    /// Connections that were there before it.
    pub connections: usize,
    /// Those that were lost.
    pub lost: usize,
    /// Those that came back.
    pub back: usize,
    /// How they were lost.
    pub losses: Vec<Counted>,
    /// Attempts to come back, good and failed ones.
    pub attempts: u64,
    /// From the command until the first loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_loss_ms: Option<f64>,
    /// From the first loss until the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_lost_ms: Option<f64>,
    /// From the first loss until the last client was back; none where one stayed away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_back_ms: Option<f64>,
    /// How many were back at the end of each slot since the first loss.
    pub returned: Vec<u64>,
    /// The length of a slot.
    pub slot_s: f64,
    /// Which exit code the command had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_exit_code: Option<i32>,
}

/// What all clients of a storm tell.
#[derive(Default)]
struct Ledger {
    losses: Failures,
    lost: Vec<Instant>,
    back: Vec<Instant>,
    /// From each client's loss until it was back.
    outages: Latencies,
    /// The handshakes that succeeded, each by itself.
    handshakes: Latencies,
    failed: Failures,
    attempts: u64,
}

struct Crowd {
    dialer: Arc<Dialer>,
    credentials: Credentials,
    options: StormOptions,
    ledger: Mutex<Ledger>,
    /// Told whenever the ledger has changed.
    changed: watch::Sender<u64>,
    /// Ends everybody.
    over: CancellationToken,
}

/// Opens `count` connections, waits until they are lost, and until everybody is back.
///
/// # Errors
/// If no connection came about, the command cannot be started or fails, or nothing was lost in time.
pub(crate) async fn storm(
    dialer: Arc<Dialer>,
    credentials: Credentials,
    count: usize,
    pace: Pace,
    options: StormOptions,
    around: &Surroundings,
    ready: impl FnOnce(usize),
) -> anyhow::Result<(Run, Storm)> {
    let opening = Opening::new(Arc::clone(&dialer), credentials.clone());
    let (mut run, connections) = opening.open(count, pace, around).await;
    let opened = connections.len();
    if opened == 0 {
        let failures = run.recording.failures.kinds();
        let first = failures.first().map_or_else(String::new, |(kind, _)| kind.to_string());
        anyhow::bail!("no connection came about, so none can be lost: {first}");
    }
    let crowd = Arc::new(Crowd {
        dialer,
        credentials,
        options,
        ledger: Mutex::default(),
        changed: watch::Sender::new(0),
        over: around.stop.child_token(),
    });
    let tracker = TaskTracker::new();
    for (number, connection) in connections {
        tracker.spawn(client(Arc::clone(&crowd), number, connection));
    }
    ready(opened);
    let triggered = now();
    let restart = restart(&crowd.options).await?;
    crowd.settle(opened, triggered, around).await?;
    crowd.over.cancel();
    tracker.close();
    tracker.wait().await;

    let ledger = std::mem::take(&mut *crowd.ledger());
    let first = ledger.lost.iter().min().copied();
    let since = |moment: &Instant| first.map(|first| milliseconds(*moment - first));
    let everybody = ledger.back.len() == ledger.lost.len();
    let last_back = ledger.back.iter().max().filter(|_| everybody);
    let (slot, returned) = returns(first, &ledger.back);
    let storm = Storm {
        connections: opened,
        lost: ledger.lost.len(),
        back: ledger.back.len(),
        losses: counted(&ledger.losses),
        attempts: ledger.attempts,
        first_loss_ms: first
            .filter(|_| crowd.options.restart.is_some())
            .map(|first| milliseconds(first - triggered)),
        all_lost_ms: ledger.lost.iter().max().and_then(since),
        all_back_ms: last_back.and_then(since),
        returned,
        slot_s: slot.as_secs_f64(),
        restart_exit_code: restart,
    };
    // What was measured is the coming back; the opening before it was preparation.
    run.measured = first.map_or(Duration::ZERO, |first| {
        ledger.back.iter().max().map_or(Duration::ZERO, |last| *last - first)
    });
    run.recording = Recording {
        steps: vec![(OUTAGE, ledger.outages), (ATTEMPT, ledger.handshakes)],
        succeeded: ledger.back.len() as u64,
        failures: ledger.failed,
        lag: run.recording.lag,
        ..Recording::default()
    };
    Ok((run, storm))
}

impl Crowd {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, act: impl FnOnce(&mut Ledger)) {
        act(&mut self.ledger());
        self.changed.send_modify(|version| *version += 1);
    }

    /// Waits until everybody was lost and is back, or those who were lost are and nobody else is for a while.
    async fn settle(&self, opened: usize, triggered: Instant, around: &Surroundings) -> anyhow::Result<()> {
        let mut changed = self.changed.subscribe();
        loop {
            let (lost, back, first, latest, failed, p99) = {
                let ledger = self.ledger();
                let (first, latest) = (ledger.lost.iter().min().copied(), ledger.lost.iter().max().copied());
                let p99 = ledger.outages.quantile(0.99);
                (ledger.lost.len(), ledger.back.len(), first, latest, ledger.failed.total(), p99)
            };
            let deadline = first.unwrap_or(triggered) + self.options.patience;
            let quiet = latest.filter(|_| lost == back && lost > 0).map(|latest| latest + QUIET);
            let now = now();
            if around.stop.is_cancelled()
                || (lost >= opened && back >= lost)
                || quiet.is_some_and(|quiet| quiet <= now)
                || (lost > 0 && deadline <= now)
            {
                return Ok(());
            }
            anyhow::ensure!(
                deadline > now,
                "no connection was lost within {:?}: restart the server in that time, give the command by \
                 --restart-command, or wait longer with --storm-timeout",
                self.options.patience
            );
            if let Some(progress) = &around.progress {
                progress(&Progress {
                    elapsed: now - first.unwrap_or(triggered),
                    total: self.options.patience,
                    warming_up: false,
                    succeeded: back as u64,
                    failed,
                    under_way: (lost - back) as u64,
                    p99,
                });
            }
            let until = quiet.map_or(deadline, |quiet| quiet.min(deadline)).min(now + TICK);
            tokio::select! {
                _ = changed.changed() => {}
                () = sleep_until(until) => {}
                () = around.stop.cancelled() => {}
            }
        }
    }
}

/// One client: waits until its connection is lost, and comes back.
async fn client(crowd: Arc<Crowd>, number: u64, mut connection: Connection) {
    // What a server that is about to stop asks for.
    let mut told = None;
    let loss = loop {
        tokio::select! {
            () = crowd.over.cancelled() => return connection.close().await,
            message = connection.next_text() => match message {
                Ok(text) => told = reconnect_after(&text).or(told),
                Err(failure) => break failure,
            },
        }
    };
    connection.abandon();
    let left = now();
    crowd.note(|ledger| {
        ledger.losses.add(&loss);
        ledger.lost.push(left);
    });
    let mut most = crowd.options.backoff;
    loop {
        // Full jitter, so that a crowd does not come in waves; what the server asked for comes first.
        let pause = told.take().unwrap_or_else(|| most.mul_f64(rand::rng().random::<f64>()));
        most = (most * 2).min(crowd.options.most_backoff);
        tokio::select! {
            () = crowd.over.cancelled() => return,
            () = sleep(pause) => {}
        }
        let began = now();
        let presented = crowd.credentials.good(number);
        let attempt = tokio::select! {
            () = crowd.over.cancelled() => return,
            attempt = crowd.dialer.open(number, &presented) => attempt,
        };
        match attempt {
            Ok((mut again, opened)) => {
                crowd.note(|ledger| {
                    ledger.attempts += 1;
                    ledger.handshakes.record(opened.upgraded - began);
                    ledger.outages.record(opened.upgraded - left);
                    ledger.back.push(opened.upgraded);
                });
                // Stays, as a client does, so that the server carries them all.
                loop {
                    tokio::select! {
                        () = crowd.over.cancelled() => return again.close().await,
                        message = again.next() => if message.is_err() { return again.abandon(); },
                    }
                }
            }
            Err(failure) => crowd.note(|ledger| {
                ledger.attempts += 1;
                ledger.failed.add(&failure);
            }),
        }
    }
}

/// What `draining` of wire protocol v1 asks for.
fn reconnect_after(text: &str) -> Option<Duration> {
    let message: Value = serde_json::from_str(text).ok()?;
    (message["type"] == "draining")
        .then(|| message["payload"]["reconnect_after_ms"].as_u64().map(Duration::from_millis))?
}

/// Runs the command that restarts the server, and gives its exit code. A command that starts a server in the
/// foreground never ends, and is left alone then.
async fn restart(options: &StormOptions) -> anyhow::Result<Option<i32>> {
    let Some(command) = &options.restart else { return Ok(None) };
    let mut child = tokio::process::Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("cannot start the command of --restart-command")?;
    let Ok(status) = timeout(options.patience, child.wait()).await else { return Ok(None) };
    let status = status.context("the command of --restart-command was lost")?;
    anyhow::ensure!(status.success(), "the command of --restart-command failed: {status}");
    Ok(status.code())
}

/// How many were back at the end of each slot.
fn returns(first: Option<Instant>, back: &[Instant]) -> (Duration, Vec<u64>) {
    let Some(first) = first else { return (SHORTEST_SLOT, Vec::new()) };
    let length = back.iter().max().map_or(Duration::ZERO, |last| *last - first);
    let slot = (length / SLOTS).max(SHORTEST_SLOT);
    let mut returned = vec![0; (length.as_nanos() / slot.as_nanos()) as usize + 1];
    for moment in back {
        let at = ((*moment - first).as_nanos() / slot.as_nanos()) as usize;
        returned[at] += 1;
    }
    let mut sum = 0;
    for count in &mut returned {
        sum += *count;
        *count = sum;
    }
    (slot, returned)
}

/// From a client's loss until it was back.
const OUTAGE: &str = "outage";
/// The handshake of the attempt that succeeded.
const ATTEMPT: &str = "handshake";

/// A drain may take its time from one connection to the next, but not that long.
const QUIET: Duration = Duration::from_secs(5);

const TICK: Duration = Duration::from_millis(500);

const SLOTS: u32 = 120;
const SHORTEST_SLOT: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_drains_is_heard() {
        let draining = r#"{"type":"draining","payload":{"reconnect_after_ms":4200}}"#;
        assert_eq!(reconnect_after(draining), Some(Duration::from_millis(4200)));
        for other in [r#"{"type":"pong"}"#, "draining", r#"{"type":"draining","payload":{}}"#] {
            assert_eq!(reconnect_after(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn returns_are_summed_up() {
        let first = now();
        let back: Vec<Instant> = [0, 5, 25, 25].map(|millis| first + Duration::from_millis(millis)).to_vec();
        assert_eq!(returns(Some(first), &back), (SHORTEST_SLOT, vec![2, 2, 4]));
        assert_eq!(returns(None, &[]).1, Vec::<u64>::new());
        assert_eq!(returns(Some(first), &[]).1, [0]);
    }
}
