//! What is asked for, and the way from there to the report.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use portcullis_event::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::{
    Content, Credentials, Dialer, Exceeded, Extras, Failure, Machine, Measured, Pace, Problem, Profile,
    Progress, Report, Server, StormOptions, Target, Trust,
    clock::CLOCK,
    engine::{Run, Span, Surroundings, Work, run},
    handshakes::Handshakes,
    hold::hold,
    messages::Exchanges,
    process::raise_file_limit,
    report::SCHEMA,
    storm::storm,
    versus::{Slices, versus},
};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Connect, shake hands with a good credential, leave.
    Handshake,
    /// The same with a bad one, which has to be refused.
    Refusal,
    /// Both mixed.
    Mixed,
    /// Open connections and hold them.
    Hold,
    /// Messages and their answers.
    Messages,
    /// All connections are lost at once and come back.
    Storm,
}

impl Scenario {
    /// Every scenario, in the order in which they are run.
    pub const ALL: [Self; 6] =
        [Self::Handshake, Self::Refusal, Self::Mixed, Self::Messages, Self::Hold, Self::Storm];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Refusal => "refusal",
            Self::Mixed => "mixed",
            Self::Hold => "hold",
            Self::Messages => "messages",
            Self::Storm => "storm",
        }
    }

    /// Whether it can be measured in slices, as a comparison does.
    pub const fn has_slices(self) -> bool {
        !matches!(self, Self::Hold | Self::Storm)
    }
}

/// One server to measure.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Where it is.
    pub target: Target,
    /// Who comes.
    pub credentials: Credentials,
    /// Its process, to read memory and CPU time of.
    pub pid: Option<u32>,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server, and perhaps one to compare it with.
    pub subject: Subject,
    /// The other server.
    pub versus: Option<Subject>,
    /// What is measured, in this order.
    pub scenarios: Vec<Scenario>,
    /// Operations a second; none for a closed pace.
    pub rate: Option<f64>,
    /// Operations under way with a closed pace; connections of the scenario `messages`.
    pub concurrency: usize,
    /// The most connections at a time; so many are opened by `hold` and `storm`.
    pub connections: usize,
    /// How long each scenario is measured on each server.
    pub duration: Duration,
    /// How long it runs before.
    pub warm_up: Duration,
    /// How long an operation may take.
    pub timeout: Duration,
    /// The part of bad credentials in the scenario `mixed`, between 0 and 1.
    pub bad_share: f64,
    /// What a server does with a message.
    pub profile: Profile,
    /// What is sent.
    pub content: Content,
    /// How long a slice of a comparison is.
    pub slice: Duration,
    /// The scenario `storm`.
    pub storm: StormOptions,
    /// Whom TLS trusts.
    pub trust: Trust,
    /// What every request carries.
    pub extras: Extras,
    /// What may not be exceeded.
    pub limits: Thresholds,
}

/// What may not be exceeded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Thresholds {
    /// The 99th percentile of each scenario's own latency.
    pub p99: Option<Duration>,
    /// Failed operations as a part of all.
    pub errors: Option<f64>,
}

/// Hears what is going on.
pub trait Observer: Send + Sync + 'static {
    /// A scenario goes on.
    fn progress(&self, scenario: Scenario, server: &'static str, progress: &Progress);
    /// Connections are open and wait for the operator, or the command, to restart the server.
    fn ready_for_storm(&self, connections: usize, by_command: bool);
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum NotMeasured {
    /// The very first handshake did not come about.
    #[error("{server} cannot be measured: {}{}", failure.kind(), hint(failure))]
    Unreachable {
        /// The server's address.
        server: String,
        /// What went wrong.
        failure: Failure,
    },
    /// Something that is needed cannot be had.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// What to do about it.
fn hint(failure: &Failure) -> &'static str {
    match failure {
        Failure::Connect(_) => ". Is it running, and is the address right?",
        Failure::Tls(_) => ". Use --ca FILE for an authority of your own, or ws:// where there is no TLS",
        Failure::Refused { status: 401 | 403 | 400, .. } => {
            ". Give it a credential that it takes: --token, --token-file, --token-command or --secret, in the form that \
             it reads (--form)"
        }
        Failure::Refused { status: 404, .. } => ". Is the path right?",
        Failure::Refused { status: 429, .. } => {
            ". Raise its limits for the measurement: all load comes from one machine"
        }
        Failure::Answer(_) => ". Is it a WebSocket server?",
        _ => "",
    }
}

/// Measures as `plan` says. `stop` ends it early, with a report of what was measured until then.
///
/// # Errors
/// If nothing could be measured at all. What befalls single scenarios stands in the report.
pub async fn measure(
    plan: &Plan,
    observer: Arc<dyn Observer>,
    stop: CancellationToken,
) -> Result<Report, NotMeasured> {
    let since = CLOCK.unix_seconds();
    let started_at = Timestamp::from_unix_seconds(since).to_string();
    let machine = Machine::here();
    let sockets = raise_file_limit()?;
    let needed = plan.connections.max(plan.concurrency) as u64 + SPARE_FILES;
    if sockets < needed {
        let error = anyhow::anyhow!(
            "{needed} files would be open at a time and the system allows {sockets}: raise `ulimit -n`, or ask for fewer \
             --connections"
        );
        return Err(error.into());
    }
    let mut bench = Bench {
        plan,
        observer,
        stop,
        sides: Vec::new(),
        measured: Vec::new(),
        comparison: Vec::new(),
        problems: Vec::new(),
    };
    let subjects = [("A", Some(&plan.subject)), ("B", plan.versus.as_ref())];
    for (name, subject) in subjects {
        if let Some(subject) = subject {
            let side = bench.reach(name, subject).await?;
            bench.sides.push(side);
        }
    }
    for scenario in &plan.scenarios {
        if !bench.stop.is_cancelled() {
            bench.scenario(*scenario).await;
        }
    }
    Ok(bench.report(started_at, machine))
}

struct Bench<'p> {
    plan: &'p Plan,
    observer: Arc<dyn Observer>,
    stop: CancellationToken,
    sides: Vec<Side>,
    measured: Vec<Measured>,
    comparison: Vec<crate::Ratio>,
    problems: Vec<Problem>,
}

/// A server, reached.
#[derive(Clone)]
struct Side {
    name: &'static str,
    dialer: Arc<Dialer>,
    credentials: Credentials,
    pid: Option<u32>,
}

impl Bench<'_> {
    /// Looks the server up, and shakes hands once: what cannot work at all is told at once, and not as a hundred percent of
    /// failures after a while.
    async fn reach(&self, name: &'static str, subject: &Subject) -> Result<Side, NotMeasured> {
        let plan = self.plan;
        let most = plan.connections.max(plan.concurrency);
        let target = subject.target.clone();
        let dialer = Dialer::new(target, &plan.trust, plan.extras.clone(), plan.timeout, most).await?;
        let side = Side {
            name,
            dialer: Arc::new(dialer),
            credentials: subject.credentials.clone(),
            pid: subject.pid,
        };
        let refusals_alone = plan.scenarios.iter().all(|scenario| *scenario == Scenario::Refusal);
        match side.dialer.open(0, &side.credentials.good(0)).await {
            Ok((connection, _)) => connection.close().await,
            Err(Failure::Refused { .. }) if refusals_alone => {}
            Err(failure) => {
                return Err(NotMeasured::Unreachable { server: shown(&subject.target), failure });
            }
        }
        if let Some(pid) = subject.pid {
            crate::process::memory(pid)?;
        }
        Ok(side)
    }

    async fn scenario(&mut self, scenario: Scenario) {
        let plan = self.plan;
        let sides = self.sides.clone();
        match scenario {
            Scenario::Handshake | Scenario::Refusal | Scenario::Mixed => {
                let bad = match scenario {
                    Scenario::Refusal => 1.0,
                    Scenario::Mixed => plan.bad_share,
                    _ => 0.0,
                };
                let work = |side: &Side| {
                    Arc::new(Handshakes {
                        dialer: Arc::clone(&side.dialer),
                        credentials: side.credentials.clone(),
                        profile: plan.profile,
                        bad,
                    })
                };
                let works: Vec<_> = sides.iter().map(work).collect();
                self.repeat(scenario, &sides, &works, plan.connections).await;
            }
            Scenario::Messages => {
                let work = |side: &Side| {
                    Arc::new(Exchanges::new(
                        Arc::clone(&side.dialer),
                        side.credentials.clone(),
                        plan.profile,
                        plan.content.clone(),
                        plan.concurrency,
                    ))
                };
                let works: Vec<_> = sides.iter().map(work).collect();
                let mut open = true;
                for (side, work) in sides.iter().zip(&works) {
                    if let Err(failure) = work.connect().await {
                        open = false;
                        let message = format!(
                            "the connections for the messages did not come about: {}",
                            failure.kind()
                        );
                        self.problems.push(Problem { scenario: scenario.name(), server: side.name, message });
                    }
                }
                if open {
                    self.repeat(scenario, &sides, &works, plan.concurrency).await;
                }
                for work in works {
                    work.close().await;
                }
            }
            Scenario::Hold | Scenario::Storm => {
                for side in &sides {
                    if let Err(error) = self.crowd(scenario, side).await {
                        let message = format!("{error:#}");
                        self.problems.push(Problem { scenario: scenario.name(), server: side.name, message });
                    }
                }
            }
        }
    }

    /// Repeats an operation on one server, or on two in turns.
    async fn repeat<W: Work>(&mut self, scenario: Scenario, sides: &[Side], works: &[Arc<W>], places: usize) {
        let plan = self.plan;
        let pace = self.pace();
        let span = Span {
            warm_up: plan.warm_up,
            length: plan.duration,
            most: u64::MAX,
            places,
            patience: plan.timeout,
        };
        let around: Vec<Surroundings> = sides.iter().map(|side| self.around(scenario, side)).collect();
        let runs: Vec<Run> = if let ([a, b], [first, second]) = (works, around.as_slice()) {
            let count = (plan.duration.as_secs_f64() / plan.slice.as_secs_f64()).round().max(1.0) as usize;
            let slices = Slices { warm_up: plan.warm_up, length: plan.slice, count };
            let (runs, ratios) =
                versus(scenario.name(), [a, b], [pace, pace], span, slices, [first, second]).await;
            self.comparison.extend(ratios);
            runs.into()
        } else {
            vec![run(&works[0], pace, span, &around[0]).await]
        };
        for (side, run) in sides.iter().zip(&runs) {
            self.measured.push(Measured::new(scenario.name(), side.name, pace, run));
        }
    }

    async fn crowd(&mut self, scenario: Scenario, side: &Side) -> anyhow::Result<()> {
        let (plan, pace) = (self.plan, self.pace());
        let around = self.around(scenario, side);
        let (dialer, credentials) = (Arc::clone(&side.dialer), side.credentials.clone());
        let mut measured;
        if scenario == Scenario::Hold {
            let held = hold(dialer, credentials, plan.connections, pace, plan.duration, &around).await?;
            measured = Measured::new(scenario.name(), side.name, pace, &held.0);
            measured.hold = Some(held.1);
        } else {
            let by_command = plan.storm.restart.is_some();
            let ready = |count| self.observer.ready_for_storm(count, by_command);
            let options = plan.storm.clone();
            let (run, figures) =
                storm(dialer, credentials, plan.connections, pace, options, &around, ready).await?;
            measured = Measured::new(scenario.name(), side.name, pace, &run);
            // Attempts fail while the server is away: that is no failure of anybody who came back. They stand in `errors`.
            measured.failed = (figures.lost - figures.back) as u64;
            measured.error_share = measured.failed as f64 / figures.lost.max(1) as f64;
            measured.storm = Some(figures);
        }
        self.measured.push(measured);
        Ok(())
    }

    fn pace(&self) -> Pace {
        let workers = self.plan.concurrency;
        self.plan.rate.map_or(Pace::Closed { workers }, |rate| Pace::Open { rate })
    }

    fn around(&self, scenario: Scenario, side: &Side) -> Surroundings {
        let (observer, name) = (Arc::clone(&self.observer), side.name);
        Surroundings {
            stop: self.stop.clone(),
            progress: Some(Arc::new(move |progress| observer.progress(scenario, name, progress))),
            pid: side.pid,
        }
    }

    fn report(self, started_at: String, machine: Machine) -> Report {
        let servers = self.sides.iter().map(|side| Server {
            name: side.name,
            url: shown(side.dialer.target()),
            form: side.credentials.form().name(),
            credentials: side.credentials.describe(),
        });
        let exceeded =
            self.measured.iter().flat_map(|measured| self.plan.limits.exceeded(measured)).collect();
        Report {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            started_at,
            interrupted: self.stop.is_cancelled(),
            machine,
            servers: servers.collect(),
            settings: self.plan.settings(),
            measured: self.measured,
            comparison: self.comparison,
            problems: self.problems,
            exceeded,
        }
    }
}

impl Plan {
    /// What was asked for, as it stands in the report.
    fn settings(&self) -> BTreeMap<&'static str, String> {
        let seconds = |time: Duration| format!("{} s", time.as_secs_f64());
        let mut settings = BTreeMap::from([
            ("concurrency", self.concurrency.to_string()),
            ("connections", self.connections.to_string()),
            ("duration", seconds(self.duration)),
            ("warm-up", seconds(self.warm_up)),
            ("timeout", seconds(self.timeout)),
            ("profile", self.profile.name().to_owned()),
        ]);
        if let Some(rate) = self.rate {
            settings.insert("rate", format!("{rate} per second"));
        }
        if self.versus.is_some() {
            settings.insert("slice", seconds(self.slice));
        }
        if self.scenarios.contains(&Scenario::Mixed) {
            settings.insert("bad share", format!("{} %", self.bad_share * 100.0));
        }
        if self.scenarios.contains(&Scenario::Messages) {
            let content = match &self.content {
                Content::Bytes(size) => format!("{size} bytes"),
                Content::Text(text) => format!("a text of {} bytes", text.len()),
            };
            settings.insert("message", content);
        }
        settings
    }
}

impl Thresholds {
    fn exceeded(self, measured: &Measured) -> Vec<Exceeded> {
        let Measured { scenario, server, error_share, .. } = measured;
        let p99 = measured.main().map(|main| main.p99_ms);
        let limit = self.p99.map(|limit| limit.as_secs_f64() * 1e3);
        let checks = [("p99_ms", p99, limit), ("errors", Some(*error_share), self.errors)];
        let over = checks.into_iter().filter_map(|(figure, value, limit)| {
            let (value, limit) = (value?, limit?);
            (value > limit).then_some(Exceeded { scenario, server, figure, value, limit })
        });
        over.collect()
    }
}

/// The server's address without its query, which may hold a credential.
fn shown(target: &Target) -> String {
    let query = if target.path.contains('?') { "?…" } else { "" };
    let bare = Target { path: target.bare_path().to_owned(), ..target.clone() };
    format!("{bare}{query}")
}

/// Files that are open beside the connections.
const SPARE_FILES: u64 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_not_shown() {
        for (url, expected) in [("ws://a:1/ws?token=secret", "ws://a:1/ws?…"), ("wss://a/ws", "wss://a/ws")]
        {
            assert_eq!(shown(&url.parse().unwrap()), expected);
        }
    }
}
