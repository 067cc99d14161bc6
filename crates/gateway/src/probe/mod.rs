//! The golden-path probe: does a user get an answer? Once a minute this server logs in at its own auth service, connects
//! through its own listener as a browser would, asks the built-in agent and waits for the five events and the answer.
//!
//! The probe takes no shortcut. A mark on its upgrade request, random for each start, keeps it out of the users'
//! figures; the mark changes what is counted and never what is allowed.

mod account;
mod said;
#[cfg(test)]
mod tests;
mod walk;
mod wire;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use portcullis_event::AgentId;
use tokio_util::sync::CancellationToken;

pub use account::ProbeAccount;

use crate::gate::Gate;

/// Probes until `stop` fires: first a moment after the start, then at every interval.
pub(crate) async fn run(
    gate: Arc<Gate>,
    gateway: SocketAddr,
    account: ProbeAccount,
    agent: AgentId,
    stop: CancellationToken,
) {
    let options = &gate.options.probe;
    let mut every = tokio::time::interval_at(
        (gate.clock.instant() + FIRST).into(),
        options.interval.get().max(Duration::from_millis(100)),
    );
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let path = walk::Path {
        gateway,
        account,
        agent,
        mark: gate.figures.mark.as_str().to_owned(),
        clock: gate.clock.clone(),
    };
    while stop.run_until_cancelled(every.tick()).await.is_some() {
        if gate.door.ready().is_err() {
            return;
        }
        let at = gate.clock.unix_ms();
        let outcome = {
            let _run = gate.figures.probes.going();
            stop.run_until_cancelled(path.walk(options.timeout.get())).await
        };
        // Cut off by the server's own end: that says nothing about its health.
        let Some(walk) = outcome else { return };
        let time = walk.time();
        gate.figures.metrics.probed(walk.failed.is_none().then_some(time));
        match &walk.failed {
            None => tracing::debug!(milliseconds = time.as_millis(), "golden-path probe succeeded"),
            Some(failed) => {
                tracing::warn!(step = failed.step, reason = failed.reason, "golden-path probe failed");
            }
        }
        gate.figures.probes.add(at, walk);
    }
}

/// The first probe waits until the server has opened everything, and shows its result soon.
const FIRST: Duration = Duration::from_secs(1);
