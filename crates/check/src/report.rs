//! What a run gives.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::{
    baseline::Tried,
    cause::RootCause,
    finding::Finding,
    grade::{Grade, scores},
    outcome::Verdict,
    remedy::Framework,
};

/// A whole run. Serialised, it is the JSON report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The version of the tester.
    pub version: &'static str,
    /// What was tested.
    pub target: String,
    /// What is known of it.
    pub server: Server,
    /// The grade; none where nothing came to a verdict.
    pub grade: Option<Grade>,
    /// Percent by area; none where no case of it came to a verdict.
    pub scores: BTreeMap<&'static str, Option<u8>>,
    /// Cases by verdict.
    pub summary: Summary,
    /// What is behind the findings.
    pub root_causes: Vec<RootCause>,
    /// How a good connection was looked for.
    pub tried: Vec<Tried>,
    /// How long it took.
    pub elapsed_ms: u64,
    /// Every case that was run.
    pub cases: Vec<Finding>,
}

/// What is known of the server.
#[derive(Clone, Debug, Serialize)]
pub struct Server {
    /// What it calls itself.
    pub software: Option<String>,
    /// What it is built with, given or recognised.
    pub framework: Framework,
    /// The dialect that was spoken.
    pub profile: String,
    /// How it takes the token.
    pub form: Option<String>,
    /// The origin that it lets in.
    pub origin: Option<String>,
}

/// Cases by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "named for the verdicts")]
pub struct Summary {
    pub pass: usize,
    pub fail: usize,
    pub warn: usize,
    pub not_applicable: usize,
    pub inconclusive: usize,
}

impl Report {
    pub(crate) fn new(
        target: String,
        server: Server,
        cases: Vec<Finding>,
        root_causes: Vec<RootCause>,
        tried: Vec<Tried>,
        elapsed: Duration,
    ) -> Self {
        let mut summary = Summary::default();
        for finding in &cases {
            *match finding.verdict {
                Verdict::Pass => &mut summary.pass,
                Verdict::Fail => &mut summary.fail,
                Verdict::Warn => &mut summary.warn,
                Verdict::NotApplicable => &mut summary.not_applicable,
                Verdict::Inconclusive => &mut summary.inconclusive,
            } += 1;
        }
        Self {
            version: env!("CARGO_PKG_VERSION"),
            target,
            server,
            grade: Grade::of(&cases),
            scores: scores(&cases),
            summary,
            root_causes,
            tried,
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            cases,
        }
    }

    /// Whether something was found: a fail; with `strict` a warning or something inconclusive as well.
    pub fn has_findings(&self, strict: bool) -> bool {
        self.summary.fail > 0 || strict && self.summary.warn + self.summary.inconclusive > 0
    }

    /// What did not pass, the worst first.
    pub(crate) fn bad(&self) -> impl Iterator<Item = &Finding> {
        let of = |verdict: Verdict| self.cases.iter().filter(move |finding| finding.verdict == verdict);
        of(Verdict::Fail).chain(of(Verdict::Warn)).chain(of(Verdict::Inconclusive))
    }
}
