//! The report: what `--format json` prints, and what the table and the page are made of.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::{
    Latencies, Machine, Pace,
    engine::{Cost, Run},
    figures::{Counted, Ratio, counted, milliseconds},
    hold::Held,
    storm::Storm,
};

/// Everything that one call of the program measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The shape of this document; a number that grows when a member changes its meaning.
    pub schema: u32,
    /// The program's version.
    pub version: &'static str,
    /// When it began (RFC 3339).
    pub started_at: String,
    /// Whether it was stopped early. What it holds was measured up to then.
    pub interrupted: bool,
    /// The machine of the generator.
    pub machine: Machine,
    /// The servers; the first is A.
    pub servers: Vec<Server>,
    /// What was asked for.
    pub settings: BTreeMap<&'static str, String>,
    /// One entry for each scenario and server.
    pub measured: Vec<Measured>,
    /// How B compares with A.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub comparison: Vec<Ratio>,
    /// Scenarios that could not be run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// Thresholds that were exceeded.
    pub exceeded: Vec<Exceeded>,
}

/// A server that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Server {
    /// `A` or `B`.
    pub name: &'static str,
    /// Its address, without the query.
    pub url: String,
    /// The form of the credential.
    pub form: &'static str,
    /// Where credentials came from, in words.
    pub credentials: String,
}

/// A scenario that could not be run, and why.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// Which scenario.
    pub scenario: &'static str,
    /// `A` or `B`; both where they are measured in turns.
    pub server: &'static str,
    /// Why.
    pub message: String,
}

/// A threshold that was exceeded.
#[derive(Clone, Debug, Serialize)]
pub struct Exceeded {
    /// Which scenario.
    pub scenario: &'static str,
    /// `A` or `B`.
    pub server: &'static str,
    /// `p99_ms` or `errors`.
    pub figure: &'static str,
    /// What was measured.
    pub value: f64,
    /// What was allowed.
    pub limit: f64,
}

/// One scenario on one server.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Which scenario.
    pub scenario: &'static str,
    /// `A` or `B`.
    pub server: &'static str,
    /// How operations began.
    pub pace: PaceReport,
    /// How long was measured.
    pub measured_s: f64,
    /// Operations that did what they should.
    pub succeeded: u64,
    /// Operations that did not; of a storm, clients that stayed away.
    pub failed: u64,
    /// Operations that were due and never began, because too many were waiting.
    pub unstarted: u64,
    /// Operations that waited for a place among those under way; their latency contains it.
    pub queued: u64,
    /// Successful operations a second.
    pub rate: f64,
    /// Failed and unstarted ones, as a part of all: between 0 and 1.
    pub error_share: f64,
    /// Latencies of the successful operations; the first step is the scenario's own.
    pub latencies: Vec<Step>,
    /// The failures by kind, most frequent first; of a storm, attempts to come back that failed.
    pub errors: Vec<Counted>,
    /// Operations that ended in each slot of time.
    pub timeline: Timeline,
    /// What the generator itself had to do with it.
    pub generator: Generator,
    /// CPU time of the server's process, where it was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu: Option<ServerCpu>,
    /// Of the scenario `hold`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Held>,
    /// Of the scenario `storm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storm: Option<Storm>,
}

/// How operations began.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum PaceReport {
    /// At fixed moments.
    Open {
        /// Operations a second.
        rate: f64,
    },
    /// One after the other.
    Closed {
        /// How many at a time.
        workers: usize,
    },
}

impl From<Pace> for PaceReport {
    fn from(pace: Pace) -> Self {
        match pace {
            Pace::Open { rate } => Self::Open { rate },
            Pace::Closed { workers } => Self::Closed { workers },
        }
    }
}

/// The latencies to one step, in milliseconds.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Step {
    pub step: &'static str,
    pub count: u64,
    pub min_ms: f64,
    pub mean_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p99_9_ms: f64,
    pub max_ms: f64,
    /// Points of the curve of quantiles: the quantile, and milliseconds.
    pub curve: Vec<(f64, f64)>,
}

/// Operations that ended, over time.
#[derive(Clone, Debug, Serialize)]
pub struct Timeline {
    /// The length of a slot.
    pub slot_s: f64,
    /// Successful ones in each.
    pub succeeded: Vec<u64>,
    /// Failed ones in each.
    pub failed: Vec<u64>,
}

/// What the generator itself had to do with the figures.
#[derive(Clone, Debug, Serialize)]
pub struct Generator {
    /// What lag means: `arrivals` (from when an operation was due until the generator began with it) or `timers` (how
    /// late the runtime's timers were, with a closed pace).
    pub lag_of: &'static str,
    /// Median lag.
    pub lag_p50_ms: f64,
    /// The lag that 99 % stay within.
    pub lag_p99_ms: f64,
    /// The largest lag.
    pub lag_max_ms: f64,
    /// Cores that this program kept busy, where the system tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cores: Option<f64>,
    /// Why the figures say something about the generator, where they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limited: Option<String>,
}

/// CPU time of the server's process.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ServerCpu {
    /// Cores that it kept busy.
    pub cores: f64,
    /// Microseconds for each operation, good and failed ones.
    pub us_per_operation: f64,
}

impl Measured {
    pub(crate) fn new(scenario: &'static str, server: &'static str, pace: Pace, run: &Run) -> Self {
        let recording = &run.recording;
        let failed = recording.failures.total();
        let all = recording.succeeded + failed + recording.unstarted;
        let seconds = run.measured.as_secs_f64();
        let rate = if seconds > 0.0 { recording.succeeded as f64 / seconds } else { 0.0 };
        let watched = run.cost.wall.as_secs_f64();
        let cores = |spent: Duration| if watched > 0.0 { spent.as_secs_f64() / watched } else { 0.0 };
        Self {
            scenario,
            server,
            pace: pace.into(),
            measured_s: seconds,
            succeeded: recording.succeeded,
            failed,
            unstarted: recording.unstarted,
            queued: recording.queued,
            rate,
            error_share: (failed + recording.unstarted) as f64 / all.max(1) as f64,
            latencies: recording
                .steps
                .iter()
                .filter_map(|(step, latencies)| Step::of(step, latencies))
                .collect(),
            errors: counted(&recording.failures),
            timeline: Timeline {
                slot_s: run.slot.as_secs_f64(),
                succeeded: recording.timeline.iter().map(|slot| slot.0).collect(),
                failed: recording.timeline.iter().map(|slot| slot.1).collect(),
            },
            generator: Generator::of(pace, run),
            server_cpu: run.cost.server.map(|spent| ServerCpu {
                cores: cores(spent),
                us_per_operation: spent.as_secs_f64() * 1e6 / (recording.succeeded + failed).max(1) as f64,
            }),
            hold: None,
            storm: None,
        }
    }

    /// The latencies of the scenario's own step.
    pub fn main(&self) -> Option<&Step> {
        self.latencies.first()
    }
}

impl Step {
    fn of(step: &'static str, latencies: &Latencies) -> Option<Self> {
        let at = |quantile| latencies.quantile(quantile).map(milliseconds);
        Some(Self {
            step,
            count: latencies.count(),
            min_ms: milliseconds(latencies.min()?),
            mean_ms: milliseconds(latencies.mean()?),
            p50_ms: at(0.5)?,
            p90_ms: at(0.9)?,
            p99_ms: at(0.99)?,
            p99_9_ms: at(0.999)?,
            max_ms: milliseconds(latencies.max()?),
            curve: latencies
                .curve()
                .into_iter()
                .map(|(part, latency)| (part, milliseconds(latency)))
                .collect(),
        })
    }
}

impl Generator {
    fn of(pace: Pace, run: &Run) -> Self {
        let Run { recording, cost, .. } = run;
        let lag = |quantile| recording.lag.quantile(quantile).unwrap_or_default();
        let cores = busy(cost);
        Self {
            lag_of: if matches!(pace, Pace::Open { .. }) { "arrivals" } else { "timers" },
            lag_p50_ms: milliseconds(lag(0.5)),
            lag_p99_ms: milliseconds(lag(0.99)),
            lag_max_ms: milliseconds(recording.lag.max().unwrap_or_default()),
            cores,
            limited: limited(pace, run, cores),
        }
    }
}

/// Why the figures say something about the generator instead of the server, if they do.
fn limited(pace: Pace, run: &Run, cores: Option<f64>) -> Option<String> {
    let recording = &run.recording;
    if recording.unstarted > 0 {
        let count = recording.unstarted;
        return Some(format!(
            "{count} operations were due and never began, since too many others waited: ask for a lower --rate, or allow \
             more --connections"
        ));
    }
    let all = std::thread::available_parallelism().map_or(1.0, |all| usize::from(all) as f64);
    if let Some(cores) = cores.filter(|cores| *cores > 0.9 * all) {
        return Some(format!(
            "it kept {cores:.1} of {all:.0} cores busy: ask for less, or use another machine"
        ));
    }
    let lag = |quantile| recording.lag.quantile(quantile).unwrap_or_default();
    let latency = |quantile| recording.main().and_then(|main| main.quantile(quantile)).unwrap_or_default();
    let late = match pace {
        // Lag is a part of the latency, so it matters as much as its share there.
        Pace::Open { .. } => [(0.5, SMALL), (0.99, NOTABLE)]
            .into_iter()
            .find(|&(quantile, least)| lag(quantile) > least && lag(quantile) * 4 > latency(quantile)),
        Pace::Closed { .. } => [(0.99, LATE_TIMER)]
            .into_iter()
            .find(|&(quantile, least)| lag(quantile) > least && lag(quantile) * 10 > latency(quantile)),
    };
    late.map(|(quantile, _)| {
        format!(
            "it was {:.2} ms late at the {:.0}th percentile: this machine is too busy for figures of that size",
            milliseconds(lag(quantile)),
            quantile * 100.0
        )
    })
}

fn busy(cost: &Cost) -> Option<f64> {
    let own = cost.own?;
    (!cost.wall.is_zero()).then(|| own.as_secs_f64() / cost.wall.as_secs_f64())
}

/// The number of this shape.
pub(crate) const SCHEMA: u32 = 1;

const SMALL: Duration = Duration::from_micros(100);
const NOTABLE: Duration = Duration::from_millis(1);

/// A timer is right to a millisecond; this is far from it.
const LATE_TIMER: Duration = Duration::from_millis(10);
