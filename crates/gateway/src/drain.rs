//! How a server stops: everyone is told, and nobody comes back at the same moment.

use std::time::Duration;

use portcullis_reason::Reason;
use portcullis_router::Outbox;
use portcullis_token::Identity;
use tokio_util::task::TaskTracker;

use crate::gate::Gate;

/// Tells every client, then closes connections one by one while runs end: those of users who wait for an answer last.
/// `random` gives a number below its argument.
pub(crate) async fn end_all(gate: &Gate, connections: &TaskTracker, mut random: impl FnMut(u32) -> u32) {
    gate.door.drain();
    let mut left = gate.registry.all();
    tracing::info!(connections = left.len(), runs = gate.router.runs(), "draining");
    // Clients come back spread over a time that grows with their number: the spread must come from here, or a rollout
    // becomes a storm of reconnects.
    let count = u32::try_from(left.len()).unwrap_or(u32::MAX);
    let spread = count.saturating_mul(2).clamp(1_000, 30_000);
    for (outbox, _) in &left {
        outbox.drain(500 + random(spread));
    }
    let window = gate.options.gateway.drain.get();
    let began = gate.clock.instant();
    let runs = gate.router.shutdown(window);
    tokio::pin!(runs);
    // Closing is paced too, in no order that a client could know: each close costs both sides work.
    shuffle(&mut left, &mut random);
    let pace = Duration::from_millis(2).min(window / 2 / count.max(1));
    let waits = |identity: &Identity, outbox: &Outbox| outbox.carries_runs() || gate.router.is_busy(identity);
    let mut over = false;
    while !left.is_empty() {
        let mut later = Vec::new();
        for (outbox, identity) in left {
            if !over && waits(&identity, &outbox) {
                later.push((outbox, identity));
                continue;
            }
            outbox.end(Reason::Draining);
            let pause = tokio::time::sleep(pace / 2 + pace.mul_f64(f64::from(random(1_000)) / 1_000.0));
            tokio::pin!(pause);
            while !pause.is_elapsed() {
                tokio::select! {
                    biased;
                    () = &mut pause => {}
                    () = &mut runs, if !over => over = true,
                }
            }
        }
        left = later;
        if !left.is_empty() && !over {
            over = tokio::time::timeout(BUSY_LOOK, &mut runs).await.is_ok();
        }
    }
    if !over {
        runs.await;
    }
    connections.close();
    let rest = window.saturating_sub(gate.clock.since(began)).max(Duration::from_secs(2));
    if tokio::time::timeout(rest, connections.wait()).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "some connections did not end in time and are dropped"
        );
    }
}

/// How often a stopping server looks for users whose last run has ended.
const BUSY_LOOK: Duration = Duration::from_millis(50);

fn shuffle<T>(items: &mut [T], random: &mut impl FnMut(u32) -> u32) {
    for last in (1..items.len()).rev() {
        items.swap(last, random(u32::try_from(last + 1).unwrap_or(u32::MAX)) as usize);
    }
}
