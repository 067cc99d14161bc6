//! What the dashboard shows, as JSON.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State},
    response::{IntoResponse, Response},
};
use portcullis_reason::Reason;
use serde::{Deserialize, Serialize};

use super::context::Admin;
use crate::{
    embedded,
    figures::{
        history::{BUCKET, Bucket, Counts, Gauges, Objective},
        probes::ProbeReport,
        refusals::{Entry, Filter},
    },
    gate::Gate,
};

#[derive(Deserialize)]
pub(super) struct After {
    /// The last bucket that the page has.
    after: Option<u64>,
}

/// Everything at once, so that the figures of one look belong together.
#[derive(Serialize)]
struct Snapshot<'a> {
    /// The server's clock, in milliseconds since 1970.
    now: u64,
    node: &'a str,
    version: &'static str,
    build: &'static str,
    uptime_s: u64,
    draining: bool,
    /// The length of a bucket.
    bucket_ms: u64,
    /// Since the start, this moment included.
    totals: Counts,
    gauges: Gauges,
    /// Those after the one that was asked for, at most an hour.
    buckets: Vec<Bucket>,
    objectives: Vec<Objective>,
    probe: Probe,
    /// Grows with each refusal that is kept.
    refusals: u64,
}

#[derive(Serialize)]
struct Probe {
    /// None where the probe runs.
    off: Option<&'static str>,
    interval_s: u64,
    #[serde(flatten)]
    report: ProbeReport,
}

/// `GET /admin/snapshot?after=<seq>`.
pub(super) async fn snapshot(State(admin): State<Arc<Admin>>, Query(query): Query<After>) -> Response {
    let gate = &admin.gate;
    let now = gate.clock.unix_ms();
    let reading = gate.figures.metrics.read();
    let snapshot = Snapshot {
        now,
        node: &gate.node.name,
        version: env!("CARGO_PKG_VERSION"),
        build: embedded::build_id(),
        uptime_s: gate.node.uptime().as_secs(),
        draining: gate.door.ready().is_err(),
        bucket_ms: u64::try_from(BUCKET.as_millis()).unwrap_or(u64::MAX),
        totals: Counts::from(&reading),
        gauges: gate.gauges(),
        buckets: gate.figures.history.after(query.after),
        objectives: gate.figures.history.objectives(now, &reading),
        probe: Probe {
            off: off(gate),
            interval_s: gate.options.probe.interval.as_secs(),
            report: gate.figures.probes.report(now),
        },
        refusals: gate.figures.ledger.next(),
    };
    Json(snapshot).into_response()
}

/// Why no probe runs, if none does.
fn off(gate: &Gate) -> Option<&'static str> {
    match (gate.figures.probes.is_enabled(), gate.options.probe.interval.is_zero()) {
        (true, _) => None,
        (false, true) => Some("probe.interval is 0s"),
        (false, false) => Some("the auth service is off, so there is no place to log in at"),
    }
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    reason: Option<String>,
    request_id: Option<String>,
    before: Option<u64>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Refusals {
    refusals: Vec<Arc<Entry>>,
}

/// `GET /admin/refusals?reason=&request_id=&before=&limit=`: single handshakes, newest first.
pub(super) async fn refusals(State(admin): State<Arc<Admin>>, Query(wanted): Query<Wanted>) -> Response {
    let reason = wanted.reason.as_deref().map(str::parse::<Reason>);
    let filter = Filter {
        reason: reason.as_ref().and_then(|reason| reason.as_ref().ok()).copied(),
        request_id: wanted.request_id.as_deref(),
        before: wanted.before,
        limit: wanted.limit.unwrap_or(DEFAULT).min(MOST),
    };
    // A reason that does not exist refused nothing.
    let refusals =
        if matches!(reason, Some(Err(_))) { Vec::new() } else { admin.gate.figures.ledger.find(&filter) };
    Json(Refusals { refusals }).into_response()
}

const DEFAULT: usize = 100;
const MOST: usize = 500;
