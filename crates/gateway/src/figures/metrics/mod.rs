//! What `/metrics` tells, in the OpenMetrics text format.
//!
//! Labels come from closed sets (reasons, modes, message types): no user, path or token can become one.

mod kind;
mod latency;
mod reading;
mod reference;

use std::{collections::BTreeMap, fmt, sync::atomic::AtomicU64, time::Duration};

use portcullis_event::{MessageType, Mode};
use portcullis_reason::{CloseProfile, Reason};
use portcullis_router::Observer;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TypeLabel {
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModeLabel {
    mode: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: String,
}

pub(crate) use kind::Kind;
pub(crate) use latency::{Latency, precise};
pub(crate) use reading::Reading;
pub use reference::metrics_reference;

/// One counter for each reason, found without hashing: refusals are on a hot path.
struct ByReason(Vec<Counter>);

impl ByReason {
    fn new(family: &Family<ReasonLabel, Counter>) -> Self {
        let counter = |reason: &Reason| family.get_or_create(&ReasonLabel { reason: reason.id() }).clone();
        Self(Reason::ALL.iter().map(counter).collect())
    }

    fn increment(&self, reason: Reason) {
        if let Some(counter) = self.0.get(reason as usize) {
            counter.inc();
        }
    }

    /// The counts, in the order of [`Reason::ALL`].
    fn read(&self) -> Box<[u64]> {
        self.0.iter().map(Counter::get).collect()
    }
}

/// Close frames by code. A client may choose any code from 3000 to 4999 and has it answered, so codes that this server
/// never begins with share one label: a stranger cannot make labels.
struct ByCode {
    known: BTreeMap<u16, Counter>,
    other: Counter,
}

impl ByCode {
    fn new(family: &Family<CodeLabel, Counter>) -> Self {
        let profiles = [
            CloseProfile::Standard,
            CloseProfile::ServerError,
            CloseProfile::StrictProtocol,
            CloseProfile::Application,
        ];
        let ours = profiles
            .into_iter()
            .flat_map(|profile| Reason::ALL.iter().filter_map(move |reason| reason.close_code(profile)));
        let counter = |code: String| family.get_or_create(&CodeLabel { code }).clone();
        // Normal ends, and the empty close. 1011 is among ours: a bright zero, there from the start.
        let codes = ours.chain([1000, 1001, NO_CODE]);
        Self {
            known: codes.map(|code| (code, counter(code.to_string()))).collect(),
            other: counter("other".to_owned()),
        }
    }
}

/// Stands for a close frame without a code (RFC 6455 §7.4.1).
const NO_CODE: u16 = 1005;

/// All of the gateway's figures.
pub(crate) struct Metrics {
    registry: Registry,
    accepted: Counter,
    refused: Counter,
    rejections: ByReason,
    pub(crate) dropped: Counter,
    verification: Histogram,
    connections: Vec<Gauge>,
    echo_connections: Gauge,
    probe_connections: Gauge,
    messages: Counter,
    messages_refused: ByReason,
    events: Vec<Counter>,
    deliveries: Counter,
    runs: ByReason,
    runs_completed: Counter,
    runs_repeated: Counter,
    run_duration: Histogram,
    overflows: Counter,
    joined: Counter,
    record_latency: Latency,
    record_failures: Counter,
    heartbeat_timeouts: Counter,
    closes: ByCode,
    pub(crate) stale_pages: Counter,
    pub(crate) delivery_latency: Latency,
    probes_succeeded: Counter,
    probes_failed: Counter,
    probe_duration: Latency,
    logins: Counter,
    logins_refused: Counter,
    /// Read when scraped.
    pub(crate) runs_active: Gauge,
    pub(crate) connections_open: Gauge,
    pub(crate) queue_bytes: Gauge,
    pub(crate) queue_bytes_largest: Gauge,
    pub(crate) uptime: Gauge<f64, AtomicU64>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    #[expect(clippy::too_many_lines, reason = "one registration after the other")]
    pub(crate) fn new(node: &str, build: &str) -> Self {
        let mut registry = Registry::with_prefix("portcullis");
        let info = [("version", env!("CARGO_PKG_VERSION")), ("node", node), ("page_build", build)];
        registry.register(
            "build",
            "What is running",
            Info::new(info.map(|(k, v)| (k.to_owned(), v.to_owned()))),
        );

        let handshakes = Family::<OutcomeLabel, Counter>::default();
        registry.register("handshakes", "Upgrade requests answered, by outcome", handshakes.clone());
        let outcome = |outcome| handshakes.get_or_create(&OutcomeLabel { outcome }).clone();
        let rejections = Family::<ReasonLabel, Counter>::default();
        registry.register("handshake_rejections", "Upgrade requests refused, by reason", rejections.clone());
        let dropped = Counter::default();
        registry.register(
            "connections_dropped",
            "Connections dropped unread: the server was full, or no head came in time",
            dropped.clone(),
        );
        let verification = Histogram::new([1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 1e-2]);
        registry.register_with_unit(
            "token_verification",
            "Time to verify one token",
            Unit::Seconds,
            verification.clone(),
        );

        let connections = Family::<ModeLabel, Gauge>::default();
        registry.register("connections", "Live connections, by mode", connections.clone());
        let mode = |mode: &'static str| connections.get_or_create(&ModeLabel { mode }).clone();
        let connections_open = Gauge::default();
        registry.register(
            "connections_open",
            "Open connections, those in their handshake included",
            connections_open.clone(),
        );

        let messages = Counter::default();
        registry.register("messages_accepted", "Messages that became runs", messages.clone());
        let refused = Family::<ReasonLabel, Counter>::default();
        registry.register("messages_refused", "Messages answered by an error, by reason", refused.clone());
        let events = Family::<TypeLabel, Counter>::default();
        registry.register("events", "Events of runs, by type", events.clone());
        let event = |kind: &MessageType| events.get_or_create(&TypeLabel { r#type: kind.as_str() }).clone();
        let deliveries = Counter::default();
        registry.register("event_deliveries", "Events queued for a connection", deliveries.clone());

        let runs = Family::<ReasonLabel, Counter>::default();
        registry.register("runs_failed", "Runs that ended without an answer, by reason", runs.clone());
        let runs_completed = Counter::default();
        registry.register("runs_completed", "Runs that ended with an answer", runs_completed.clone());
        let runs_repeated = Counter::default();
        registry.register(
            "runs_repeated",
            "Runs that the last process left open and this one took up again",
            runs_repeated.clone(),
        );
        let run_duration = Histogram::new([0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0]);
        registry.register_with_unit(
            "run_duration",
            "From a message's acceptance to its run's end",
            Unit::Seconds,
            run_duration.clone(),
        );
        let runs_active = Gauge::default();
        registry.register("runs_active", "Runs that wait or go on", runs_active.clone());

        let queue_bytes = Gauge::default();
        registry.register_with_unit(
            "queue",
            "Bytes that wait in all outgoing queues",
            Unit::Bytes,
            queue_bytes.clone(),
        );
        let queue_bytes_largest = Gauge::default();
        registry.register_with_unit(
            "queue_largest",
            "Bytes that wait in the fullest outgoing queue",
            Unit::Bytes,
            queue_bytes_largest.clone(),
        );
        let joined = Counter::default();
        registry.register(
            "pieces_joined",
            "Pieces of answers that were joined to the one before them, since a reader was slow",
            joined.clone(),
        );
        let overflows = Counter::default();
        registry.register("queue_overflows", "Frames that found their queue full", overflows.clone());
        let record_latency = Latency::default();
        registry.register_with_unit(
            "record_latency",
            "From handing an event to the record until it was acknowledged, and could be seen",
            Unit::Seconds,
            record_latency.clone(),
        );
        let record_failures = Counter::default();
        registry.register(
            "record_failures",
            "Changes that could not be recorded; from the first one on nothing is accepted until a restart",
            record_failures.clone(),
        );
        let heartbeat_timeouts = Counter::default();
        registry.register(
            "heartbeat_timeouts",
            "Connections ended because the peer was silent",
            heartbeat_timeouts.clone(),
        );
        let closes = Family::<CodeLabel, Counter>::default();
        registry.register(
            "closes_sent",
            "Close frames sent, by code; 1005 stands for an empty one, `other` for a code of the peer's choice",
            closes.clone(),
        );
        let stale_pages = Counter::default();
        registry.register(
            "stale_pages",
            "Upgrade requests of pages that come from another build than this server's",
            stale_pages.clone(),
        );
        let delivery_latency = Latency::default();
        registry.register_with_unit(
            "delivery_latency",
            "From queueing frames for a connection to having written them to its socket; one observation a batch",
            Unit::Seconds,
            delivery_latency.clone(),
        );
        let probes = Family::<OutcomeLabel, Counter>::default();
        registry.register(
            "probe",
            "Golden-path probes (log in, connect, ask, five events, answer), by outcome",
            probes.clone(),
        );
        let probe = |outcome| probes.get_or_create(&OutcomeLabel { outcome }).clone();
        let probe_duration = Latency::default();
        registry.register_with_unit(
            "probe_duration",
            "Time of one golden-path probe that succeeded",
            Unit::Seconds,
            probe_duration.clone(),
        );
        let operators = Family::<OutcomeLabel, Counter>::default();
        registry.register(
            "operator_logins",
            "Attempts to log in to the operator dashboard, by outcome",
            operators.clone(),
        );
        let operator = |outcome| operators.get_or_create(&OutcomeLabel { outcome }).clone();
        let uptime = Gauge::default();
        registry.register_with_unit("uptime", "Time since the start", Unit::Seconds, uptime.clone());

        Self {
            accepted: outcome("accepted"),
            refused: outcome("refused"),
            rejections: ByReason::new(&rejections),
            dropped,
            verification,
            connections: Mode::ALL.iter().map(|&kind| mode(kind.as_str())).collect(),
            echo_connections: mode("echo"),
            probe_connections: mode("probe"),
            messages,
            messages_refused: ByReason::new(&refused),
            events: MessageType::ALL.iter().map(event).collect(),
            deliveries,
            runs: ByReason::new(&runs),
            runs_completed,
            runs_repeated,
            run_duration,
            overflows,
            joined,
            record_latency,
            record_failures,
            heartbeat_timeouts,
            closes: ByCode::new(&closes),
            stale_pages,
            delivery_latency,
            probes_succeeded: probe("succeeded"),
            probes_failed: probe("failed"),
            probe_duration,
            logins: operator("accepted"),
            logins_refused: operator("refused"),
            runs_active,
            connections_open,
            queue_bytes,
            queue_bytes_largest,
            uptime,
            registry,
        }
    }

    pub(crate) fn accepted(&self) {
        self.accepted.inc();
    }

    pub(crate) fn rejected(&self, reason: Reason) {
        self.refused.inc();
        self.rejections.increment(reason);
    }

    pub(crate) fn verified(&self, time: Duration) {
        self.verification.observe(time.as_secs_f64());
    }

    /// The gauge of live connections of a kind.
    pub(crate) fn live(&self, kind: Kind) -> &Gauge {
        match kind {
            Kind::User(mode) => &self.connections[mode as usize],
            Kind::Echo => &self.echo_connections,
            Kind::Probe => &self.probe_connections,
        }
    }

    /// Live connections by mode, as `/ws/stats` tells them.
    pub(crate) fn live_by_mode(&self) -> impl Iterator<Item = (&'static str, i64)> {
        Mode::ALL.iter().map(|&mode| (mode.as_str(), self.live(Kind::User(mode)).get()))
    }

    pub(crate) fn closed(&self, code: Option<u16>, reason: Option<Reason>) {
        self.closes.known.get(&code.unwrap_or(NO_CODE)).unwrap_or(&self.closes.other).inc();
        if reason == Some(Reason::HeartbeatTimeout) {
            self.heartbeat_timeouts.inc();
        }
    }

    /// Counts one golden-path probe, with its time if it succeeded.
    pub(crate) fn probed(&self, time: Option<Duration>) {
        match time {
            Some(time) => {
                self.probes_succeeded.inc();
                self.probe_duration.observe(time);
            }
            None => drop(self.probes_failed.inc()),
        }
    }

    /// Counts one attempt to log in to the dashboard.
    pub(crate) fn operator_login(&self, accepted: bool) {
        if accepted { &self.logins } else { &self.logins_refused }.inc();
    }

    /// The exposition.
    pub(crate) fn render(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        encode(&mut text, &self.registry).expect("writing to a string does not fail");
        text
    }
}

impl Observer for Metrics {
    fn accepted(&self) {
        self.messages.inc();
    }

    fn refused(&self, reason: Reason) {
        self.messages_refused.increment(reason);
    }

    fn event(&self, kind: MessageType, receivers: usize) {
        if let Some(counter) = self.events.get(kind as usize) {
            counter.inc();
        }
        self.deliveries.inc_by(receivers as u64);
    }

    fn run_ended(&self, failure: Option<Reason>, duration: Duration) {
        self.run_duration.observe(duration.as_secs_f64());
        match failure {
            Some(reason) => self.runs.increment(reason),
            None => drop(self.runs_completed.inc()),
        }
    }

    fn repeated(&self) {
        self.runs_repeated.inc();
    }

    fn joined(&self) {
        self.joined.inc();
    }

    fn overflow(&self) {
        self.overflows.inc();
    }

    fn recorded(&self, outcome: Result<Duration, ()>) {
        match outcome {
            Ok(time) => self.record_latency.observe(time),
            Err(()) => drop(self.record_failures.inc()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_is_counted_under_its_own_label() {
        let metrics = Metrics::new("n", "b");
        for &reason in Reason::ALL {
            metrics.rejected(reason);
        }
        metrics.rejected(Reason::TokenExpired);
        metrics.live(Kind::User(Mode::Isolated)).inc();
        Observer::event(&metrics, MessageType::AgentStarted, 3);
        metrics.closed(Some(1001), Some(Reason::HeartbeatTimeout));
        metrics.closed(Some(3999), None);
        metrics.closed(Some(4000), None);
        metrics.delivery_latency.observe(Duration::from_micros(700));
        metrics.delivery_latency.observe(Duration::from_secs(99));
        metrics.probed(Some(Duration::from_millis(80)));
        metrics.probed(None);
        metrics.operator_login(false);
        metrics.repeated();
        metrics.recorded(Ok(Duration::from_micros(300)));
        metrics.recorded(Err(()));
        let text = metrics.render();
        for line in [
            "portcullis_handshake_rejections_total{reason=\"TOKEN_EXPIRED\"} 2",
            "portcullis_handshake_rejections_total{reason=\"INTERNAL\"} 1",
            "portcullis_connections{mode=\"isolated\"} 1",
            "portcullis_connections{mode=\"main\"} 0",
            "portcullis_events_total{type=\"agent_started\"} 1",
            "portcullis_event_deliveries_total 3",
            "portcullis_closes_sent_total{code=\"1001\"} 1",
            "portcullis_closes_sent_total{code=\"1011\"} 0",
            "portcullis_closes_sent_total{code=\"other\"} 2",
            "portcullis_connections{mode=\"probe\"} 0",
            "portcullis_stale_pages_total 0",
            "portcullis_probe_total{outcome=\"succeeded\"} 1",
            "portcullis_probe_total{outcome=\"failed\"} 1",
            "portcullis_probe_duration_seconds_count 1",
            "portcullis_delivery_latency_seconds_bucket{le=\"0.001\"} 1",
            "portcullis_delivery_latency_seconds_bucket{le=\"+Inf\"} 2",
            "portcullis_operator_logins_total{outcome=\"refused\"} 1",
            "portcullis_runs_repeated_total 1",
            "portcullis_record_latency_seconds_count 1",
            "portcullis_record_failures_total 1",
            "portcullis_heartbeat_timeouts_total 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }
}
