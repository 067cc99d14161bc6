//! The generator against servers that behave in known ways, over real sockets.
#![expect(clippy::cast_precision_loss, reason = "counts here are small")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

mod arrivals;
mod failures;
mod hold;
mod page;
mod server;
mod storm;
mod tls;
mod versus;

use std::{sync::Arc, time::Duration};

use portcullis_load::{
    Content, Credentials, Extras, Form, Measured, NotMeasured, Observer, Plan, Profile, Progress, Report,
    Scenario, Source, StormOptions, Subject, Thresholds, Trust, measure,
};
use tokio_util::sync::CancellationToken;

/// A plan of short measurements of the server at `url`, with one token for all.
fn plan(url: &str, scenarios: &[Scenario]) -> Plan {
    let tokens = Source::Tokens([TOKEN.to_owned()].into());
    Plan {
        subject: Subject {
            target: url.parse().unwrap(),
            credentials: Credentials::new(tokens, Form::Bearer, Vec::new(), "token"),
            pid: None,
        },
        versus: None,
        scenarios: scenarios.to_vec(),
        rate: None,
        concurrency: 2,
        connections: 64,
        duration: Duration::from_millis(500),
        warm_up: Duration::ZERO,
        timeout: Duration::from_secs(20),
        bad_share: 0.5,
        profile: Profile::Echo,
        content: Content::Bytes(32),
        slice: Duration::from_millis(50),
        storm: StormOptions {
            restart: None,
            patience: Duration::from_secs(30),
            backoff: Duration::from_millis(20),
            most_backoff: Duration::from_millis(100),
        },
        trust: Trust::Usual,
        extras: Extras::default(),
        limits: Thresholds::default(),
    }
}

/// Measures on a runtime of its own.
fn run(plan: &Plan) -> Report {
    run_until(plan, CancellationToken::new(), |_| {}).unwrap()
}

/// The same, with a way to stop it; `ready` is called when a storm may begin.
fn run_until(
    plan: &Plan,
    stop: CancellationToken,
    ready: impl Fn(usize) + Send + Sync + 'static,
) -> Result<Report, NotMeasured> {
    struct Quiet<F>(F);
    impl<F: Fn(usize) + Send + Sync + 'static> Observer for Quiet<F> {
        fn progress(&self, _: Scenario, _: &'static str, _: &Progress) {}
        fn ready_for_storm(&self, connections: usize, _: bool) {
            (self.0)(connections);
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(measure(plan, Arc::new(Quiet(ready)), stop))
}

/// The only scenario of a report.
#[track_caller]
fn only(report: &Report) -> &Measured {
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert_eq!(report.measured.len(), 1);
    &report.measured[0]
}

/// The one that servers here take.
const TOKEN: &str = "head.payload.a-good-signature-of-some-length";
